"""What an identifier in a text is, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

IdentifierKind = Literal["email", "phone", "credit_card", "iban", "us_ssn", "ip_address", "aws_key", "api_key", "private_key", "password"]
PERSONAL: tuple[IdentifierKind, ...] = ("email", "phone", "credit_card", "iban", "us_ssn", "ip_address")
"""Identifiers of people."""
SECRETS: tuple[IdentifierKind, ...] = ("aws_key", "api_key", "private_key", "password")
"""Credentials."""
NOT_COVERED = "postal addresses, birth dates, national ids other than the US SSN"
"""What nothing here looks for; names of people and places take a model (`kdgov.checks.pii.person_names`)."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Hit:
    """One identifier in a batch."""

    start: int
    """First byte."""
    end: int
    """One past its last byte."""
    kind: IdentifierKind
    """What it is."""
