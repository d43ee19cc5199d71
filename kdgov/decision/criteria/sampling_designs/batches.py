"""Items in batches: one anytime-valid sequence over the batches in their order, so that more may follow an open answer.

A batch is chosen before any of its results are known. Within a batch the items are taken in the order of a hash of their names, which no
result and no file's sorting has chosen; batches stay in the order in which they came. Of items in clusters of one size, each whole within
its batch, the clusters' means are the sequence: they are independent, and their mean is the items'.
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
from kdgov.decision.statistics.paired import Values
from kdgov.quantities import quantity

METHOD = "betting"
_CLUSTERED = "`sequential` judges items alone or in clusters of one size, and these clusters (or samples of one item) differ in size"
_TORN = "`sequential` takes whole clusters, and some of these are spread over several batches"
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
    hindered = NO_RANGE if open_range else "`sequential` knows no target metrics" if cell.scale.direction == "target" else ""
    if why := hindered or _why_not_clusters(cell):
        said = plain.reason.rsplit(": ", 1)[0]
        return replace(plain, verdict="inconclusive", reason=f"{said}: inconclusive; {why}", n_needed=None, p_worse=None)
    order = _order(cell, tables)
    turned = [_by_cluster(cell, better(scores, cell.scale.direction), order) for scores in (pairs.teacher, pairs.student)]
    # Means of 0 and 1 are neither, and lie between them all the same.
    span = 1.0 if reach is None else reach
    estimate = estimate_by(METHOD, turned[0], turned[1], clusters=None, reach=span if pairs.clusters is not None else reach, worst=None)
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
    if enough is not None and cell.pairs.clusters is not None:
        enough *= cell.pairs.n // len(np.unique(cell.pairs.clusters))
    details = {**result.details, "batches": batches, **({} if enough is None else {"enough": enough})}
    many = f"{quantity(result.n, 'item')} in {quantity(batches, 'batch', 'batches')}"
    said = f"{quantity(enough, 'item')} of {many} {'was' if enough == 1 else 'were'} enough" if enough else f"{many} so far"
    return replace(result, reason=f"{result.reason}; {said}", details=details)


def _why_not_clusters(cell: Cell) -> str:
    """Why clusters cannot be judged one after the other; empty where they can, or where there are none."""
    codes, batches = cell.pairs.clusters, cell.pairs.batches
    if codes is None:
        return ""
    _, owner, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    if len(set(sizes.tolist())) > 1:
        return _CLUSTERED
    torn = batches is not None and len(np.unique(np.stack([owner, batches]), axis=1).T) > len(sizes)
    return _TORN if torn else ""


def _by_cluster(cell: Cell, scores: Values, order: npt.NDArray[np.int64]) -> Values:
    """The scores in their order; of clusters the means, in the order of their first items."""
    codes = cell.pairs.clusters
    if codes is None:
        return scores[order]
    _, first, owner = np.unique(codes[order], return_index=True, return_inverse=True)
    means = np.bincount(owner, weights=scores[order]) / np.bincount(owner)
    return np.asarray(means[np.argsort(first)], dtype=np.float64)


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
