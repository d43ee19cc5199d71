"""A sample of the evaluation run again on the recorded weights, and compared item by item with the recorded scores."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from kdgov.auditing.answers.endpoint_answers import scores_again
from kdgov.auditing.registry.snapshot import VersionShown
from kdgov.auditing.review.audit_findings import AuditFinding, unverifiable, verified, violated
from kdgov.checkpoints.identity import model_identity
from kdgov.declarations.release_parts.allowed_hosts import refuse_unlisted_hosts
from kdgov.declarations.release_parts.mitigations import Mitigation
from kdgov.errors import InputError, UnavailableError
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.plan.messages import answerable
from kdgov.evaluation.plan.mitigated import mitigated, system_prompt_of, withholdings_of
from kdgov.evaluation.plan.request import Plan, PlannedItem, PlannedTask
from kdgov.evaluation.results.evaluation_run import evaluate
from kdgov.evaluation.scoring.judges import judge_digest
from kdgov.evidence.bundle_layout import ITEMS, PAIR
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.items import ItemTable, read_items
from kdgov.progress import Progress, silent
from kdgov.quantities import plain_number, quantity

_TOLERANCE = 2e-3
"""Log-likelihoods and probabilities differ in the last digits between processors and batch shapes; 0/1 scores may not."""

Scores = Mapping[tuple[str, str, str, str], float]


def replay_findings(shown: VersionShown, weights: Path | None, *, sample: int, progress: Progress = silent) -> Iterator[AuditFinding]:
    """Ask the recorded weights the same questions again, ``sample`` items of every task, and compare.

    The items are those with the least digests of the sealed plan: the reviewer draws them, not the team, and the same ones on
    every call.

    Args:
        shown: the version, fetched.
        weights: folder of the checkpoint to ask; None where it cannot be reached.
        sample: items per task.
        progress: called as ``progress(label, done, total)``.
    """
    if shown.evidence is None:
        yield unverifiable("replay", "evaluation", "There is no evidence to run again.", required=True)
        return
    material = BundleReader(shown.evidence)
    is_address = material.identities["student"].get("access") == "api"
    if weights is None and not is_address:
        yield unverifiable("replay", "evaluation", "The weights cannot be read from here.", mend="Name them with --weights.", required=True)
        return
    try:
        if weights is None:
            # Asking it again would pay again: its scores are computed anew from the answers that were kept.
            yield from _replayed(material, None, sample, progress)
            return
        found, judged = model_identity(weights, verify=True), material.identities["student"]
        if found.weights != judged.get("weights") or found.model != judged.get("model", found.model):
            yield violated(
                "replay", "evaluation", "These are not the weights that were evaluated.", mend="Name the judged ones.", digest=found.model
            )
            return
        yield from _replayed(material, weights, sample, progress)
    except (InputError, UnavailableError) as error:
        # What is no longer at hand (a suite, its data) cannot be run again: an answer, not a failure of the audit.
        yield unverifiable("replay", "evaluation", f"It cannot be run again here: {error.what}.", mend=error.mend, required=True)


def _replayed(material: BundleReader, model: Path | None, sample: int, progress: Progress) -> Iterator[AuditFinding]:
    sealed = {f"{t['suite']}/{t['task']}": t for t in material.plan.get("tasks") or [] if isinstance(t, Mapping)}
    suites = list(material.release.get("suites") or dict.fromkeys(t["suite"] for t in sealed.values()))
    release = material.release
    mend = "Only the release can list it: `allowed_hosts: [HOST]`."
    refuse_unlisted_hosts(suites, beside=None, allowed=list(release.get("allowed_hosts") or ()), declared=release, mend=mend)
    built = build_plan(read_suites(suites), progress=progress)
    asked = [role for role in PAIR if material.evaluations[role].get("endpoint")]
    if asked:
        # What is answered at an address was frozen as messages, for both models.
        built, _ = answerable(built)
    declared, file = [Mitigation.model_validate(one) for one in release.get("mitigations") or ()], Path("release.yaml")
    built = mitigated(built, system_prompt_of(declared, file), withholdings_of(declared, file, judge_digest))
    if [group.as_json() for group in built.groups] != list(material.plan.get("groups") or ()):
        told = "The suites at hand define groups of tasks otherwise than the sealed plan."
        yield unverifiable("replay", "groups", told, mend="Replay with the suites of the release.", required=True)
    drawn: list[PlannedTask] = []
    whole: list[PlannedTask] = []
    for task in built.tasks:
        leaves = dict((sealed.get(task.name) or {}).get("leaves") or {})
        same = [found for item in task.items if (found := _as_sealed(item, leaves.get(item.item_id))) is not None]
        if same:
            whole.append(replace(task, items=tuple(same), of_suite=0))
        if not leaves:
            yield unverifiable("replay", task.name, "The sealed plan does not know this task.")
        elif task.scorer is not None and task.scorer.compares:
            yield unverifiable("replay", task.name, "It compares with the teacher's answers, which are not part of the evidence.")
        elif not same:
            told = "The suite at hand asks other questions than the sealed plan."
            yield unverifiable("replay", task.name, told, mend="Replay with the suites of the release.", required=True)
        else:
            chosen = sorted(same, key=lambda item: item.leaf)[:sample]
            drawn.append(replace(task, items=tuple(chosen), of_suite=0))
    for role in asked:
        yield from scores_again(material, role, Plan(tasks=tuple(whole)))
    if "student" not in asked and model is not None:
        yield from _compared(material, Plan(tasks=tuple(drawn)), model, progress)


def _as_sealed(item: PlannedItem, leaf: str | None) -> PlannedItem | None:
    """The item as the sealed plan holds it, with the mark of coverage that only the release's data tell; None where it is another."""
    marked = [item, *(replace(item, group={**item.group, "coverage": mark}) for mark in ("near", "far"))]
    return next((one for one in marked if one.leaf == leaf), None)


