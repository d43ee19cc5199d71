"""Signed acknowledgements: a role says that it was told of a release's results. It is bound to the results, not to one decision about them.

A decision changes when the release says who was informed; what was told of does not. An acknowledgement therefore names the release, the
digests of models, plan and answers, the page that was read, and the day.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer  # type: ignore[attr-defined]

from kdgov.digest import digest_json, is_digest
from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import ACKNOWLEDGEMENTS
from kdgov.evidence.signing import claimed_predicate, claimed_type, sign_statement, statement, verify_statement
from kdgov.evidence.trust_store import TrustStore
from kdgov.safe_parse import json_file

ACKNOWLEDGEMENT_PREDICATE = "urn:kdgov:predicate:acknowledgement:v1"
_PARTS = ("teacher_model", "teacher_weights", "student_model", "student_weights", "plan", "teacher_evidence", "student_evidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """One signed acknowledgement."""

    role: str
    """Who was told: product, policy, risk, engineering, model_owner …"""
    by: str
    """The person who signed."""
    day: str
    """Day on which it was signed, YYYY-MM-DD."""
    page: str
    """Digest of the page that was read."""
    signer: str
    """Names of the keys whose signatures count; empty where none does."""
    fault: str = ""
    """Why it does not count; empty where it does."""
    path: Path | None = None
    """File of the envelope."""


def results_digest(release: str, digests: Mapping[str, str]) -> str:
    """What a release's results are told apart by: its name, both models, the plan and what they answered."""
    return digest_json({"release": release, **{part: digests.get(part, "") for part in _PARTS}})


def sign_acknowledgement(
    *, release: str, results: str, page: str, role: str, by: str, signers: Sequence[Signer], at: datetime.datetime
) -> dict[str, Any]:
    """Signed envelope by which a role says that it was told."""
    predicate = {"release": release, "results": results, "page": page, "role": role, "by": by, "day": at.date().isoformat()}
    return sign_statement(statement(ACKNOWLEDGEMENT_PREDICATE, predicate, subjects={"page": page}), signers, at=at)


def read_acknowledgement(path: Path, trust: TrustStore, *, release: str, results: str, at: datetime.datetime) -> Acknowledgement | None:
    """An envelope about these results, and whether it counts; None for a file about anything else, or that is no acknowledgement.

    Args:
        path: the envelope.
        trust: whose signatures count (purpose ``approval``), in which roles.
        release: name of the release.
        results: `results_digest` of it.
        at: now, or when it was received.
    """
    try:
        envelope = json_file(path)
    except (InputError, OSError, ValueError):
        return None
    if not isinstance(envelope, Mapping) or claimed_type(envelope) != ACKNOWLEDGEMENT_PREDICATE:
        return None
    claimed = {str(key): str(value) for key, value in claimed_predicate(envelope).items()}
    if (claimed.get("release"), claimed.get("results")) != (release, results):
        return None
    told = {key: claimed.get(key, "") for key in ("role", "by", "day", "page")}
    answer = verify_statement(envelope, trust, purpose="approval", at=at, predicate_type=ACKNOWLEDGEMENT_PREDICATE)
    fault = "" if answer.is_valid else answer.reason
    if answer.is_valid and not any(told["role"] in key.roles for key in answer.signers):
        fault = f"{', '.join(key.name for key in answer.signers)} does not speak for the role {told['role']}"
    if not fault and (not _is_day(told["day"]) or not is_digest(told["page"])):
        fault = "it names no day or no page"
    return Acknowledgement(**told, signer="" if fault else ", ".join(key.name for key in answer.signers), fault=fault, path=path)


def acknowledgements(folder: Path, trust: TrustStore, *, release: str, results: str, at: datetime.datetime) -> dict[str, Acknowledgement]:
    """Role → its acknowledgement of these results that counts, else one that does not; the latest of each."""
    found: dict[str, Acknowledgement] = {}
    for path in _files(folder):
        read = read_acknowledgement(path, trust, release=release, results=results, at=at)
        before = found.get(read.role) if read is not None else None
        if read is not None and (before is None or (not read.fault, read.day) >= (not before.fault, before.day)):
            found[read.role] = read
    return found


def acknowledged_in(bundle: Path) -> dict[str, dict[str, str]]:
    """Role → words of its acknowledgement in a bundle, vouched for or not: for naming it where the gate has verified it."""
    found: dict[str, dict[str, str]] = {}
    for path in _files(bundle / ACKNOWLEDGEMENTS):
        try:
            envelope = json_file(path)
        except (InputError, OSError, ValueError):
            continue
        if isinstance(envelope, Mapping) and claimed_type(envelope) == ACKNOWLEDGEMENT_PREDICATE:
            claimed = {str(key): str(value) for key, value in claimed_predicate(envelope).items()}
            found[claimed.get("role", "")] = claimed
    return found


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob("*.json")) if folder.is_dir() else ()


def _is_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
