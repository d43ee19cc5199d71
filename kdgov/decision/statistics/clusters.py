"""Items in clusters: the delete-one-cluster variance, its degrees of freedom, and how many equal clusters they are worth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kdgov.decision.statistics.paired import Values
from kdgov.quantities import quantity

Codes = npt.NDArray[np.int64]

MIN_CLUSTERS = 30
"""Fewer clusters than this cannot pass."""
MIN_FREEDOM = 4.0
"""Fewer degrees of freedom than this cannot pass: one cluster holds too many of the items."""
_USUAL_TAILS = 6.0
"""Largest kurtosis of cluster means whose variance tells enough: 3 for normal ones, 1 / p where a share p collapsed."""
_VISIBLE = 1.5
"""Standard deviations by which a design effect must exceed 1 to count as seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSums:
    """Size and sum of every cluster, in no particular order."""

    sizes: Values
    """Items per cluster."""
    sums: Values
    """Sum of the values per cluster."""

    @property
    def k(self) -> int:
        """Number of clusters."""
        return len(self.sizes)

    @property
    def n(self) -> float:
        """Number of items."""
        return float(self.sizes.sum())

    @property
    def mean(self) -> float:
        """Mean over items."""
        return float(self.sums.sum()) / self.n

    @property
    def effective(self) -> float:
        """Equal clusters that would tell as much: (sum of sizes)^2 / sum of squared sizes; ``k`` where they are equal."""
        return self.n**2 / float(np.sum(self.sizes**2))

    @property
    def means(self) -> Values:
        """Mean of every cluster."""
        return self.sums / self.sizes

    def keep(self, kept: npt.NDArray[np.bool_]) -> ClusterSums:
        """Some of the clusters."""
        return ClusterSums(sizes=self.sizes[kept], sums=self.sums[kept])


def cluster_sums(values: Values, clusters: Codes) -> ClusterSums:
    """Sizes and sums of the clusters that occur; codes are small and not negative."""
    sizes = np.bincount(clusters).astype(np.float64)
    sums = np.bincount(clusters, weights=values).astype(np.float64)
    kept = sizes > 0
    return ClusterSums(sizes=sizes[kept], sums=sums[kept]) if not kept.all() else ClusterSums(sizes=sizes, sums=sums)


def jackknife_error(clusters: ClusterSums) -> float:
    """Delete-one-cluster (CR3) standard error of the mean over items; infinite for one cluster.

    Equal to the usual CR1 error where clusters are of equal size, larger where they are not.

    Source: Bell and McCaffrey 2002, Survey Methodology 28:169; MacKinnon, Nielsen and Webb 2023.
    """
    k, n = clusters.k, clusters.n
    if k < 2:
        return math.inf
    moved = (clusters.sums - clusters.mean * clusters.sizes) / (n - clusters.sizes)
    return math.sqrt((k - 1) / k * float(moved @ moved))


def freedom(clusters: ClusterSums) -> float:
    """Satterthwaite degrees of freedom of `jackknife_error`: k - 1 for equal clusters, about 1 where one holds a third.

    The working model takes items of one cluster to rise and fall together, so that a cluster's variance goes with its
    squared size: the fewest degrees of freedom that any correlation within clusters gives.

    Source: Bell and McCaffrey 2002; 2 E(V)^2 / Var(V) of the quadratic form, summed without its k x k matrix.
    """
    if clusters.k < 2:
        return 1.0
    n = clusters.n
    share = clusters.sizes / n
    weight = 1.0 / (n - clusters.sizes) ** 2
    spread = clusters.sizes**2
    total = float(spread.sum())
    own = spread * (1.0 - 2.0 * share) + share**2 * total
    pair = share**2 * total - 2.0 * spread * share
    a, b, c = (float(weight @ x) for x in (spread**2, share**2, spread * share))
    squares = 2.0 * a * b + total**2 * b * b + 2.0 * c * c - 4.0 * total * c * b + float(weight**2 @ (own**2 - pair**2))
    return max(float(weight @ own) ** 2 / squares, 1.0)


def is_spread_out(clusters: ClusterSums, effect: float, df: float) -> bool:
    """Whether clusters are seen to differ more than their items alone would, and many of them carry it.

    Only then does their variance tell what clusters do. Where no correlation is seen, none is proven absent; where few
    clusters carry it, the variance says little: `few_events` has the bound for both.
    """
    if effect < 1.0 + _VISIBLE * math.sqrt(2.0 / max(df, 1.0)):
        return False
    off = clusters.means - clusters.mean
    second, fourth = float(clusters.sizes @ off**2), float(clusters.sizes @ off**4)
    return 0.0 < fourth * clusters.n <= _USUAL_TAILS * second**2


def hindrance_of(clusters: ClusterSums, df: float) -> str:
    """Why clusters as these cannot carry a pass; empty where they can."""
    if clusters.k < MIN_CLUSTERS:
        asked = f"at least {MIN_CLUSTERS} are needed for an honest bound, and more items of the same ones do not help"
        return f"{quantity(clusters.k, 'cluster')}; {asked}"
    if df < MIN_FREEDOM:
        largest = 100.0 * float(clusters.sizes.max()) / clusters.n
        return (
            f"one of the {clusters.k} clusters holds {largest:.0f} % of the items, so that they tell no more than "
            f"{clusters.effective:.0f} equal ones: nothing can be proven by them; more items of the other clusters would help"
        )
    return ""


def count_clusters(clusters: Codes) -> int:
    """How many different clusters there are; codes are small and not negative."""
    return int(np.count_nonzero(np.bincount(clusters))) if len(clusters) else 0
