"""A group of tasks judged by its mean: lm-eval's ``aggregate_metric_list``, each task a stratum of its own.

The mean may hide a task that collapsed. So every task's difference stands in the result, and a task that is proven to have lost more
than the margin is named by a finding, which a policy may let stop the release.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from kdgov.decision.criteria.metric_scale import Scale, better
from kdgov.decision.criteria.paired_items import Mismatch, Pairs, pool
from kdgov.decision.decision import CriterionResult
from kdgov.decision.policy import Criterion
from kdgov.decision.statistics.clusters import Codes
from kdgov.decision.statistics.intervals import p_worse
from kdgov.decision.statistics.methods import compare
from kdgov.decision.statistics.stratified import Strata
from kdgov.decision.wording import signed
from kdgov.finding import Finding
from kdgov.items import ItemTable, MetricDeclaration, MetricKey
from kdgov.passing_rules import passing
from kdgov.quantities import quantity

KINDS_OF_MEANS = ("non_inferiority", "retention", "floor", "ceiling")
"""Kinds of criteria that can be asked of a group's mean."""
TASKS = "group_tasks"
LOST = "evidence.group-task-lost"
_NAMED = 5


def group_fault(criterion: Criterion) -> str:
    """Why a criterion cannot be asked of a group's mean; empty where it can."""
    if criterion.kind not in KINDS_OF_MEANS:
        return f"{criterion.kind} is judged task by task; name the tasks, or a pattern"
    wrong = {
        "by": criterion.by,
        "where": criterion.where,
        "sequential": criterion.sequential,
        "statistic": criterion.statistic not in (None, "mean"),
        "gold": criterion.gold_items,
    }
    if named := [name for name, value in wrong.items() if value]:
        return f"`{named[0]}` is judged task by task; name the tasks, or a pattern"
    return ""


def group_pairs(declared: MetricDeclaration, parts: Sequence[Pairs], teacher: ItemTable) -> Pairs | Mismatch:
    """The items of all tasks, each task a stratum that counts as the group says; or why they make no mean.

    Args:
        declared: the group's mean.
        parts: pairs of every task, as `MetricDeclaration.member_keys` orders them.
        teacher: the teacher's table, to see which tasks share items.
    """
    if any(gold is not None for part in parts for gold in (part.gold_teacher, part.gold_student)):
        return Mismatch(reason=f"trusted scores (gold) correct single tasks, and {declared.task} is a group; judge its tasks")
    times = np.array([declared.members.count(key.task) for key in declared.member_keys()], dtype=np.float64)
    sizes = np.array([part.n for part in parts], dtype=np.float64)
    weights = times * sizes if declared.weighted else times
    codes = np.repeat(np.arange(len(parts)), sizes.astype(np.int64))
    strata = Strata(codes=codes, shares=weights / weights.sum(), linked=_linked(parts, teacher))
    return replace(pool(parts), strata=strata)


def _linked(parts: Sequence[Pairs], table: ItemTable) -> Codes:
    """Tasks that share a source item, or a cluster that is named, under one number."""
    owner = list(range(len(parts)))

    def root(number: int) -> int:
        while owner[number] != number:
            number = owner[number]
        return number

    seen: dict[str, int] = {}
    for number, part in enumerate(parts):
        for name in _marks(part, table):
            owner[root(number)] = root(seen.setdefault(name, number))
    return np.array([root(number) for number in range(len(parts))], dtype=np.int64)


def _marks(part: Pairs, table: ItemTable) -> Iterable[str]:
    rows = np.concatenate(part.teacher_rows)
    texts: list[str] = []
    if table.has("item_digest"):
        texts += [f"item {value}" for value in _texts(table.column("item_digest", rows)) if value]
    if table.has("cluster"):
        names = zip(_texts(table.column("cluster", rows)), _texts(table.column("item_id", rows)), strict=True)
        # An item that is its own cluster is named after itself: "17" of one task is not "17" of another.
        texts += [f"cluster {cluster}" for cluster, item in names if cluster and cluster != item]
    return set(texts)


def _texts(column: pa.Array) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values


