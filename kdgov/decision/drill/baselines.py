"""What common practice would have decided on the same tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from math import comb

import numpy as np

from kdgov.decision.drill.simulation import Case, World
from kdgov.decision.statistics.distributions import normal_quantile
from kdgov.decision.statistics.paired import Values

BASELINES = ("point threshold", "McNemar", "unpaired z")
"""Point difference against the margin; block only what is significantly worse; non-inferiority as if unpaired."""


def baseline_verdicts(world: World, case: Case) -> dict[str, bool]:
    """Baseline → whether it would promote the student, every metric with a margin having to pass."""
    promotes = dict.fromkeys(BASELINES, True)
    for teacher, student, margin, alpha in _pairs(world, case):
        promotes["point threshold"] &= bool(student.mean() - teacher.mean() >= -margin)
        promotes["McNemar"] &= not _mcnemar_worse(teacher, student, alpha)
        promotes["unpaired z"] &= _unpaired(teacher, student, margin, alpha)
    return promotes


def _pairs(world: World, case: Case) -> Iterator[tuple[Values, Values, float, float]]:
    for shape in world.shapes:
        criterion = next((c for c in world.policy.criteria if c.id in shape.criteria and c.kind in ("non_inferiority", "retention")), None)
        sides = [table.partitions.get(shape.key) for table in (case.teacher, case.student)]
        if criterion is None or sides[0] is None or sides[1] is None:
            continue
        teacher, student = case.teacher.scores[sides[0]], case.student.scores[sides[1]]
        if len(teacher) != len(student):
            shared = min(len(teacher), len(student))
            teacher, student = teacher[:shared], student[:shared]
        if shape.direction in ("lower", "target"):
            teacher, student = 1 - teacher, 1 - student
        kept = np.isfinite(teacher) & np.isfinite(student)
        yield teacher[kept], student[kept], shape.margin, criterion.alpha


def _mcnemar_worse(teacher: Values, student: Values, alpha: float) -> bool:
    lost, won = int(np.count_nonzero(student < teacher)), int(np.count_nonzero(student > teacher))
    flips = lost + won
    if flips == 0 or lost <= won:
        return False
    if flips > 1000:  # noqa: PLR2004 - the exact sum is slow there and the normal law exact enough
        return (lost - won - 1) / math.sqrt(flips) > normal_quantile(1 - alpha)
    return float(sum(comb(flips, k) for k in range(lost, flips + 1)) / 2**flips) < alpha


def _unpaired(teacher: Values, student: Values, margin: float, alpha: float) -> bool:
    error = math.sqrt(teacher.var() / len(teacher) + student.var() / len(student))
    return bool(student.mean() - teacher.mean() - normal_quantile(1 - alpha) * error > -margin)