def _compared(material: BundleReader, plan: Plan, model: Path, progress: Progress) -> Iterator[AuditFinding]:
    if not plan.tasks:
        return
    stated = dict(material.evaluations["student"].get("how") or {})
    how = BackendSettings(**{field.name: stated[field.name] for field in fields(BackendSettings) if field.name in stated})
    with tempfile.TemporaryDirectory(prefix="kdgov-replay-") as folder:
        # An empty cache: remembered answers would prove nothing.
        again = evaluate(plan, model, Path(folder) / "again", cache=Path(folder) / "answers", how=how, progress=progress)
        new = _scores(again.table)
    old = _scores(read_items(material.folder / "student" / ITEMS, with_text=False))
    for task in plan.tasks:
        yield _task(task, old, new)


def _task(task: PlannedTask, old: Scores, new: Scores) -> AuditFinding:
    keys = [key for key in new if key[:2] == (task.suite, task.task)]
    odd = [key for key in keys if key not in old or not math.isclose(old[key], new[key], rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)]
    count = f"{quantity(len(task.items), 'item')}, {quantity(len(keys), 'score')}"
    if not keys:
        return unverifiable("replay", task.name, "Running it again gave no score.", required=True)
    if odd:
        told = "; ".join(f"{key[2]} ({key[3]}): recorded {_number(old.get(key))}, again {_number(new[key])}" for key in odd[:3])
        return violated("replay", task.name, f"{len(odd)} of {count} differ: {told}.", mend="The recorded scores are not this model's.")
    return verified("replay", task.name, f"Asked again: {count}, each as recorded.", digest=task.root)


def _number(value: float | None) -> str:
    return "nothing" if value is None else plain_number(value)


def _scores(table: ItemTable) -> dict[tuple[str, str, str, str], float]:
    columns: list[Any] = [table.column(name).to_pylist() for name in ("suite", "task", "item_id", "metric")]
    return dict(zip(zip(*columns, strict=True), table.scores.tolist(), strict=True))
