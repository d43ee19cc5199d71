"""The promote step: the guarded alias onto the recorded version, if decision, evidence, weights and signature hold."""

from __future__ import annotations

import json
from typing import Any

from kdgov.digest import digest_json, write_atomic
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.record import record_step, student_path
from kdgov.pipeline.store import StepResult
from kdgov.recording.client.sqlite_lookup import embedded_holder, embedded_version
from kdgov.recording.client.target import RegistryTarget, registry_target
from kdgov.source_digest import source_digest

STEP = "promote"
RECEIPT = "receipt.json"


def promote_step(context: ReleaseContext, *, alias: str = "champion", registry: str | None = None) -> StepResult:
    """Promote the recorded version, or say why not.

    The facts name ``name``, ``version``, ``alias``, ``promoted``, ``refusals`` and ``summary``. A refusal leaves no receipt:
    the next call asks again. A receipt is not a second promotion: when a later release holds the alias by now, a rerun of the
    earlier one says so and leaves it there.

    Raises:
        InputError: if the release is at fault.
        UnavailableError: if the registry cannot be reached.
    """
    recorded = record_step(context, registry=registry)
    target = registry_target(context.store.root, registry)
    place = {"name": recorded.facts["name"], "version": recorded.facts["version"], "alias": alias, "registry": target.name}
    key = digest_json(
        {**place, "decision": recorded.facts["decision"], "run": recorded.facts["run_id"], "code": source_digest("kdgov.pipeline.promote")}
    )
    finished = context.store.finished(STEP, key)
    if finished is not None:
        return StepResult(step=STEP, key=key, folder=finished.folder, reused=True, facts={**finished.facts, **_standing(finished, target)})
    facts = _promoted(context, recorded, target, alias)
    folder = context.store.working(STEP, key)
    if not facts["promoted"]:
        return StepResult(step=STEP, key=key, folder=folder, reused=False, facts=facts)
    write_atomic(folder / RECEIPT, json.dumps(facts, indent=2, sort_keys=True).encode())
    return context.store.finish(STEP, key, facts)


def _promoted(context: ReleaseContext, recorded: StepResult, target: RegistryTarget, alias: str) -> dict[str, Any]:
    # MLflow takes seconds to load: only when something is done.
    from kdgov.recording.promotion import promote  # noqa: PLC0415

    context.progress("promote", 0, 1)
    act = promote(str(recorded.facts["name"]), int(recorded.facts["version"]), target, alias=alias, weights=student_path(context))
    context.progress("promote", 1, 1)
    note = f"; {act.note}" if act.note else ""
    return {
        "name": act.name,
        "version": act.version,
        "alias": alias,
        "promoted": act.done,
        "refusals": [dict(refusal) for refusal in act.refusals],
        "previous": act.previous,
        "summary": f"{act.sentence}{note}",
    }


def _standing(finished: StepResult, target: RegistryTarget) -> dict[str, Any]:
    """What an earlier promotion has come to since, as far as a glance tells."""
    name, version, alias = str(finished.facts["name"]), int(finished.facts["version"]), str(finished.facts["alias"])
    if not target.is_embedded:
        return {"summary": f"{finished.facts['summary']} (by an earlier run)"}
    found = embedded_version(target.store, name, version)
    if found is not None and alias in found.aliases:
        return {}
    if found is not None and found.verdict == "REVOKED":
        return {"promoted": False, "summary": f"{name} version {version} was promoted by an earlier run and has been revoked since"}
    holder = embedded_holder(target.store, name, alias)
    now = f"@{alias} is version {holder}" if holder else f"nothing holds @{alias}"
    return {"summary": f"{name} version {version} was promoted by an earlier run; by now {now}"}
