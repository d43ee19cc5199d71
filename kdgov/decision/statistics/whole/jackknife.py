"""Any statistic of items as numbers per item: what each item, or cluster, moves it by (Tukey's pseudo-values).

Their mean is the statistic, their spread that of the delete-one jackknife, so that every bound of the gate, with its guard against
what few units hide, serves them as it serves scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kdgov.decision.statistics.clusters import Codes
from kdgov.decision.statistics.paired import Values
from kdgov.decision.statistics.whole.item_statistics import AUC, STATISTICS, Items, Statistic

_CHUNK_VALUES = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoValues:
    """A statistic of one model, item by item."""

    value: float
    """The statistic of all items."""
    units: Values
    """Pseudo-value of every item, or of its cluster, shape (n,)."""
    influence: float
    """Largest absolute distance of a pseudo-value from the statistic."""


def pseudo_values(name: str, items: Items, clusters: Codes | None) -> PseudoValues:
    """Pseudo-values of a statistic, per cluster where items are clustered, spread over its items.

    For clusters of unequal size with the weights n / n_k, so that the mean's pseudo-value is the cluster's own mean.

    Source: Tukey 1958; Busing, Meijer and van der Leeden 1999 for unequal groups.
    """
    n = len(items.score)
    codes = np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    sizes = np.bincount(codes).astype(np.float64)
    whole, without = _area(items, codes, len(sizes)) if name == AUC else _sums(STATISTICS[name], items, codes, len(sizes))
    times = n / sizes
    units = times * whole - (times - 1.0) * without
    return PseudoValues(value=whole, units=units[codes], influence=float(np.max(np.abs(units - whole), initial=0.0)))


def _sums(statistic: Statistic, items: Items, codes: Codes, count: int) -> tuple[float, Values]:
    parts = statistic.parts(items)
    total = parts.sum(axis=0, keepdims=True)
    if count < len(codes):
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(count))
        parts = np.add.reduceat(parts[order], starts, axis=0)
    rows = max(_CHUNK_VALUES // max(parts.shape[1], 1), 1)
    found = [statistic.value(total - parts[begin : begin + rows]) for begin in range(0, count, rows)]
    return float(statistic.value(total)[0]), np.concatenate(found)


def _area(items: Items, codes: Codes, count: int) -> tuple[float, Values]:
    """Area under the curve, and without each unit: pairs of a positive and a negative that the confidence ranks rightly.

    Source: DeLong, DeLong and Clarke-Pearson 1988 for the contributions; Obuchowski 1997 for clusters.
    """
    scores = np.zeros(0) if items.confidence is None else items.confidence
    positive = np.zeros(0, dtype=bool) if items.labelled is None else items.labelled == len(items.classes) - 1
    won = np.zeros(len(scores))
    for own, sign in ((positive, 1.0), (~positive, -1.0)):
        others = np.sort(sign * scores[~own])
        mine = sign * scores[own]
        won[own] = (np.searchsorted(others, mine, "left") + np.searchsorted(others, mine, "right")) / 2
    pairs, plus, minus = float(won[positive].sum()), float(positive.sum()), float((~positive).sum())
    inside = _within(scores, positive, codes, count) if count < len(codes) else np.zeros(count)
    gone = np.bincount(codes, weights=won, minlength=count) - inside
    left = (plus - np.bincount(codes, weights=positive, minlength=count)) * (minus - np.bincount(codes, weights=~positive, minlength=count))
    without = np.divide(pairs - gone, left, out=np.full(count, 0.5), where=left > 0)
    return pairs / (plus * minus) if plus * minus > 0 else 0.5, without


def _within(scores: Values, positive: np.ndarray, codes: Codes, count: int) -> Values:
    found = np.zeros(count)
    order = np.argsort(codes, kind="stable")
    for unit, rows in enumerate(np.split(order, np.searchsorted(codes[order], np.arange(1, count)))):
        one, other = scores[rows][positive[rows]], scores[rows][~positive[rows]]
        found[unit] = float((one[:, None] > other).sum() + (one[:, None] == other).sum() / 2)
    return found
