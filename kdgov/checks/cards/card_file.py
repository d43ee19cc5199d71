"""A card and the file it lies in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kdgov.declarations.cards import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFile:
    """A card and where it lies."""

    card: Card
    """The card."""
    path: Path
    """Its file."""
    name: str
    """The file as the user named it."""
    digest: str
    """sha256 of the file."""
