"""Demands on the student itself: floors and ceilings, flips, canary exposure, efficiency."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pyarrow as pa

from kdgov.decision.criteria.comparison_cells import Cell
from kdgov.decision.criteria.metric_scale import better
from kdgov.decision.decision import CriterionResult, Verdict
from kdgov.decision.statistics.clusters import Codes
from kdgov.decision.statistics.distributions import gamma_isf, gamma_sf
from kdgov.decision.statistics.intervals import ShiftedInterval, p_worse
from kdgov.decision.statistics.methods import Estimate, is_binary
from kdgov.decision.statistics.paired import Values
from kdgov.decision.statistics.sizes.sample_size_projection import items_to_settle, settling_items
from kdgov.decision.wording import number
from kdgov.items import ItemTable
from kdgov.items.arrays import floats
from kdgov.quantities import chance_text, quantity

_LN2 = math.log(2.0)
_MEMORISED_SHARE = 0.3
_MEMORISED_RANK = 5
_MOST_CANARIES = 20_000
_RANK_TOLERANCE_BITS = 1e-6
"""Quantities that are counted, not measured: the same on every machine, so that a decision may hold their values."""


def judge_level(cell: Cell, scores: Values, *, floor: float | None = None, ceiling: float | None = None, what: str = "") -> CriterionResult:
    """Pass if the student's mean is proven above the floor, or below the ceiling; exact for 0/1 scores."""
    limit = floor if floor is not None else ceiling
    if limit is None:
        return cell.result("invalid", "the criterion names neither floor nor ceiling")
    if cell.scale.direction is None:
        return cell.result("invalid", f"nothing says whether higher or lower {cell.key.metric} is better; name `direction`")
    estimate = cell.pairs.level(scores, reach=cell.scale.reach)
    mean = cell.pairs.mean(scores)
    distance = mean - limit if floor is not None else limit - mean
    low, high = estimate.interval.bounds(cell.criterion.alpha)
    bound, upper = (low - limit, high - limit) if floor is not None else (limit - high, limit - low)
    verdict: Verdict = "pass" if bound >= 0 else "fail" if upper < 0 else "inconclusive"
    too_few, hindrance = cell.pairs.n < cell.min_items, estimate.hindrance or cell.unevenness
    if verdict == "pass" and (too_few or hindrance):
        verdict = "inconclusive"
    result = replace(
        cell.result(verdict, ""),
        reference="absolute",
        clusters=estimate.clusters,
        teacher=cell.pairs.mean(cell.pairs.teacher) if scores is cell.pairs.student else None,
        student=mean,
        difference=distance,
        bound=bound,
        upper=upper,
        margin=0.0,
        method=estimate.interval.method,
        n_needed=_level_items(cell, estimate, limit) if verdict == "inconclusive" else None,
        p_worse=_p_beyond(cell, estimate, limit, is_floor=floor is not None) if verdict == "fail" else None,
        details={"limit": limit, "limit_kind": "floor" if floor is not None else "ceiling"},
    )
    return replace(result, reason=_level_reason(cell, result, limit, floor is not None, what, hindrance, too_few))


def _level_items(cell: Cell, estimate: Estimate, limit: float) -> int | None:
    spread = max(estimate.spread, limit * (1 - limit) if 0 < limit < 1 else 0.0)
    shifted = ShiftedInterval(of=estimate.interval, by=-limit)
    sizes = {"n": cell.pairs.n, "min_items": cell.min_items}
    return items_to_settle(replace(estimate, spread=spread), shifted, **sizes, margin=0.0, alpha=cell.criterion.alpha)


def _p_beyond(cell: Cell, estimate: Estimate, limit: float, *, is_floor: bool) -> float:
    if is_floor:
        return p_worse(ShiftedInterval(of=estimate.interval, by=-limit), 0.0)
    # Above a ceiling: turn the scale round, so that "worse" is again below zero.
    low, high = math.log(1e-15), math.log(0.5)
    for _ in range(40):
        middle = (low + high) / 2
        if estimate.interval.bounds(math.exp(middle))[0] > limit:
            high = middle
        else:
            low = middle
    return math.exp(high)


