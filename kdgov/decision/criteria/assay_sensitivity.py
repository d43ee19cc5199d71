"""Assay sensitivity: a suite on which knowing nothing scores as well as the teacher cannot show that anything was lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kdgov.decision.criteria.comparison_cells import Cell, Tables, better
from kdgov.decision.criteria.pairing import Mismatch, match, pool
from kdgov.decision.decision import CriterionResult
from kdgov.decision.statistics.methods import absolute, compare, is_binary
from kdgov.decision.wording import number, signed

NOT_CHECKED = "not checked: neither a no-skill control nor a chance level is known"


def with_assay(result: CriterionResult, cell: Cell, tables: Tables) -> CriterionResult:
    """The result, held back where the teacher is not proven better than no skill by more than the margin.

    Only higher-or-lower metrics have a no-skill end; a ``target`` metric's is its ideal, so nothing is asked there.
    """
    demand = cell.criterion.assay
    if demand == "skip" or result.verdict == "invalid" or cell.scale.direction == "target" or cell.reference != "teacher":
        return replace(result, assay="skip" if demand == "skip" else result.assay)
    said = _advantage(cell, tables)
    if said is None:
        if demand == "required" and result.verdict == "pass":
            why = f"{result.reason}; but the policy asks for a no-skill control, and there is none"
            return replace(result, verdict="inconclusive", reason=why, assay=NOT_CHECKED)
        return replace(result, assay=NOT_CHECKED)
    lower, source, level = said
    share = is_binary(cell.pairs.teacher)
    text = f"the teacher beats {source} ({number(level, share)}) by at least {signed(lower, share)}"
    if lower > cell.margin:
        return replace(result, assay=f"holds: {text}")
    plain = f"{source} scores {number(level, share)} where the teacher scores {number(float(cell.pairs.teacher.mean()), share)}"
    if result.verdict != "pass":
        return replace(result, assay=f"cannot tell: {plain}")
    proof = f"proven advantage {signed(lower, share)}, needed {signed(cell.margin, share)}"
    reason = f"inconclusive: this suite cannot tell skill from none on `{cell.key.task}`: {plain} ({proof})"
    return replace(result, verdict="inconclusive", reason=reason, assay=f"cannot tell: {plain}", n_needed=None)


def _advantage(cell: Cell, tables: Tables) -> tuple[float, str, float] | None:
    alpha, scale = cell.criterion.alpha, cell.scale
    teacher = better(cell.pairs.teacher, scale.direction)
    if tables.control is not None and not cell.group:
        parts = [match(tables.control, tables.teacher, key, low=scale.low, high=scale.high) for key in cell.pairs.keys]
        kept = [part for part in parts if not isinstance(part, Mismatch)]
        if kept and len(kept) == len(parts):
            both = pool(kept)
            control, skilled = both.teacher, both.student
            if cell.criterion.threshold is not None:
                limit = cell.criterion.threshold
                control, skilled = (control >= limit).astype(np.float64), (skilled >= limit).astype(np.float64)
            turned = better(control, scale.direction), better(skilled, scale.direction)
            bound = compare(*turned, clusters=both.clusters, reach=scale.reach).interval.bounds(alpha)[0]
            return bound, "a model that knows nothing", float(control.mean())
    if scale.chance is None:
        return None
    level = scale.chance
    turned_level = (1.0 - level if is_binary(teacher) else -level) if scale.direction == "lower" else level
    low = absolute(teacher, clusters=cell.pairs.clusters, reach=scale.reach).interval.bounds(alpha)[0]
    return low - turned_level, "the chance level", level
