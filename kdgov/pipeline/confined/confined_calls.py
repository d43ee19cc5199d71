"""What an evaluation does with suites: build the plan, ask a model, read items; alike in this process and in a confined one."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdgov.declarations.effects.asked_endpoints import asked_endpoints
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.policy_file import load_named_policy
from kdgov.declarations.suite_parts.suite_options import file_field
from kdgov.errors import InputError
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.replay_inputs import replay_inputs, suite_coverage
from kdgov.evaluation.plan.request import messages_of
from kdgov.evaluation.plan.suite_code import allowed_code
from kdgov.evaluation.release_settings import asks_in_messages
from kdgov.pipeline.asked_models.release_mitigations import release_mitigations
from kdgov.pipeline.confined.media_marks import media_coverage
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.inputs.load_inputs import load_release_inputs
from kdgov.progress import Progress

if TYPE_CHECKING:
    from kdgov.auditing.registry.snapshot import VersionShown

_PLANS: dict[str, Any] = {}
"""Plans of this process, by what they were made for: every model of a release answers the same one."""


def evaluate_role(
    *, context: ReleaseContext, code: Sequence[Path], purpose: str, folder: Path, progress: Progress, model: Path | Endpoint, **asked: Any
) -> dict[str, Any]:
    """One model of a release asked everything its plan holds, into a folder; the small facts of it.

    Args:
        context: the release.
        code: folders whose code the suites' task files may run.
        purpose: what the plan is for: the same purpose takes the same plan.
        folder: where to write.
        progress: called as ``progress(label, done, total)``.
        model: checkpoint folder, or endpoint.
        asked: as `kdgov.evaluation.evaluate_release.evaluate_one` takes it.
    """
    # torch and lm-eval take seconds to load: only where something is asked.
    made = importlib.import_module("kdgov.evaluation.evaluate_release")
    with allowed_code(code):
        if purpose not in _PLANS:
            _PLANS.clear()
            _PLANS[purpose], _ = release_questions(replace(context, progress=progress))
        facts: dict[str, Any] = made.evaluate_one(_PLANS[purpose], model, folder, progress=progress, **asked)
    return facts


def measure_cost(*, teacher: Path, student: Path, limits: Mapping[str, Sequence[float]], progress: Progress, **how: Any) -> dict[str, Any]:
    """What both models cost, as `kdgov.evaluation.results.efficiency.measure` says it; ``how`` is device, type and spread."""
    efficiency = importlib.import_module("kdgov.evaluation.results.efficiency")
    load = importlib.import_module("kdgov.evaluation.results.measured_turn").Load(limits=limits)
    measured: dict[str, Any] = efficiency.measure(teacher, student, load=load, progress=progress, **how)
    return measured


def evaluate_alone(
    *,
    model: Path,
    suites: Sequence[str],
    out: Path,
    code: Sequence[Path],
    tasks: Sequence[str],
    limit: int | None,
    how: BackendSettings,
    labels: Sequence[Path],
    progress: Progress,
) -> None:
    """One model on some suites, as `kdgov.evaluation.evaluate_model.evaluate_single` has it."""
    single = importlib.import_module("kdgov.evaluation.evaluate_model").evaluate_single
    with allowed_code(code):
        single(model, suites, out, tasks=tasks, limit=limit, how=how, progress=progress, labels=labels)


def evaluate_pair(
    *, teacher: Path, student: Path, suites: Sequence[str], out: Path, policy: str, code: Sequence[Path], progress: Progress, **given: Any
) -> dict[str, Any]:
    """Two models asked in batches until a policy is decided, as `kdgov.evaluation.evaluate_model` has it."""
    pair = importlib.import_module("kdgov.evaluation.evaluate_model").evaluate_pair_until_decided
    with allowed_code(code):
        stopped = pair(teacher, student, suites, out, policy=load_named_policy(policy), progress=progress, **given)
    found: dict[str, Any] = stopped.as_json()
    return found


def replay(*, shown: VersionShown, weights: Path | None, sample: int, code: Sequence[Path], progress: Progress) -> list[dict[str, Any]]:
    """The findings of `kdgov.auditing.review.replay.replay_findings`: a recorded model asked again; ``code`` is never run there."""
    del code
    asked = importlib.import_module("kdgov.auditing.review.replay").replay_findings
    return [finding.as_json() for finding in asked(shown, weights, sample=sample, progress=progress)]


def planned_rows(*, context: ReleaseContext, code: Sequence[Path], tasks: Sequence[str], progress: Progress) -> list[list[Any]]:
    """``[suite, task, [[item id, document], …]]`` of some tasks of a release, as its plan holds them."""
    build = importlib.import_module("kdgov.evaluation.plan.build")
    with allowed_code(code):
        plan = build.build_plan(build.read_suites(context.release.suites, beside=context.path), tasks=tasks, progress=progress)
    return [[task.suite, task.task, [[item.item_id, item.doc] for item in task.items]] for task in plan.tasks]


def planned_requests(*, context: ReleaseContext, code: Sequence[Path], progress: Progress) -> dict[str, int]:
    """Task → requests of it, as the plan of a release holds them."""
    with allowed_code(code):
        plan, _ = release_questions(replace(context, progress=progress))
    return {task.name: sum(len(item.requests) for item in task.items) for task in plan.tasks}


def endpoint_questions(*, context: ReleaseContext, code: Sequence[Path], progress: Progress) -> dict[str, Any]:
    """What a release asks of endpoints: tasks ``left`` out, tokens ``asked`` of each role, ``judges``, ``messages`` of tasks."""
    estimate = importlib.import_module("kdgov.pipeline.asked_models.asking_estimate").evaluation_estimate
    with allowed_code(code):
        plan, left = release_questions(replace(context, progress=progress))
    roles = asked_endpoints(context.release)
    judges = importlib.import_module("kdgov.pipeline.asked_models.judging_estimate").planned_judges(plan, context)
    return {
        "judges": [asdict(one) for one in judges],
        "left": [asdict(one) for one in left],
        "asked": {role: asdict(estimate(plan, context, role, at)) for role, at in roles.items()},
        "messages": {task.name: messages_of(task.items[0].requests[0].context) for task in plan.tasks},
    }


def release_questions(context: ReleaseContext) -> tuple[Any, tuple[Any, ...]]:
    """The frozen plan of a release, and the tasks left out because an endpoint cannot answer them (`NotApplicable`)."""
    made = importlib.import_module("kdgov.evaluation.evaluate_release")
    materials = load_release_inputs(context)
    logged = replay_inputs(materials, release=context.path, store=context.store.root)
    limit = context.release.evaluation.limit
    plan = made.release_plan(context.release, context.path, logged=logged, limit=limit, progress=context.progress)
    has_files = any(file_field(task.kind, task.options) for file in materials.suites for task in file.suite.tasks)
    plan = made.told_apart(plan, suite_coverage(materials), media_coverage(context, materials) if has_files else None)
    system, withheld = release_mitigations(context)
    under = importlib.import_module("kdgov.evaluation.plan.mitigated").mitigated
    if not asks_in_messages(context.release):
        return under(plan, system, withheld), ()
    kept, left = importlib.import_module("kdgov.evaluation.plan.messages").answerable(plan)
    if not kept.tasks:
        raise InputError(
            f"no task of its suites can be asked of an endpoint: {', '.join(sorted({one.needs for one in left}))} would be needed",
            where=str(context.path),
            mend="Name suites whose tasks are answered in text (docs/endpoints.md).",
        )
    return under(kept, system, withheld), left