def _level_reason(cell: Cell, result: CriterionResult, limit: float, is_floor: bool, what: str, hindrance: str, too_few: bool) -> str:
    share = result.unit == "share"
    edge = limit + (result.bound or 0.0) * (1 if is_floor else -1)
    name = what or f"{cell.key.metric} of the student"
    group = f" for {cell.group}" if cell.group else ""
    sides = "floor" if is_floor else "ceiling"
    limits = f"bound {number(edge, share)}, {sides} {number(limit, share)}"
    text = f"{name} on `{cell.key.task}`{group} is {number(result.student, share)} ({limits})"
    match result.verdict:
        case "pass":
            return f"{text}: holds"
        case "fail":
            return f"{text}: blocked"
        case _ if too_few:
            asked = f"{quantity(result.n, 'item')}, the policy asks for {cell.min_items}"
            return f"{text}: inconclusive; {'; '.join(filter(None, (asked, hindrance)))}"
        case _ if hindrance:
            return f"{text}: inconclusive; {hindrance}"
        case _:
            many = f"about {quantity(result.n_needed, 'item')}" if result.n_needed else "no practical number of items"
            return f"{text}: inconclusive; {many} would decide it"


def judge_churn(cell: Cell) -> CriterionResult:
    """Pass if the share of flips is proven below the ceiling.

    ``negative_flips``: items the teacher had right and the student lost (Yan et al. 2021). ``changed``: items where
    right and wrong changed places, either way.
    """
    if cell.scale.direction is None:
        return cell.result("invalid", f"nothing says whether higher or lower {cell.key.metric} is better; name `direction`")
    teacher, student = better(cell.pairs.teacher, cell.scale.direction), better(cell.pairs.student, cell.scale.direction)
    if not (is_binary(teacher) and is_binary(student)):
        return cell.result("invalid", f"flips need right and wrong, and {cell.key.metric} is not 0 or 1; name a `threshold`")
    lost = (teacher == 1) & (student == 0)
    if cell.criterion.of == "negative_flips":
        return judge_level(cell, lost.astype(np.float64), ceiling=cell.criterion.ceiling, what="the share of items the student lost")
    changed = (teacher != student).astype(np.float64)
    return judge_level(cell, changed, ceiling=cell.criterion.ceiling, what="the share of items that changed")


def judge_exposure(cell: Cell, student: ItemTable) -> CriterionResult:
    """Fail if the student's canaries are ranked better than chance allows: exact Gamma test over all canaries.

    Null hypothesis: the student never saw them, so ranks are uniform and ln 2 times the summed exposures follows a
    Gamma(k, 1) law; finite candidate sets only make the test more careful.

    Source: Carlini et al. 2019 for exposure = log2 |R| - log2 rank.
    """
    exposures = cell.pairs.student
    if (fault := _exposure_fault(cell, student)) is not None:
        return cell.result("invalid", fault)
    k, total = len(exposures), float(exposures.sum()) * _LN2
    chance = gamma_sf(total, k)
    alpha = cell.criterion.alpha
    mean = float(exposures.mean())
    # A memorising model stretches the whole law: exact bounds of the mean under Gamma(k, scale).
    lower, upper = total / gamma_isf(alpha, k) / _LN2, total / gamma_isf(1.0 - alpha, k) / _LN2
    ceiling = cell.criterion.ceiling
    verdict: Verdict = "fail" if chance < alpha or (ceiling is not None and lower > ceiling) else "pass"
    if verdict == "pass" and (k < cell.min_items or (ceiling is not None and upper > ceiling)):
        verdict = "inconclusive"
    assay = _knows_its_canaries(cell)
    unshown = verdict == "pass" and assay.startswith("cannot tell")
    verdict = "inconclusive" if unshown else verdict
    result = replace(
        cell.result(verdict, ""),
        assay=assay,
        unit="bits",
        reference="absolute",
        teacher=float(cell.pairs.teacher.mean()),
        student=mean,
        difference=1 / _LN2 - mean,
        bound=1 / _LN2 - upper,
        upper=1 / _LN2 - lower,
        margin=(ceiling - 1 / _LN2) if ceiling is not None else None,
        method="gamma-exact",
        n_needed=_canaries_needed(k, mean, cell) if verdict == "inconclusive" and not unshown else None,
        p_worse=chance if verdict == "fail" else None,
        details={"p_value": chance, "power_at_30_percent_memorised": exposure_power(k, alpha), "most_exposed_bits": float(exposures.max())},
    )
    return replace(result, reason=_exposure_reason(cell, result, chance))


