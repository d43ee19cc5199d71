"""Non-inferiority by a judge's scores that gold corrects: judge alone and corrected side by side, and gold where a policy demands it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kdgov.decision import wording
from kdgov.decision.criteria.comparison_cells import Cell
from kdgov.decision.criteria.noninferiority import conclude_cell, judge_non_inferiority
from kdgov.decision.criteria.paired_items import Pairs
from kdgov.decision.decision import CriterionResult
from kdgov.decision.statistics.methods import is_binary
from kdgov.decision.statistics.paired import Values
from kdgov.decision.statistics.prediction_powered import Known, corrected, is_odd_part
from kdgov.quantities import quantity

MIN_GOLD = 30
"""Fewer items with gold of both models than this correct nothing."""
NOT_VALIDATED = "judge not validated on these models"
_ODD = "the items with gold differ from the others, so that they are no random part of them"


def concerns_gold(cell: Cell) -> bool:
    """Whether a trusted score is demanded, or stated by any item of either model."""
    return cell.criterion.gold_items is not None or any(g is not None for g in (cell.pairs.gold_teacher, cell.pairs.gold_student))


def judge_with_gold(cell: Cell) -> CriterionResult:
    """The result by the corrected difference; inconclusive where too few items carry gold of both models.

    The judge's error may differ between the two models, so that only items with gold of both say how far its difference is off.
    """
    judged = judge_non_inferiority(cell)
    if judged.verdict == "invalid":
        return judged
    if cell.scale.direction == "target":
        said = f"gold corrects a metric where higher or lower is better, and {cell.key.metric} aims at a target"
        return cell.result("invalid", f"{said}; leave out the column `gold`, or judge it on its own")
    gold = _gold(cell)
    if isinstance(gold, str):
        return cell.result("invalid", gold)
    teacher, student, known = gold
    count, asked = int(known.sum()), max(cell.criterion.gold_items or MIN_GOLD, MIN_GOLD)
    alone = {"gold_items": count, "judge_difference": judged.difference, "judge_bound": judged.bound, "judge_upper": judged.upper}
    if count < asked:
        asks = "the policy asks for" if cell.criterion.gold_items else "needed are"
        why = f"{NOT_VALIDATED}: {quantity(count, 'item')} of {cell.pairs.n:,} carry gold of both, {asks} {asked}"
        said = wording.compared(judged, cell.scale, hindrance="", min_items=0).rsplit(": ", 1)[0]
        details = {**judged.details, **alone}
        return replace(judged, verdict="inconclusive", reason=f"{said} by the judge alone: inconclusive; {why}",
                       details=details, n_needed=None, p_worse=None)  # fmt: skip
    return _corrected(cell, judged, teacher, student, known, alone)


def _corrected(
    cell: Cell,
    judged: CriterionResult,
    teacher: Values,
    student: Values,
    known: Known,
    alone: dict[str, float | int | None],
) -> CriterionResult:
    pairs = cell.pairs
    turned = [_turned(scores, cell) for scores in (pairs.teacher, pairs.student)]
    own = [_turned(scores, cell) for scores in (teacher, student)]
    odd = _ODD if any(is_odd_part(scores, known) for scores in turned) else ""
    reach = 1.0 if _all_binary(pairs, teacher, student, known) else cell.scale.reach
    found = corrected(turned[1] - turned[0], np.where(known, own[1] - own[0], np.nan), clusters=pairs.clusters, reach=reach, odd=odd)
    values = tuple(_level(gold, scores, known, found.share) for gold, scores in ((teacher, pairs.teacher), (student, pairs.student)))
    result = conclude_cell(cell, (found.estimate,), values=(values[0], values[1]))
    off = {
        f"judge_bias_{role}": float(np.mean(scores[known] - gold[known]))
        for role, gold, scores in (("teacher", teacher, pairs.teacher), ("student", student, pairs.student))
    }
    details = {**result.details, **alone, "corrected_difference": result.difference, "judge_share": found.share, **off}
    share = result.unit == "share"
    said = (
        f"{result.reason}; corrected by gold on {alone['gold_items']:,} of {pairs.n:,} items, the judge alone says "
        f"{wording.signed(judged.difference, share)} (bound {wording.signed(judged.bound, share)})"
    )
    return replace(result, reason=said, details=details)


def _turned(scores: Values, cell: Cell) -> Values:
    # Never by 1 - score: gold and judge must be turned alike, whichever of them is all 0 and 1.
    return -scores if cell.scale.direction == "lower" else scores


def _all_binary(pairs: Pairs, teacher: Values, student: Values, known: Known) -> bool:
    return all(is_binary(scores) for scores in (pairs.teacher, pairs.student, teacher[known], student[known]))


def _level(gold: Values, judged: Values, known: Known, share: float) -> float:
    if known.all():
        return float(gold.mean())
    return float(np.mean(gold[known] - share * judged[known]) + share * np.mean(judged[~known]))


def _gold(cell: Cell) -> tuple[Values, Values, Known] | str:
    pairs, scale, threshold = cell.pairs, cell.scale, cell.criterion.threshold
    sides = []
    for role, gold in (("teacher", pairs.gold_teacher), ("student", pairs.gold_student)):
        values = np.full(pairs.n, np.nan) if gold is None else gold
        stated = values[~np.isnan(values)]
        if np.isinf(stated).any():
            return f"the {role}'s gold is not a finite number"
        if threshold is not None:
            values = np.where(np.isnan(values), np.nan, values >= threshold)
        elif (scale.least is not None and (stated < scale.least).any()) or (scale.most is not None and (stated > scale.most).any()):
            return f"the {role}'s gold lies outside the range that the suite declares for {cell.key.metric}"
        elif scale.low is not None or scale.high is not None:
            values = np.clip(values, scale.low, scale.high)
        sides.append(values)
    return sides[0], sides[1], ~np.isnan(sides[0]) & ~np.isnan(sides[1])