def with_tasks(result: CriterionResult, pairs: Pairs, scale: Scale, margin: float) -> CriterionResult:
    """The result of a group with every task's own numbers, and those named that are proven to have lost more than the margin."""
    if pairs.strata is None or result.student is None:
        return result
    tasks = [_task_of(pairs, number, scale, margin) for number in range(len(pairs.keys))]
    lost: set[int] = set()
    if result.reference != "absolute":
        lost = _proven([task.chance for task in tasks], 1.0 - (result.confidence or 0.95))
    rows = [{**task.as_json(), "lost": number in lost} for number, task in enumerate(tasks)]
    worst = min(tasks, key=lambda task: task.difference)
    told = f"mean of {quantity(len(rows), 'task')}, the worst of them {signed(worst.difference, result.unit == 'share')} (`{worst.task}`)"
    more = f"; {quantity(len(lost), 'task')} proven to have lost more than the margin" if lost else ""
    return replace(result, reason=f"{result.reason}; {told}{more}", details={**result.details, TASKS: rows})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One task of a group, by itself."""

    task: str
    n: int
    teacher: float
    student: float
    difference: float
    chance: float
    """Level at which its loss is proven to exceed the margin."""

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("task", "n", "teacher", "student", "difference")}


def _task_of(pairs: Pairs, number: int, scale: Scale, margin: float) -> _Task:
    assert pairs.strata is not None  # noqa: S101 - the caller's own check
    kept = pairs.strata.of(number)
    teacher, student = pairs.teacher[kept], pairs.student[kept]
    means = float(teacher.mean()), float(student.mean())
    direction, difference = scale.direction, means[1] - means[0]
    if direction == "target" and scale.ideal is not None:
        difference = abs(means[0] - scale.ideal) - abs(means[1] - scale.ideal)
        same_side = (means[0] - scale.ideal) * (means[1] - scale.ideal) >= 0
        direction = None if not same_side else "lower" if means[1] > scale.ideal else "higher"
    elif direction == "lower":
        difference = -difference
    chance = 0.5
    if direction is not None:
        clusters = None if pairs.clusters is None else np.unique(pairs.clusters[kept], return_inverse=True)[1].astype(np.int64)
        turned = better(teacher, direction), better(student, direction)
        chance = p_worse(compare(*turned, clusters=clusters, reach=scale.reach).interval, margin)
    return _Task(task=pairs.keys[number].task, n=len(teacher), teacher=means[0], student=means[1], difference=difference, chance=chance)


def _proven(chances: Sequence[float], alpha: float) -> set[int]:
    """Which tasks are proven to have lost more than the margin, over all of them together (Holm)."""
    found: set[int] = set()
    for place, number in enumerate(sorted(range(len(chances)), key=lambda number: chances[number])):
        if chances[number] > alpha / (len(chances) - place):
            break
        found.add(number)
    return found


def group_findings(results: Sequence[CriterionResult], metrics: Sequence[MetricDeclaration], tables: Sequence[ItemTable]) -> list[Finding]:
    """Tasks that lost inside a group's mean, and the means of groups that no criterion names."""
    lost = [finding for result in results if (finding := _lost(result)) is not None]
    judged = {(result.suite, result.task, result.metric) for result in results}
    groups = {(m.suite, m.task, m.metric): m for m in metrics if m.members}
    unnamed = [m for key, m in sorted(groups.items()) if key not in judged]
    told = [found for m in unnamed if (found := _shown(m, tables))]
    absent = [f"{m.group_name}, of which a task has no rows" for m in unnamed if not _shown(m, tables)]
    if not told:
        return lost
    shown = "; ".join(told[:_NAMED]) + (f" and {len(told) - _NAMED} more" if len(told) > _NAMED else "")
    reason = f"Means of groups that no criterion names, whose tasks are judged by themselves: {shown}."
    return [
        *lost,
        passing("evidence", "evidence.group-means", "groups", reason, looked_for={"groups": len(told)}, left_out=absent, means=told),
    ]


def _shown(declared: MetricDeclaration, tables: Sequence[ItemTable]) -> str:
    means = []
    for table in tables:
        rows = [table.partitions.get(key) for key in declared.member_keys()]
        if any(one is None for one in rows):
            return ""
        scores = [table.scores[one] for one in rows if one is not None]
        times = [declared.members.count(key.task) for key in declared.member_keys()]
        weights = [t * (len(s) if declared.weighted else 1) for t, s in zip(times, scores, strict=True)]
        means.append(sum(w * float(s.mean()) for w, s in zip(weights, scores, strict=True)) / sum(weights))
    return f"{declared.suite}/{declared.task} {declared.metric} {means[0]:.4f} → {means[1]:.4f}"


def _lost(result: CriterionResult) -> Finding | None:
    rows = [row for row in result.details.get(TASKS, ()) if row["lost"]]
    if not rows:
        return None
    share = result.unit == "share"
    in_order = sorted(rows, key=lambda row: float(row["difference"]))
    told = ", ".join(f"{row['task']} ({signed(row['difference'], share)})" for row in in_order[:_NAMED])
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return Finding(
        check="evidence",
        verdict="warn",
        subject=f"{result.id} on {result.place}",
        reason=f"Inside the group's mean, {quantity(len(rows), 'task')} proven to have lost more than the margin: {told}{more}.",
        mend="Look at these tasks; `tasks: [pattern]` judges every task on its own, and `findings:` may let this stop a release.",
        rule=LOST,
        source="docs/gate.md, groups of tasks",
        details={"tasks": [row["task"] for row in in_order]},
    )


def groups_named(criterion: Criterion, metrics: Sequence[MetricDeclaration]) -> list[MetricDeclaration]:
    """The groups' means that a criterion names."""
    found = {(m.suite, m.task, m.metric): m for m in metrics if m.members and criterion.names_group(MetricKey(m.suite, m.task, m.metric))}
    return [found[key] for key in sorted(found)]
