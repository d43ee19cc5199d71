"""The record step: the judged release into the registry. A rerun with nothing changed reads a receipt and loads no MLflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kdgov.digest import digest_json, write_atomic
from kdgov.evidence.bundle import bundle_digest
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.distill import distill_step
from kdgov.pipeline.gate import gate_step
from kdgov.pipeline.store import StepResult
from kdgov.recording.client.sqlite_lookup import embedded_version
from kdgov.recording.client.target import RegistryTarget, registry_target
from kdgov.source_digest import source_digest

STEP = "record"
RECEIPT, STATE = "receipt.json", "recording.json"


def record_step(context: ReleaseContext, *, registry: str | None = None, upload_weights: bool = False) -> StepResult:
    """Record the release, whatever its verdict; a blocked one shows in the registry and is never promoted.

    The facts name ``name``, ``version``, ``verdict``, ``decision``, ``run_id``, ``is_guarded``, ``registry``, ``open`` and ``summary``.

    Args:
        context: the release.
        registry: address; KDGOV_REGISTRY or the store's own by default.
        upload_weights: copy the weights into the registry instead of naming them by digest.

    Raises:
        InputError: if the release is at fault.
        UnavailableError: if the registry cannot be reached; a later call goes on where this one stopped.
    """
    gate = gate_step(context)
    target = registry_target(context.store.root, registry)
    key = digest_json({
        "bundle": bundle_digest(gate.folder),
        "registry": target.name,
        "weights": upload_weights,
        "code": source_digest("kdgov.pipeline.record"),
    })  # fmt: skip
    finished = context.store.finished(STEP, key)
    if finished is not None and _still_there(finished, target):
        return finished
    folder = context.store.working(STEP, key)
    facts = _recorded(context, gate, target, folder / STATE, upload_weights)
    write_atomic(folder / RECEIPT, json.dumps(facts, indent=2, sort_keys=True).encode())
    return context.store.finish(STEP, key, facts)


def student_path(context: ReleaseContext) -> Path:
    """Folder of the student's checkpoint."""
    distilled = distill_step(context)
    path = Path(str(distilled.facts["student"]))
    return path if path.is_absolute() else distilled.folder / path


def _recorded(context: ReleaseContext, gate: StepResult, target: RegistryTarget, state: Path, upload_weights: bool) -> dict[str, Any]:
    # MLflow takes seconds to load: only when something is written.
    from kdgov.recording.release_recording import record_release  # noqa: PLC0415

    context.progress("record", 0, 7)
    recorded = record_release(
        gate.folder, target, weights=student_path(context), upload_weights=upload_weights, state=state, progress=context.progress
    )
    facts = recorded.as_json()
    signed = f"; {recorded.note}" if recorded.note else ""
    summary = f"{recorded.name} version {recorded.version} in {target.name}, {recorded.verdict}{signed}"
    return {**facts, "registry": target.name, "open": target.page(recorded.name, recorded.version), "summary": summary}


def _still_there(finished: StepResult, target: RegistryTarget) -> bool:
    # The receipt outlives a deleted database file; of a server it is taken at its word.
    return not target.is_embedded or embedded_version(target.store, str(finished.facts["name"]), int(finished.facts["version"])) is not None
