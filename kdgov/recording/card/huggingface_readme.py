"""The card as a Hugging Face ``README.md``: metadata and ``model-index`` results by `huggingface_hub`'s own classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub import ModelCardData

from kdgov.recording.card.evidence_bundle import EvidenceBundle
from kdgov.recording.card.hub_results import hub_results, hub_task
from kdgov.recording.card.model_card import full_card
from kdgov.report.escaping import plain

# Identifiers the Hub lists under these spellings; anything else is license: other plus its name.
_HUB_LICENSES = frozenset({
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc0-1.0", "gpl-3.0",
    "lgpl-3.0", "mpl-2.0", "unlicense", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "gemma",
    "openrail", "bigscience-bloom-rail-1.0",
})  # fmt: skip
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")


def hub_readme(dossier: EvidenceBundle, model: str) -> str:
    """The whole file: metadata block, then the full card."""
    metadata = card_data(dossier, model).to_yaml(line_break="\n")
    return f"---\n{metadata}\n---\n\n{full_card(dossier)}"


def card_data(dossier: EvidenceBundle, model: str) -> ModelCardData:
    """The metadata: licence, base model, datasets, and one result per judged metric."""
    student: Mapping[str, Any] = dossier.release.get("student") or {}
    declared = str(student.get("license") or "")
    known = declared.lower() in _HUB_LICENSES
    teacher = dossier.teacher_name
    results = hub_results(dossier)
    return ModelCardData(
        license=declared.lower() if known else "other" if declared else "unknown",
        license_name=None if known or not declared else plain(declared, limit=60).lower().replace(" ", "-"),
        library_name="transformers",
        pipeline_tag=hub_task(str(dossier.student.get("architecture", ""))) if dossier.student.get("architecture") else None,
        base_model=teacher if _HUB_ID.match(teacher) else None,
        datasets=[n for n in (str(c.get("id") or "") for c in dossier.cards if "dataset" in str(c.get("schema", ""))) if _HUB_ID.match(n)]
        or None,
        tags=["knowledge-distillation", "kdgov", f"kdgov-verdict-{dossier.verdict}"],
        model_name=plain(model) if results else None,
        eval_results=results or None,
    )
