"""A mean over strata (the tasks of a group), each bounded on its own: weights of items or of strata, and strata that share items."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kdgov.decision.statistics.clusters import Codes
from kdgov.decision.statistics.intervals import Interval
from kdgov.decision.statistics.methods import Estimate, absolute, compare
from kdgov.decision.statistics.paired import Values

LEAST_WORTH = 30.0
"""A mean that tells no more than so many items of equal weight would cannot pass."""
_Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strata:
    """Which stratum every item lies in, and how much each stratum counts."""

    codes: Codes
    """Stratum of every item, from 0."""
    shares: Values
    """What each stratum's mean counts; they sum to 1."""
    linked: Codes
    """Strata with one number share items or clusters, and may be wrong together."""

    @property
    def sizes(self) -> Values:
        """Items of every stratum."""
        return np.bincount(self.codes, minlength=len(self.shares)).astype(np.float64)

    @property
    def worth(self) -> float:
        """How many items of equal weight would tell as much; all of them where each counts alike."""
        return 1.0 / float(np.sum(self.shares**2 / self.sizes))

    def mean(self, scores: Values) -> float:
        """The strata's means, averaged by their shares."""
        sums = np.bincount(self.codes, weights=scores, minlength=len(self.shares))
        return math.fsum(self.shares * sums / self.sizes)

    def of(self, number: int) -> _Bool:
        """Which items lie in a stratum."""
        return np.asarray(self.codes == number)


@dataclass(frozen=True, slots=True, kw_only=True)
class StratifiedInterval:
    """Bounds of a weighted mean from the bounds of its parts.

    The distances of the parts' bounds from their estimates, each times its share, are added as squares: the method of variance
    estimates recovery, which keeps each part's own bound (score, exact, clustered, guarded) and with it the skewness that a common
    variance would lose. Linked parts may err together, so that their distances are added as they are.

    Source: Zou and Donner 2008, Statistics in Medicine 27:1693; Newcombe 2011, Communications in Statistics 40:1743.
    """

    parts: tuple[Interval, ...]
    """One interval per stratum."""
    shares: tuple[float, ...]
    """What each counts."""
    linked: tuple[int, ...]
    """Parts with one number err together."""
    method: str = "stratified"

    @property
    def estimate(self) -> float:
        """The weighted mean of the parts' estimates."""
        return math.fsum(share * part.estimate for share, part in zip(self.shares, self.parts, strict=True))

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Lower and upper one-sided bound, each at level ``alpha``."""
        below: dict[int, float] = {}
        above: dict[int, float] = {}
        for share, part, link in zip(self.shares, self.parts, self.linked, strict=True):
            low, high = part.bounds(alpha)
            below[link] = below.get(link, 0.0) + share * (part.estimate - low)
            above[link] = above.get(link, 0.0) + share * (high - part.estimate)
        return self.estimate - math.hypot(*below.values()), self.estimate + math.hypot(*above.values())

    def grown(self, factor: float) -> Interval:
        """Every part grows."""
        return replace(self, parts=tuple(part.grown(factor) for part in self.parts))


def compare_strata(
    teacher: Values, student: Values, strata: Strata, *, clusters: Codes | None, reach: float | None, worst: float | None = None
) -> Estimate:
    """As `methods.compare`, of the strata's weighted mean."""
    pooled = compare(teacher, student, clusters=clusters, reach=reach, worst=worst)

    def of(kept: _Bool) -> Estimate:
        return compare(teacher[kept], student[kept], clusters=_within(clusters, kept), reach=reach, worst=worst)

    return _stratified(pooled, strata, of)


def absolute_strata(scores: Values, strata: Strata, *, clusters: Codes | None, reach: float | None) -> Estimate:
    """As `methods.absolute`, of the strata's weighted mean."""
    pooled = absolute(scores, clusters=clusters, reach=reach)
    return _stratified(pooled, strata, lambda kept: absolute(scores[kept], clusters=_within(clusters, kept), reach=reach))


def _within(clusters: Codes | None, kept: _Bool) -> Codes | None:
    return None if clusters is None else np.unique(clusters[kept], return_inverse=True)[1].astype(np.int64)


def _stratified(pooled: Estimate, strata: Strata, of: Callable[[_Bool], Estimate]) -> Estimate:
    # What hinders trust (too few clusters, no range) is asked of all items together: each stratum's bound widens by itself.
    found = [of(strata.of(number)) for number in range(len(strata.shares))]
    interval = StratifiedInterval(
        parts=tuple(one.interval for one in found), shares=tuple(map(float, strata.shares)), linked=tuple(map(int, strata.linked))
    )
    n, sizes = float(len(strata.codes)), strata.sizes
    spread = n * math.fsum(share**2 * one.spread / size for share, one, size in zip(strata.shares, found, sizes, strict=True))
    few = "" if strata.worth >= LEAST_WORTH else _few(strata)
    said = "; ".join(filter(None, (few, pooled.hindrance)))
    enough = None if few else pooled.items_for_trust
    return replace(pooled, interval=interval, spread=spread, hindrance=said, items_for_trust=enough, hidden="")


def _few(strata: Strata) -> str:
    least = int(np.argmax(strata.shares / strata.sizes))
    return (
        f"its tasks weigh so unevenly that the mean tells no more than {strata.worth:.0f} equal items would: one of "
        f"{strata.sizes[least]:.0f} items counts {100 * strata.shares[least]:.0f} %"
    )
