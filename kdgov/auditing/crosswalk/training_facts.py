"""Facts about training: what it learnt from, how much it took, and how long an input the student takes."""

from __future__ import annotations

from kdgov.auditing.crosswalk.fact_source import Answer, Evidence, card_fields, either
from kdgov.evidence.bundle_layout import DISTILLATION


def compute(e: Evidence) -> Answer:
    """How much the training took, as far as it was kept."""
    record = e.material.distillation
    kept = [k for k in ("steps", "tokens", "flops", "cpu_s", "wall_s") if record.get(k)]
    told = f"Kept: {', '.join(kept)}."
    if any(k in kept for k in ("flops", "cpu_s", "wall_s")):
        return "shown", told, DISTILLATION
    return ("partly", f"{told} Not the time or the operations.", DISTILLATION) if kept else ("absent", "Nothing is kept.", "")


def context(e: Evidence) -> Answer:
    """The longest input the student takes."""
    stated = card_fields("model_card", "context_length", "max_length")(e)
    trained = (e.material.distillation.get("recipe") or {}).get("max_length")
    if stated[0] == "shown" or not trained:
        return stated
    return "partly", f"Trained on at most {trained} tokens at a time; the longest input itself is not stated.", DISTILLATION


def energy(e: Evidence) -> Answer:
    """The energy of the training."""
    record = e.material.distillation
    return either(bool(record.get("energy_kwh")), f"{record.get('energy_kwh')} kWh.", "Energy was not measured.", DISTILLATION)


def data_digests(e: Evidence) -> Answer:
    """Whether the files learnt from are pinned."""
    stated = [k for k in e.material.decision.get("digests") or {} if k.startswith("data/")]
    files = e.material.distillation.get("data") or {}
    count = max(len(stated), len(files))
    return either(count > 0, f"{count} files are pinned.", "No data file is pinned.", DISTILLATION)
