"""Assay sensitivity: where knowing nothing scores as well as the teacher, or the teacher has nothing to lose, no loss can show.

What knowing nothing scores is taken from the first of these that is known: a control model's results, the chance level of every
item (column ``chance``), the metric's declared chance level, and, as the least that can be asked, the worst possible score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kdgov.decision.criteria.comparison_cells import Cell, Tables
from kdgov.decision.criteria.metric_scale import better
from kdgov.decision.criteria.paired_items import Mismatch, pool
from kdgov.decision.criteria.pairing import match
from kdgov.decision.decision import CriterionResult
from kdgov.decision.statistics.intervals import exact_bounds
from kdgov.decision.statistics.methods import is_binary
from kdgov.decision.wording import number, signed
from kdgov.finding import Finding

NOT_CHECKED = "not checked: neither a no-skill control nor a chance level is known"
RULE = "evidence.not-checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Advantage:
    proven: float
    """Lower bound of what the teacher is better than knowing nothing."""
    source: str
    level: float
    is_chance: bool = True
    """False where only the worst possible score is known."""


def with_assay(result: CriterionResult, cell: Cell, tables: Tables, *, room: float | None = None) -> CriterionResult:
    """The result, held back where the teacher is not proven better than no skill by more than ``room``.

    Only higher-or-lower metrics have a no-skill end; a ``target`` metric's is its ideal, so nothing is asked there.

    Args:
        result: the result so far.
        cell: what it is about.
        tables: where a control model's scores may lie.
        room: what the teacher must have to lose; None: the margin.
    """
    demand = cell.criterion.assay
    if demand == "skip" or result.verdict == "invalid" or cell.scale.direction == "target" or cell.reference != "teacher":
        return replace(result, assay="skip" if demand == "skip" else result.assay)
    said = _advantage(cell, tables)
    needed = cell.margin if room is None else room
    if said is not None and said.proven <= needed:
        return _cannot_tell(result, cell, said, needed)
    if said is not None and said.is_chance:
        text = f"the teacher beats {said.source} ({_shown(said.level, cell)}) by at least {signed(said.proven, cell.unit == 'share')}"
        return replace(result, assay=f"holds: {text}")
    if demand == "required" and result.verdict == "pass":
        why = f"{result.reason}; but the policy asks for a no-skill control or a chance level, and there is none"
        return replace(result, verdict="inconclusive", reason=why, assay=NOT_CHECKED)
    return replace(result, assay=NOT_CHECKED)


def _cannot_tell(result: CriterionResult, cell: Cell, said: _Advantage, needed: float) -> CriterionResult:
    teacher = _shown(cell.pairs.mean(cell.pairs.teacher), cell)
    plain = f"{said.source} scores {_shown(said.level, cell)} where the teacher scores {teacher}"
    if result.verdict != "pass":
        return replace(result, assay=f"cannot tell: {plain}")
    share = cell.unit == "share"
    proof = f"proven advantage {signed(said.proven, share)}, needed {signed(needed, share)}"
    what = "skill from none" if said.is_chance else "a loss from none: the teacher has nothing to lose"
    reason = f"inconclusive: this suite cannot tell {what} on `{cell.key.task}`: {plain} ({proof})"
    return replace(result, verdict="inconclusive", reason=reason, assay=f"cannot tell: {plain}", n_needed=None)


def _shown(value: float, cell: Cell) -> str:
    return number(value, cell.unit == "share")


def _advantage(cell: Cell, tables: Tables) -> _Advantage | None:
    if (found := _over_control(cell, tables)) is not None:
        return found
    if cell.criterion.threshold is not None:
        # The chance level of a score says nothing of the rate at which it crosses the threshold.
        return _over_level(cell, cell.scale.worst(binary=True), "the worst possible rate", is_chance=False)
    stated = cell.pairs.chance
    if stated is not None:
        filled = np.where(np.isnan(stated), np.nan if cell.scale.chance is None else cell.scale.chance, stated)
        if not np.isnan(filled).any():
            return _over_level(cell, cell.pairs.mean(filled), "guessing among each item's choices")
    if cell.scale.chance is not None:
        return _over_level(cell, cell.scale.chance, "the chance level")
    binary = is_binary(cell.pairs.teacher) and is_binary(cell.pairs.student)
    return _over_level(cell, cell.scale.worst(binary=binary), "the worst possible score", is_chance=False)


def _over_control(cell: Cell, tables: Tables) -> _Advantage | None:
    alpha, scale = cell.criterion.alpha, cell.scale
    if tables.control is None or cell.group:
        return None
    parts = [match(tables.control, tables.teacher, key, low=scale.least, high=scale.most) for key in cell.pairs.keys]
    kept = [part for part in parts if not isinstance(part, Mismatch)]
    if not kept or len(kept) < len(parts):
        return None
    # A control answers the teacher's very items: the strata of a group are the same.
    both = replace(scale.clipped(pool(kept))[0], strata=cell.pairs.strata)
    control, skilled = both.teacher, both.student
    if cell.criterion.threshold is not None:
        limit = cell.criterion.threshold
        control, skilled = (control >= limit).astype(np.float64), (skilled >= limit).astype(np.float64)
    turned = better(control, scale.direction), better(skilled, scale.direction)
    bound = both.difference(*turned, reach=scale.reach).interval.bounds(alpha)[0]
    return _Advantage(proven=bound, source="a model that knows nothing", level=both.mean(control))


def _over_level(cell: Cell, level: float | None, source: str, *, is_chance: bool = True) -> _Advantage | None:
    if level is None:
        return None
    teacher = better(cell.pairs.teacher, cell.scale.direction)
    turned = (1.0 - level if is_binary(teacher) else -level) if cell.scale.direction == "lower" else level
    low = cell.pairs.level(teacher, reach=cell.scale.reach).interval.bounds(cell.criterion.alpha)[0]
    return _Advantage(proven=low - turned, source=source, level=level, is_chance=is_chance)


def churn_room(cell: Cell) -> CriterionResult | None:
    """Why flips can say nothing: the teacher has no more right answers than may flip anyway; None where they can."""
    ceiling = cell.criterion.ceiling
    if cell.criterion.assay == "skip" or ceiling is None or cell.criterion.of != "negative_flips":
        return None
    right = better(cell.pairs.teacher, cell.scale.direction)
    least = exact_bounds(float(right.sum()), len(right), cell.criterion.alpha)[0]
    if least > ceiling:
        return None
    said = f"the teacher has {100 * right.mean():.1f} % of `{cell.key.task}` right (at least {100 * least:.1f} %)"
    reason = f"inconclusive: {said}, and {100 * ceiling:.1f} % may be lost: flips of what nobody answers show nothing"
    return cell.result("inconclusive", reason, assay=f"cannot tell: {said}", teacher=float(right.mean()))


def not_checked_finding(results: Sequence[CriterionResult]) -> Finding | None:
    """One line for every report: on what it was not checked that a loss could have shown; None where it was everywhere."""
    places = [f"{r.id} on {r.place}" for r in results if r.assay.startswith("not checked") and r.verdict == "pass"]
    if not places:
        return None
    shown = ", ".join(places[:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
    return Finding(
        check="evidence",
        verdict="warn",
        subject="assay",
        reason=f"not checked: whether knowing nothing would have passed ({shown}); neither a control nor a chance level is known.",
        mend="State `chance` for the metric or in the column `chance`, or evaluate a no-skill control; `assay: required` demands it.",
        rule=RULE,
        source="docs/gate.md, assay sensitivity",
        details={"places": places},
    )
