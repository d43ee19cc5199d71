"""The groups of a plan: which tasks' scores a group averages, and how."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kdgov.evaluation.plan.request import PlannedGroup, PlannedTask
from kdgov.items.metric import MetricDeclaration
from kdgov.items.table import ItemTable, MetricKey

if TYPE_CHECKING:
    from kdgov.declarations.suite import Suite


def group_value(group: PlannedGroup, table: ItemTable, tasks: Sequence[Mapping[str, Any]] = ()) -> float | None:
    """The group's mean by the rows of one model, as lm-eval computes it; None where a row is missing or is no number.

    Args:
        group: the group.
        table: the model's rows.
        tasks: what its evidence says of each task, for means of the tasks' own numbers.
    """
    if group.of_numbers:
        return _mean_of_numbers(group, tasks)
    sizes, sums = [], []
    for task in group.tasks:
        rows = table.partitions.get(MetricKey(group.suite, task, group.metric))
        if rows is None:
            return None
        scores = table.scores[rows]
        sizes.append(len(scores) if group.weighted else 1)
        sums.append(float(scores.mean()) * sizes[-1])
    total = math.fsum(sums) / sum(sizes)
    return total if math.isfinite(total) else None


def _mean_of_numbers(group: PlannedGroup, tasks: Sequence[Mapping[str, Any]]) -> float | None:
    of_task = {str(task["task"]): task for task in tasks if task["suite"] == group.suite}
    sizes, sums = [], []
    for name in group.tasks:
        mean = of_task[name]["means"].get(group.metric, {}) if name in of_task else {}
        value = mean.get("of_task", mean.get("mean"))
        if value is None or mean.get("missing"):
            return None
        sizes.append(int(of_task[name]["items"]) if group.weighted else 1)
        sums.append(float(value) * sizes[-1])
    return math.fsum(sums) / sum(sizes)


def group_declaration(group: PlannedGroup, declared: Sequence[MetricDeclaration], sizes: Mapping[str, int]) -> MetricDeclaration:
    """The group's metric as the gate reads it: scale of its tasks, their chance level averaged as the scores are.

    Args:
        group: the group.
        declared: what its suite declares of the tasks' metrics.
        sizes: task → its items.
    """
    of_task = {m.task: m for m in declared if m.suite == group.suite and m.metric == group.metric and not m.members}
    own = [of_task[task] for task in group.tasks]
    weights = [sizes[task] if group.weighted else 1 for task in group.tasks]
    chances = [m.chance for m in own if m.chance is not None]
    is_known = len(chances) == len(own)
    return replace(
        own[0],
        task=group.group,
        chance=math.fsum(c * w for c, w in zip(chances, weights, strict=True)) / sum(weights) if is_known else None,
        judge=own[0].judge if len({m.judge for m in own}) == 1 else "",
        harmful=any(m.harmful for m in own),
        members=group.tasks,
        weighted=group.weighted,
    )


def planned_groups(suites: Sequence[Suite], tasks: Sequence[PlannedTask]) -> tuple[PlannedGroup, ...]:
    """The means of the suites' groups, those alone whose every task is planned with the metric."""
    there = {(task.suite, task.task, str(metric["metric"])) for task in tasks for metric in task.metrics}
    return tuple(
        PlannedGroup(
            suite=suite.name,
            group=group.name,
            alias=group.alias,
            metric=mean.metric,
            tasks=mean.tasks,
            weighted=mean.weighted,
            of_numbers=mean.of_numbers,
        )
        for suite in suites
        for group in suite.task_groups
        for mean in group.means
        if all((suite.name, task, mean.metric) in there for task in mean.tasks)
    )