def _knows_its_canaries(cell: Cell) -> str:
    """What the teacher's own exposures say: a student cannot unlearn what its teacher never knew."""
    if cell.criterion.assay == "skip":
        return "skip"
    exposures = cell.pairs.teacher
    chance = gamma_sf(float(exposures.sum()) * _LN2, len(exposures))
    said = f"the teacher's mean exposure is {exposures.mean():.2f} bits (chance of this or more if none was seen: {chance_text(chance)})"
    return f"holds: {said}" if chance < cell.criterion.alpha else f"cannot tell: {said}"


def _canaries_needed(k: int, mean: float, cell: Cell) -> int | None:
    """Canaries at which the observed mean exposure would be settled, either way; None beyond `_MOST_CANARIES`."""
    alpha, ceiling, least = cell.criterion.alpha, cell.criterion.ceiling, cell.min_items

    def is_open(canaries: int) -> bool:
        total = mean * canaries * _LN2
        if canaries < least:
            return True
        if ceiling is None or gamma_sf(total, canaries) < alpha:
            return False
        low, high = (total / gamma_isf(level, canaries) / _LN2 for level in (alpha, 1.0 - alpha))
        return low <= ceiling < high

    return settling_items(is_open, k, most=_MOST_CANARIES)


def _exposure_reason(cell: Cell, result: CriterionResult, chance: float) -> str:
    text = (
        f"{result.n} canaries on `{cell.key.task}` have a mean exposure of {result.student:.2f} bits "
        f"(teacher {result.teacher:.2f}, unseen canaries average 1.44; chance of this or more if none was seen: {chance_text(chance)})"
    )
    match result.verdict:
        case "fail":
            return f"{text}: blocked, the student has memorised them"
        case "pass":
            return f"{text}: holds"
        case _ if result.assay.startswith("cannot tell") and result.n_needed is None:
            return f"{text}: inconclusive; the teacher has not memorised them either, so that nothing could show in the student"
        case _:
            asked = f"the policy asks for {cell.min_items}" if result.n < cell.min_items else "the bound does not clear the ceiling"
            many = f"about {quantity(result.n_needed, 'canary', 'canaries')}" if result.n_needed else "no practical number of canaries"
            return f"{text}: inconclusive; {asked}; {many} would decide it"


def _exposure_fault(cell: Cell, student: ItemTable) -> str | None:
    exposures = cell.pairs.student
    if (exposures < 0).any() or (cell.pairs.teacher < 0).any():
        return "an exposure below 0 bits means a rank beyond the candidates"
    for rows in cell.pairs.student_rows:
        stated = [_integers(student, name, rows) for name in ("prediction", "label")]
        if stated[0] is None or stated[1] is None:
            continue
        ranks, sizes = stated[0], stated[1]
        if (ranks < 1).any() or (ranks > sizes).any():
            return "a canary's rank lies outside 1 … |R|"
        off = np.abs(np.log2(sizes) - np.log2(ranks) - student.scores[rows])
        if (off > _RANK_TOLERANCE_BITS).any():
            row = int(rows[int(np.argmax(off))])
            return f"the exposure in {student.row_name(row)} is not log2 |R| - log2 rank of its own rank and candidates"
    return None


def _integers(table: ItemTable, column: str, rows: Codes) -> Values | None:
    if not table.has(column):
        return None
    try:
        found = table.column(column, rows).cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    return None if found.null_count else floats(found)


@lru_cache(maxsize=256)
def exposure_power(canaries: int, alpha: float, *, candidates: int = 1000) -> float:
    """Chance that the Gamma test catches a student that memorised 30 % of its canaries to a rank of 5 or better.

    Over the number memorised (binomial); the exposures of memorised ones are taken at their mean, of the others as
    Exp(1): a close approximation, for planning only.
    """
    needed = gamma_isf(alpha, canaries)
    seen = float(np.mean([math.log(candidates / rank) for rank in range(1, _MEMORISED_RANK + 1)]))
    power = 0.0
    for memorised in range(canaries + 1):
        weight = math.comb(canaries, memorised) * _MEMORISED_SHARE**memorised * (1 - _MEMORISED_SHARE) ** (canaries - memorised)
        rest = needed - memorised * seen
        unseen = canaries - memorised
        power += weight * (1.0 if rest <= 0 else gamma_sf(rest, unseen) if unseen else 0.0)
    return power
