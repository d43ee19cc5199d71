"""Groups in lm_eval's results files: which tasks they average and how, held against the tasks' own numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kdgov.finding import Finding
from kdgov.items.aggregates import aggregate_fault
from kdgov.items.metric import MetricDeclaration
from kdgov.items.per_item_rules import scalar
from kdgov.items.reader import evidence_finding
from kdgov.items.readers.lm_eval.lm_eval_results import SUITE, Results, directions

_EXACT = 1e-9
_CLOSE = 1e-3
_MOST_NESTED = 20
Means = Mapping[tuple[str, str], tuple[float, int]]
"""(task, metric as the table names it) → mean of its rows, and their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """What the results files say of groups."""

    metrics: tuple[MetricDeclaration, ...] = ()
    """Every mean that can be computed again from the items."""
    findings: tuple[Finding, ...] = ()
    """Means that their tasks contradict."""


def read_groups(all_results: Sequence[Results], means: Means) -> Groups:
    """Every group's means, the newest file's where several speak of one.

    Args:
        all_results: results files, newest first.
        means: of the rows that were read.
    """
    metrics: list[MetricDeclaration] = []
    findings: list[Finding] = []
    seen: set[str] = set()
    for results in all_results:
        for group, children in results.part("group_subtasks").items():
            if not children or group in seen or not isinstance(children, list):
                continue
            seen.add(group)
            leaves = list(_leaves(group, results, 0))
            for key, stated in _stated(group, results):
                declared, fault = _mean(group, key, stated, leaves, results, means)
                metrics += [declared] if declared is not None else []
                findings += [fault] if fault is not None else []
    return Groups(metrics=tuple(metrics), findings=tuple(findings))


def _leaves(name: str, results: Results, depth: int) -> Iterator[str]:
    """Tasks below a group; one that two inner groups name comes twice, as lm_eval counts it."""
    children = results.part("group_subtasks").get(name)
    if not children or not isinstance(children, list) or depth > _MOST_NESTED:
        yield name
        return
    for child in children:
        yield from _leaves(str(child), results, depth + 1)


def _stated(group: str, results: Results) -> Iterator[tuple[str, float]]:
    row = results.part("groups").get(group, results.part("results").get(group))
    for key, value in row.items() if isinstance(row, dict) else ():
        number = scalar(value) if "," in key and "_stderr," not in key and not isinstance(value, str) else None
        if number is not None:
            yield key, number


def _mean(
    group: str, key: str, stated: float, leaves: Sequence[str], results: Results, means: Means
) -> tuple[MetricDeclaration | None, Finding | None]:
    metric, _, filter_name = key.partition(",")
    found = {leaf: value for leaf in leaves if (value := results.aggregate(leaf, metric, filter_name)) is not None}
    members = tuple(leaf for leaf in leaves if leaf in found)
    if not members:
        return None, None
    in_table = metric if filter_name in ("none", "") else f"{metric},{filter_name}"
    sizes = [results.asked_items(leaf) or means.get((leaf, in_table), (0.0, 0))[1] for leaf in members]
    values = [found[leaf] for leaf in members]
    by_items = math.fsum(v * n for v, n in zip(values, sizes, strict=True)) / sum(sizes) if sum(sizes) else math.nan
    by_tasks = math.fsum(values) / len(values)
    weighted = abs(stated - by_items) <= abs(stated - by_tasks) + _EXACT
    fault = aggregate_fault(group, key, stated, by_items if weighted else by_tasks, items=sum(sizes), file=results.source.name)
    if fault is not None:
        reason = (
            f"{results.source.name} says {key} {stated:g} of the group {group}, whose {len(members)} tasks give {by_items:g} by items and "
            f"{by_tasks:g} by tasks: the numbers are not of one run, or were edited."
        )
        return None, evidence_finding("aggregate", f"{group}/{key}", reason, fault.mend, stated=stated, found=by_items)
    return _declared(group, metric, in_table, members, weighted, results, means, found), None


def _declared(
    group: str,
    metric: str,
    in_table: str,
    members: tuple[str, ...],
    weighted: bool,
    results: Results,
    means: Means,
    found: Mapping[str, float],
) -> MetricDeclaration | None:
    """The mean as the gate reads it; None where a task's number is no mean of its items, or the tasks point different ways."""
    for leaf in members:
        mean = means.get((leaf, in_table))
        if mean is not None and abs(mean[0] - found[leaf]) > _CLOSE * max(1.0, abs(found[leaf])):
            return None
    if not any((leaf, in_table) in means for leaf in members):
        return None
    ways = [one for leaf in dict.fromkeys(members) for one in directions(leaf, [metric], results) if one.metric == metric]
    if not ways or len({(one.direction, one.ideal, one.low, one.high) for one in ways}) > 1:
        return None
    return replace(ways[0], suite=SUITE, task=group, metric=in_table, members=members, weighted=weighted)
