"""The record step: the judged release into the registry. A rerun with nothing changed reads a receipt and loads no MLflow."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdgov.digest import digest_json, write_atomic
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.finished_work.step_results import GateResult, RecordResult
from kdgov.recording.client.sqlite_lookup import embedded_version
from kdgov.recording.client.target import RegistryTarget, registry_target
from kdgov.source_digest import source_digest

RECEIPT, STATE = "receipt.json", "recording.json"


def record_step(
    context: ReleaseContext, gated: GateResult, *, weights: Path | None, registry: str | None = None, upload_weights: bool = False
) -> RecordResult:
    """Record the decision it is handed, whatever its verdict; a blocked release shows in the registry and is never promoted.

    Args:
        context: the release.
        gated: the decision, in its evidence bundle.
        weights: the student's checkpoint folder; None where it is an endpoint.
        registry: address; KDGOV_REGISTRY or the store's own by default.
        upload_weights: copy the weights into the registry instead of naming them by digest.

    Raises:
        InputError: if the release is at fault.
        UnavailableError: if the registry cannot be reached; a later call goes on where this one stopped.
    """
    target = registry_target(context.store.root, registry)
    key = digest_json({
        "bundle": gated.bundle,
        "registry": target.name,
        "weights": upload_weights,
        "code": source_digest("kdgov.pipeline.record"),
    })  # fmt: skip
    anew = {"judged_anew": not gated.reused}
    if (finished := context.store.finished(RecordResult, key, **anew)) is not None and _still_there(finished, target):
        return _opened(finished, target)
    with context.store.work(RecordResult, key, tell=context.wait, **anew) as work:
        if work.finished is not None and _still_there(work.finished, target):
            return _opened(work.finished, target)
        work.restart()
        facts = _recorded(context, gated, target, work.folder / STATE, (weights, upload_weights))
        write_atomic(work.folder / RECEIPT, json.dumps(facts, indent=2, sort_keys=True).encode())
        return _opened(work.finish(**facts), target)


def _opened(result: RecordResult, target: RegistryTarget) -> RecordResult:
    return replace(result, open=target.page(result.name, result.version))


def _recorded(
    context: ReleaseContext, gated: GateResult, target: RegistryTarget, state: Path, weights: tuple[Path | None, bool]
) -> dict[str, Any]:
    # MLflow takes seconds to load: only when something is written.
    from kdgov.recording.release_recording import record_release  # noqa: PLC0415

    context.progress("record", 0, 7)
    recorded = record_release(gated.folder, target, weights=weights[0], upload_weights=weights[1], state=state, progress=context.progress)
    facts = recorded.as_json()
    signed = f"; {recorded.note}" if recorded.note else ""
    summary = f"{recorded.name} version {recorded.version} in {target.name}, {recorded.verdict}{signed}"
    return {**facts, "registry": target.name, "summary": summary}


def _still_there(finished: RecordResult, target: RegistryTarget) -> bool:
    # The receipt outlives a deleted database file; of a server it is taken at its word.
    return not target.is_embedded or embedded_version(target.store, finished.name, finished.version) is not None
