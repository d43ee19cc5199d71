"""Non-inferiority: the student must prove that it is no more than the margin worse than the teacher."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kdgov.decision import wording
from kdgov.decision.criteria.comparison_cells import Cell
from kdgov.decision.criteria.metric_scale import better
from kdgov.decision.criteria.paired_items import Pairs
from kdgov.decision.decision import CriterionResult, Verdict
from kdgov.decision.statistics.conclusion import conclude
from kdgov.decision.statistics.intervals import ShiftedInterval, p_worse
from kdgov.decision.statistics.methods import Estimate, is_binary
from kdgov.decision.statistics.paired import Values
from kdgov.decision.statistics.sizes.sample_size_projection import items_to_settle, max_or_none
from kdgov.quantities import plain_number

_SIGN_ALPHA = 0.005
"""Level at which the teacher must be proven to lie on one side of the ideal."""


def judge_non_inferiority(cell: Cell) -> CriterionResult:
    """Pass if the lower bound of the difference clears -margin, fail if the upper bound lies below it, else inconclusive."""
    if cell.scale.direction is None:
        return cell.result("invalid", f"nothing says whether higher or lower {cell.key.metric} is better; name `direction`")
    span = cell.scale.reach
    worst = _largest_loss(cell)
    if worst is not None and cell.margin >= worst:
        reach = f"no student can be worse on {cell.key.metric} than {plain_number(worst)}, its whole range"
        return cell.result("invalid", f"the margin {plain_number(cell.margin)} judges nothing, since {reach}; lower `margin`")
    if cell.scale.direction == "target":
        return _judge_target(cell)
    turned = [better(scores, cell.scale.direction) for scores in (cell.pairs.teacher, cell.pairs.student)]
    return conclude_cell(cell, (_difference(cell.pairs, turned[0], turned[1], span, worst=_worst(cell)),))


def _largest_loss(cell: Cell) -> float | None:
    """How much worse any student can be; None where the range is open. Scores that are all 0 or 1 range from 0 to 1."""
    low, high, ideal = cell.scale.low, cell.scale.high, cell.scale.ideal
    if low is None or high is None:
        if not (is_binary(cell.pairs.teacher) and is_binary(cell.pairs.student)):
            return None
        low, high = 0.0, 1.0
    if cell.scale.direction != "target" or ideal is None:
        return high - low
    nearest = max(low - ideal, ideal - high, 0.0)
    return max(ideal - low, high - ideal) - nearest


def _difference(pairs: Pairs, teacher: Values, student: Values, reach: float | None, *, worst: float | None = None) -> Estimate:
    return pairs.difference(teacher, student, reach=reach, worst=worst)


def _worst(cell: Cell) -> float | None:
    """Worst possible score, turned so that higher is better."""
    worst = cell.scale.worst(binary=False)
    return None if worst is None else -worst if cell.scale.direction == "lower" else worst


def _judge_target(cell: Cell) -> CriterionResult:
    """Closeness to an ideal: |student - ideal| may exceed |teacher - ideal| by the margin at most.

    Where the teacher is proven to lie on side s of the ideal, that is s (student - teacher) < margin and
    -s (student + teacher - 2 ideal) < margin, both proven. Where its side is open, the student may have moved by the
    margin at most in either direction, which implies it. Intersection-union in both cases, so each part keeps its level.
    """
    ideal = cell.scale.ideal
    if ideal is None:
        return cell.result("invalid", f"{cell.key.metric} aims at a target and nobody names its `ideal`")
    pairs, reach = cell.pairs, cell.scale.reach
    flip = 1.0 if is_binary(pairs.teacher) and is_binary(pairs.student) else 0.0
    rising = _difference(pairs, pairs.teacher, pairs.student, reach)
    falling = _difference(pairs, flip - pairs.teacher, flip - pairs.student, reach)
    low, high = pairs.level(pairs.teacher, reach=reach).interval.bounds(_SIGN_ALPHA)
    if low <= ideal <= high:
        return conclude_cell(cell, (falling, rising))
    mirror = flip - pairs.teacher
    if low > ideal:
        beyond, shift = _difference(pairs, mirror, pairs.student, reach), flip - 2.0 * ideal
    else:
        beyond, shift = _difference(pairs, pairs.teacher, flip - pairs.student, reach), 2.0 * ideal - flip
    overshooting = replace(beyond, interval=ShiftedInterval(of=beyond.interval, by=shift))
    return conclude_cell(cell, (falling if low > ideal else rising, overshooting))


def conclude_cell(cell: Cell, estimates: tuple[Estimate, ...], *, values: tuple[float, float] | None = None) -> CriterionResult:
    """The result of a cell from what was estimated, all of which must hold.

    Args:
        cell: what is judged.
        estimates: estimates of the difference in the better direction.
        values: teacher's and student's value, where it is not the mean of their scores.
    """
    alpha, margin = cell.criterion.alpha, cell.margin
    found = conclude(estimates, margin=margin, alpha=alpha)
    decisive, hindrance = found.decisive, found.hindrance or cell.unevenness
    too_few = cell.pairs.n < cell.min_items
    verdict: Verdict = "inconclusive" if found.verdict == "pass" and (too_few or hindrance) else found.verdict
    teacher, student = values or (cell.pairs.mean(cell.pairs.teacher), cell.pairs.mean(cell.pairs.student))
    needed = None
    if verdict == "inconclusive":
        sizes = {"n": cell.pairs.n, "min_items": cell.min_items}
        needed = max_or_none(items_to_settle(e, e.interval, **sizes, margin=margin, alpha=alpha) for e in estimates)
    proven_at = p_worse(decisive.interval, margin) if verdict == "fail" else None
    result = cell.result(
        verdict,
        "",
        clusters=decisive.clusters,
        teacher=teacher,
        student=student,
        difference=_loss(cell, teacher, student),
        bound=found.lower,
        upper=found.upper,
        margin=margin,
        method=decisive.interval.method,
        n_needed=needed,
        p_worse=proven_at,
        details=_details(cell, decisive),
    )
    return replace(result, reason=wording.compared(result, cell.scale, hindrance=hindrance, min_items=cell.min_items if too_few else 0))


def _loss(cell: Cell, teacher: float, student: float) -> float:
    match cell.scale.direction:
        case "lower":
            return teacher - student
        case "target" if cell.scale.ideal is not None:
            return abs(teacher - cell.scale.ideal) - abs(student - cell.scale.ideal)
        case _:
            return student - teacher


def _details(cell: Cell, decisive: Estimate) -> dict[str, float | int]:
    pairs = cell.pairs
    turned = better(pairs.teacher, cell.scale.direction), better(pairs.student, cell.scale.direction)
    details: dict[str, float | int] = {
        "lost": int(np.count_nonzero(turned[1] < turned[0])),
        "won": int(np.count_nonzero(turned[1] > turned[0])),
        "design_effect": decisive.design_effect,
    }
    if decisive.cross_check is not None and cell.scale.direction != "target":
        details["newcombe_lower_bound_95"] = decisive.cross_check
    return details
