"""What the evaluation step does when something has to be asked: imported only then."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from kdgov.checkpoints.endpoint_identity import Identity
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.release import Release
from kdgov.declarations.suite import Suite, find_suite, load_suite
from kdgov.declarations.suite_data import DataInSuite
from kdgov.declarations.suite_judge import JudgeInSuite
from kdgov.declarations.suite_parts.suite_metric import MetricInSuite
from kdgov.digest import digest_json, write_atomic
from kdgov.evaluation.backends.hugging_face.no_skill_control import make_control
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.build import SuiteSource, build_plan, read_suites
from kdgov.evaluation.plan.media import FILE, media_folder, planned_file
from kdgov.evaluation.plan.request import CHAT, Plan, PlannedTask
from kdgov.evaluation.results.evaluation_run import Evidence, evaluate
from kdgov.evaluation.scoring.judge_labels import read_labels
from kdgov.evidence.bundle_layout import PLAN
from kdgov.processes import is_first, rank
from kdgov.progress import Progress

_TAIL = 600
"""Characters of a prompt that are compared: its end, where the item stands after instructions and examples."""

REPLAY_SUITE = "production-replay"


class ReplayInputs(Protocol):
    """Logged inputs made ready for replay."""

    @property
    def path(self) -> Path:
        """JSON lines of inputs."""

    @property
    def task(self) -> dict[str, Any]:
        """What changes in the shipped replay task: options, cluster, groups."""

    @property
    def reference(self) -> str | None:
        """Whether the inputs carry a known good answer."""

    @property
    def judge(self) -> JudgeInSuite | None:
        """Who says whether an answer is good."""


def release_plan(
    release: Release, path: Path, *, logged: ReplayInputs | None, limit: int | None = None, progress: Progress | None = None
) -> Plan:
    """The plan of a release: its suites, and its logged production inputs as one suite more; at most ``limit`` items of each task."""
    sources = read_suites(release.suites, beside=path)
    if logged is not None and REPLAY_SUITE not in {s.suite.name for s in sources}:
        sources.append(replay_source(logged))
    return build_plan(sources, limit=limit, progress=progress)


def replay_source(logged: ReplayInputs) -> SuiteSource:
    """The shipped replay suite on a user's own logged inputs, with the metrics that their reference or judge makes possible."""
    file = find_suite(REPLAY_SUITE)
    suite = load_suite(file)
    further = [name for name, known in (("reference", logged.reference), ("judged", logged.judge)) if known]
    quality = [_quality(name) for name in further]
    data = DataInSuite(path=str(logged.path.resolve()))
    tasks = [t.model_copy(update={"data": data, "metrics": [*t.metrics, *quality], **logged.task}) for t in suite.tasks]
    judges = {"quality": logged.judge} if logged.judge else {}
    changed = suite.model_copy(update={"tasks": tasks, "judges": {**suite.judges, **judges}})
    return SuiteSource(suite=Suite.model_validate(changed.model_dump(by_alias=True)), path=file)


def _quality(name: str) -> MetricInSuite:
    judge, counts = ("quality", "good") if name == "judged" else (None, None)
    return MetricInSuite(metric=f"{name}_quality", direction="higher", ideal=1.0, range=(0, 1), judge=judge, counts=counts)


IsFar = Callable[[Sequence[str]], Sequence[bool]]
AreFilesFar = Callable[[Sequence[Path]], Sequence[bool]]


def told_apart(plan: Plan, is_far: IsFar | None, are_files_far: AreFilesFar | None = None) -> Plan:
    """The plan with every item marked ``coverage: near`` or ``far`` from the distillation data.

    Args:
        plan: what is asked.
        is_far: says it of texts; None leaves them unmarked.
        are_files_far: says it of images and sounds; None leaves them unmarked.
    """
    return replace(plan, tasks=tuple(_task_apart(task, is_far, are_files_far) for task in plan.tasks))


def _task_apart(task: PlannedTask, is_far: IsFar | None, are_files_far: AreFilesFar | None) -> PlannedTask:
    texts = [item.requests[0].context for item in task.items]
    if any("coverage" in item.group for item in task.items):
        return task
    far: Sequence[bool]
    if texts and all(text.startswith(FILE) for text in texts):
        if are_files_far is None:
            return task
        folder = media_folder(task.scorer.declared, task.scorer.suite_file)
        far = are_files_far([planned_file(text, folder) for text in texts])
    elif is_far is None or any(text.startswith(FILE) for text in texts):
        return task
    else:
        far = is_far([text.removeprefix(CHAT)[-_TAIL:] for text in texts])
    marked = zip(task.items, far, strict=True)
    return replace(task, items=tuple(replace(item, group={**item.group, "coverage": "far" if one else "near"}) for item, one in marked))


def evaluate_one(
    plan: Plan,
    model: Path | Endpoint,
    folder: Path,
    *,
    role: str,
    teacher: Path | Endpoint,
    teacher_how: BackendSettings,
    identity: Identity,
    teacher_identity: Identity,
    cache: Path,
    how: BackendSettings,
    progress: Progress | None = None,
    labels: Sequence[Path] = (),
) -> dict[str, Any]:
    """Evaluate one model of a release into its folder and say in small values what came out."""
    if role == "control" and isinstance(model, Path):
        # Each process draws its own copy, the same one: they are not all on one machine.
        model = make_control(model, folder.with_name(f"{folder.name}.control{rank() or ''}"))
    told = None if progress is None else lambda label, done, total: progress(f"{role} {label}", done, total)
    people = read_labels(labels) if labels else None
    who = None if role == "control" else identity
    reference = (teacher, teacher_how, teacher_identity)
    evidence = evaluate(plan, model, folder, cache=cache, how=how, reference=reference, progress=told, identity=who, labels=people)
    if is_first():
        write_atomic(folder / PLAN, _plan_bytes(plan))
    return _facts(evidence)


def _plan_bytes(plan: Plan) -> bytes:
    return (json.dumps(plan.as_json(), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _facts(evidence: Evidence) -> dict[str, Any]:
    document = evidence.document
    return {
        "plan": document["plan"],
        "items": document["items"],
        "evidence": digest_json(document),
        "aggregates": {f"{t['suite']}/{t['task']}": t["aggregates"] for t in document["tasks"]},
        "usage": dict(document.get("endpoint", {}).get("usage", {})),
    }
