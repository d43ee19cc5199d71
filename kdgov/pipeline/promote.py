"""The promote step: the guarded alias onto the recorded version, if decision, evidence, weights and signature hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdgov.digest import digest_json, write_atomic
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.finished_work.step_results import PromoteResult, RecordResult
from kdgov.recording.client.sqlite_lookup import embedded_holder, embedded_version
from kdgov.recording.client.target import RegistryTarget, registry_target
from kdgov.source_digest import source_digest

RECEIPT = "receipt.json"


def promote_step(
    context: ReleaseContext, recorded: RecordResult, *, weights: Path | None, alias: str = "champion", registry: str | None = None
) -> PromoteResult:
    """Promote the recorded version, or say why not.

    A refusal leaves no receipt: the next call asks again. A receipt is not a second promotion: when a later release holds the
    alias by now, a rerun of the earlier one says so and leaves it there.

    Args:
        context: the release.
        recorded: the version.
        weights: the student's checkpoint folder; None where it is an endpoint.
        alias: the guarded alias.
        registry: address; KDGOV_REGISTRY or the store's own by default.

    Raises:
        InputError: if the release is at fault.
        UnavailableError: if the registry cannot be reached.
    """
    target = registry_target(context.store.root, registry)
    place = {"name": recorded.name, "version": recorded.version, "alias": alias, "registry": target.name}
    code = source_digest("kdgov.pipeline.promote")
    key = digest_json({**place, "decision": recorded.decision, "run": recorded.run_id, "code": code})
    if (finished := context.store.finished(PromoteResult, key)) is not None:
        return replace(finished, **_standing(finished, target))
    with context.store.work(PromoteResult, key, tell=context.wait) as work:
        if work.finished is not None:
            return replace(work.finished, **_standing(work.finished, target))
        facts = _promoted(context, recorded, target, alias, weights)
        if not facts["promoted"]:
            return PromoteResult(key=key, folder=work.folder, reused=False, **{**facts, "refusals": tuple(facts["refusals"])})
        write_atomic(work.folder / RECEIPT, json.dumps(facts, indent=2, sort_keys=True).encode())
        return work.finish(**facts)


def _promoted(context: ReleaseContext, recorded: RecordResult, target: RegistryTarget, alias: str, weights: Path | None) -> dict[str, Any]:
    # MLflow takes seconds to load: only when something is done.
    from kdgov.recording.promotion import promote  # noqa: PLC0415

    context.progress("promote", 0, 1)
    act = promote(recorded.name, recorded.version, target, alias=alias, weights=weights)
    named = f"allow {context.policy_path()} --models"
    act = replace(act, refusals=tuple({**r, "mend": r["mend"].replace("allow POLICY --models", named)} for r in act.refusals))
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


def _standing(finished: PromoteResult, target: RegistryTarget) -> dict[str, Any]:
    """What an earlier promotion has come to since, as far as a glance tells."""
    name, version, alias = finished.name, finished.version, finished.alias
    if not target.is_embedded:
        return {"summary": f"{finished.summary} (by an earlier run)"}
    found = embedded_version(target.store, name, version)
    if found is not None and alias in found.aliases:
        return {}
    if found is not None and found.verdict == "REVOKED":
        return {"promoted": False, "summary": f"{name} version {version} was promoted by an earlier run and has been revoked since"}
    holder = embedded_holder(target.store, name, alias)
    now = f"@{alias} is version {holder}" if holder else f"nothing holds @{alias}"
    return {"summary": f"{name} version {version} was promoted by an earlier run; by now {now}"}
