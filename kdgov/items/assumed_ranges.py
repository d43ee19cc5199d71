"""Ranges of scores that no file states, assumed from those that were seen, so that one unseen item cannot lose any amount.

Tools seldom say how bad a score can be. Without an end, nothing can be proven: one unseen item could lose everything. So an end is
assumed, generously, and the decision says so; a policy's own `range:` takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from kdgov.items.metric import Direction, MetricDeclaration, declaration_for
from kdgov.items.table import ItemTable, MetricKey

_WIDER = 2.0
"""How much wider than the seen spread an open range is assumed to be."""


def assumed_ranges(
    teacher: ItemTable,
    student: ItemTable,
    metrics: tuple[MetricDeclaration, ...],
    *,
    directions: Iterable[tuple[MetricKey, Direction]] = (),
) -> tuple[MetricDeclaration, ...]:
    """Declarations with a range for every metric of numbers that has none; metrics of 0 and 1 alone need none.

    Args:
        teacher: the teacher's scores.
        student: the student's.
        metrics: what the files declare.
        directions: what the policy says of metrics that the files do not declare.

    Returns:
        Scores between 0 and 1 are assumed to stay between 0 and the largest seen; any other open end lies twice as far away as
        the farthest score.
    """
    stated = dict(directions)
    open_ended: dict[tuple[object, ...], list[tuple[MetricKey, MetricDeclaration]]] = {}
    for key in sorted(set(teacher.partitions) & set(student.partitions)):
        declared = declaration_for(metrics, *key)
        if declared is None and key in stated:
            declared = MetricDeclaration(suite=key.suite, task=key.task, metric=key.metric, direction=stated[key])
        if declared is not None and declared.direction != "target" and (declared.low is None or declared.high is None):
            # Tasks that may be pooled get one range.
            alike = (key.suite, key.metric, declared.direction, declared.low, declared.high)
            open_ended.setdefault(alike, []).append((key, declared))
    found = []
    for members in open_ended.values():
        rows = [table.scores[table.partitions[key]] for key, _ in members for table in (teacher, student)]
        scores = np.concatenate(rows)
        scores = scores[np.isfinite(scores)]
        if not len(scores) or np.all((scores == 0) | (scores == 1)):
            continue
        low, high = _ends(float(scores.min()), float(scores.max()), members[0][1].low, members[0][1].high)
        found += [replace(d, suite=key.suite, task=key.task, metric=key.metric, low=low, high=high) for key, d in members]
    return tuple(found)


def _ends(smallest: float, largest: float, low: float | None, high: float | None) -> tuple[float, float]:
    if smallest >= 0.0 and largest <= 1.0 and low in (None, 0.0) and high in (None, 1.0):
        return 0.0, largest
    if low is None and high is None:
        beyond = (largest - smallest) * (_WIDER - 1.0) / 2.0
        return smallest - beyond, largest + beyond
    if low is None:
        end = largest if high is None else high
        return end - _WIDER * (end - smallest), end
    return low, low + _WIDER * (largest - low)
