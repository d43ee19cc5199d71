"""Items in batches: one anytime-valid sequence over the batches in their order, so that more may follow an open answer.

A batch is chosen before any of its results are known. Within a batch the items are taken in the order of a hash of their names, which no
result and no file's sorting has chosen; batches stay in the order in which they came.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kdgov.decision.criteria.comparison_cells import Cell, Tables
from kdgov.decision.criteria.metric_scale import better
from kdgov.decision.criteria.noninferiority import conclude_cell, judge_non_inferiority
from kdgov.decision.decision import CriterionResult
from kdgov.decision.statistics.betting import BettingInterval
from kdgov.decision.statistics.clusters import Codes
from kdgov.decision.statistics.method_table import estimate_by
from kdgov.decision.statistics.methods import NO_RANGE, is_binary
from kdgov.quantities import quantity

METHOD = "betting"
_CLUSTERED = "`sequential` judges items that are independent of each other, and these are in clusters or are samples of one item"
_SHIFTED = "the batches disagree: what the first items proved, all of them together no longer show"


def count_batches(batches: Codes | None) -> int:
    """Number of batches; one where no row names any."""
    return 1 if batches is None else max(len(np.unique(batches)), 1)


def judge_in_batches(cell: Cell, tables: Tables) -> CriterionResult:
    """Non-inferiority by the betting sequence: right at the end of every batch at once."""
    plain = judge_non_inferiority(cell)
    if plain.verdict == "invalid":
        return plain
    pairs, reach = cell.pairs, cell.scale.reach
    open_range = reach is None and not (is_binary(pairs.teacher) and is_binary(pairs.student))
    if pairs.clusters is not None or open_range or cell.scale.direction == "target":
        why = _CLUSTERED if pairs.clusters is not None else NO_RANGE if open_range else "`sequential` knows no target metrics"
        said = plain.reason.rsplit(": ", 1)[0]
        return replace(plain, verdict="inconclusive", reason=f"{said}: inconclusive; {why}", n_needed=None, p_worse=None)
    order = _order(cell, tables)
    turned = [better(scores, cell.scale.direction)[order] for scores in (pairs.teacher, pairs.student)]
    estimate = estimate_by(METHOD, turned[0], turned[1], clusters=None, reach=reach, worst=None)
    sequence, alpha = estimate.interval, cell.criterion.alpha
    low, high = sequence.bounds(alpha)
    if low > high or (low > -cell.margin >= sequence.estimate):
        estimate = replace(estimate, hindrance=_SHIFTED, items_for_trust=None)
    result = conclude_cell(cell, (estimate,))
    return _with_enough(result, sequence, cell) if isinstance(sequence, BettingInterval) else result


def _with_enough(result: CriterionResult, sequence: BettingInterval, cell: Cell) -> CriterionResult:
    batches = count_batches(cell.pairs.batches)
    mirrored = replace(sequence, values=-sequence.values)
    found = {"pass": lambda a: sequence.enough(cell.margin, a), "fail": lambda a: mirrored.enough(-cell.margin, a)}.get(result.verdict)
    enough = None if found is None else found(cell.criterion.alpha)
    details = {**result.details, "batches": batches, **({} if enough is None else {"enough": enough})}
    many = f"{quantity(result.n, 'item')} in {quantity(batches, 'batch', 'batches')}"
    said = f"{quantity(enough, 'item')} of {many} {'was' if enough == 1 else 'were'} enough" if enough else f"{many} so far"
    return replace(result, reason=f"{result.reason}; {said}", details=details)


def _order(cell: Cell, tables: Tables) -> npt.NDArray[np.int64]:
    places = [
        int.from_bytes(hashlib.blake2b(f"{key.task}\0{item}".encode(), digest_size=8).digest(), "big") >> 1
        for key, rows in zip(cell.pairs.keys, cell.pairs.student_rows, strict=True)
        for item in tables.student.column("item_id", rows).to_pylist()
    ]
    batches = np.zeros(cell.pairs.n, dtype=np.int64) if cell.pairs.batches is None else cell.pairs.batches
    return np.lexsort((np.array(places, dtype=np.int64), batches)).astype(np.int64)


def held_by_batches(result: CriterionResult, cell: Cell) -> CriterionResult:
    """A pass taken back where items were added after a look, and the bound holds for one look only."""
    batches = count_batches(cell.pairs.batches)
    if batches <= 1 or result.verdict != "pass" or result.method == METHOD:
        return result
    said = result.reason.removesuffix(": holds")
    why = f"its items came in {batches} batches, and a bound that may be looked at in between needs `sequential: true`"
    return replace(result, verdict="inconclusive", reason=f"{said}: inconclusive; {why}", details={**result.details, "batches": batches})
