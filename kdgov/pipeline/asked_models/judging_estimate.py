"""What judges behind an address are asked at most: one request for each answer that they judge, of every model that answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdgov.declarations.effects.asked_endpoints import judges_at_addresses
from kdgov.declarations.release import Release
from kdgov.declarations.suite_judge import JudgeInSuite
from kdgov.endpoints.reply import estimated_tokens
from kdgov.evaluation.backends.chat_endpoint import answer_tokens
from kdgov.evaluation.plan.item_data import read_data
from kdgov.evaluation.plan.request import Plan, PlannedTask, shown_text
from kdgov.evaluation.release_settings import asks_baseline
from kdgov.evaluation.scoring.judge_replies import JudgeReplies
from kdgov.evaluation.scoring.judges import judge_digest
from kdgov.pipeline.asked_models.asking_estimate import Estimate
from kdgov.pipeline.context import ReleaseContext


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJudge:
    """One judge behind an address."""

    name: str
    """``suite/judge``."""
    endpoint: dict[str, Any]
    """Who is asked."""
    asked: Estimate
    """What judging every answer of the release takes at most."""
    paid_usd: float
    """What this judge was paid out of this store before; it counts against its budget, and its replies are not asked for again."""


def answering_models(release: Release) -> int:
    """How many models answer what a release asks, and are judged: the two, and a control, a root and a baseline where there are any."""
    has_weights = release.student.endpoint is None
    return 2 + has_weights + (release.teacher.root is not None) + (asks_baseline(release) and release.student.model is not None)


def planned_judges(plan: Plan, context: ReleaseContext) -> list[PlannedJudge]:
    """Every judge behind an address that a plan's metrics name, with what it is asked at most."""
    found: dict[tuple[str, str], Estimate] = {}
    first: dict[tuple[str, str], PlannedTask] = {}
    models = answering_models(context.release)
    for task in plan.tasks:
        for name in judges_at_addresses(task.scorer.suite, task.scorer.declared):
            key, judge = (task.suite, name), task.scorer.suite.judges[name]
            once = Estimate() if key in first else _validation(task, name, judge)
            found[key] = found.get(key, Estimate()) + once + _of_task(task, judge, models)
            first.setdefault(key, task)
    return [_planned(key, first[key], asked, context) for key, asked in found.items()]


def _planned(key: tuple[str, str], task: PlannedTask, asked: Estimate, context: ReleaseContext) -> PlannedJudge:
    judge = task.scorer.suite.judges[key[1]]
    paid = JudgeReplies(context.store.root / "answers", judge_digest(judge, task.scorer.suite_file)).usd
    return PlannedJudge(name="/".join(key), endpoint=judge.endpoint.model_dump(mode="json"), asked=asked, paid_usd=paid)


def _of_task(task: PlannedTask, judge: JudgeInSuite, models: int) -> Estimate:
    # Compared in pairs, the teacher stands against itself, which asks nothing; every other model is shown in both orders.
    is_paired = judge.form == "pairwise"
    times, shown = (2 * (models - 1), 2) if is_paired else (models, 1)
    frame, total = estimated_tokens(str(judge.prompt)), Estimate()
    for item in task.items:
        request = item.requests[0]
        # Thoughts are cut off before an answer is judged: only its own length counts.
        read = frame + estimated_tokens(shown_text(request.context)) + shown * answer_tokens(request.generation, None)
        total += Estimate(requests=times, input_tokens=times * read, output_tokens=times * judge.max_tokens)
    return total


def _validation(task: PlannedTask, name: str, judge: JudgeInSuite) -> Estimate:
    if judge.validation is None:
        return Estimate()
    rows, _ = read_data(judge.validation, suite_file=task.scorer.suite_file, key=f"judges.{name}.validation")
    return sum(_of_rows(rows, judge), start=Estimate())


def _of_rows(rows: Sequence[Mapping[str, Any]], judge: JudgeInSuite) -> Iterator[Estimate]:
    for row in rows:
        read = sum(estimated_tokens(str(text)) for text in (judge.prompt, row.get("prompt", ""), row.get("text", "")))
        yield Estimate(requests=1, input_tokens=read, output_tokens=judge.max_tokens)
