"""Writes the model card of a version to a folder: short, full and HTML card, its charts, and the Hugging Face README."""

from __future__ import annotations

from pathlib import Path

from kdgov.recording.card.card_charts import charts_of
from kdgov.recording.card.card_page import html_card
from kdgov.recording.card.evidence_bundle import EvidenceBundle
from kdgov.recording.card.hub_results import eval_results_file
from kdgov.recording.card.huggingface_readme import hub_readme
from kdgov.recording.card.model_card import full_card, short_card


def write_card_files(dossier: EvidenceBundle, model: str, folder: Path) -> None:
    """Write ``card/`` and ``charts/``; the same evidence bundle gives the same bytes, so a repeated upload changes nothing."""
    charts = charts_of(dossier)
    cards, pictures = folder / "card", folder / "charts"
    cards.mkdir(parents=True)
    (cards / "short.md").write_text(short_card(dossier), encoding="utf-8")
    (cards / "card.md").write_text(full_card(dossier, charts=[(title, f"../charts/{name}") for name, title, _ in charts]), encoding="utf-8")
    (cards / "card.html").write_text(html_card(dossier, model, charts), encoding="utf-8")
    (cards / "README.md").write_text(hub_readme(dossier, model), encoding="utf-8")
    if results := eval_results_file(dossier):
        (cards / ".eval_results").mkdir()
        (cards / ".eval_results" / "kdgov.yaml").write_text(results, encoding="utf-8")
    if charts:
        pictures.mkdir()
    for name, _, svg in charts:
        (pictures / name).write_text(svg, encoding="utf-8")
