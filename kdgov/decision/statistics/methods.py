"""Which bound a set of paired scores deserves: chosen from the data's shape, never from the result.

| shape | method |
|---|---|
| 0/1, independent | Tango's score bound |
| 0/1, in clusters | Newcombe on counts divided by the design effect, t quantile with clusters - 1 |
| numbers in clusters | cluster-robust t (CR1), clusters - 1 |
| numbers, at least 30, not too skewed for their number | paired t |
| numbers, skewed | BCa bootstrap |
| numbers, hardly any of which differ | exact bound from the share of items that differ |
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kdgov.decision.statistics.intervals import (
    BcaInterval,
    ExactInterval,
    FewEventsInterval,
    Interval,
    StudentInterval,
)
from kdgov.decision.statistics.paired import NewcombeInterval, TangoInterval, Values

Codes = npt.NDArray[np.int64]

MIN_CLUSTERS = 30
"""Fewer clusters than this cannot pass: cluster-robust bounds err by up to twice their level there."""
MIN_EVENTS = 6.0
"""Fewer effective events than this and no variance estimate is trusted."""
MIN_T_ITEMS = 30
"""Fewer items than this take the bootstrap instead of Student's t."""
TOLERATED_SKEW = 0.09
"""Largest |skewness| / sqrt(n) for Student's t: by Edgeworth's expansion its one-sided error is then off by one point."""
ASSUMED_CORRELATION = 0.1
"""Within-cluster correlation assumed where too few clusters disagree to estimate it."""
MIN_DISCORDANT_CLUSTERS = 5
NOISE = 1e-12
"""Differences closer than this share of the scores' size are one and the same number: no method hangs on rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An interval with what must be said about it."""

    interval: Interval
    """The bound that decides."""
    clusters: int
    """Number of clusters; equal to the number of items where each is its own."""
    design_effect: float
    """How many times more items are needed than if they were independent."""
    spread: float
    """Variance of one item's difference: decides how many items would settle the question."""
    hindrance: str = ""
    """Why the bound may not be trusted for a pass; empty where it may."""
    items_for_trust: int | None = 0
    """Items at which the hindrance would be gone; None where further items do not lift it, 0 where there is none."""
    cross_check: float | None = None
    """Newcombe's lower bound beside Tango's, at the same level, set by `compare`."""


def compare(
    teacher: Values, student: Values, *, clusters: Codes | None = None, copies: bool = False, reach: float | None = None
) -> Estimate:
    """The interval of mean(student - teacher) that the shape of the scores calls for.

    Args:
        teacher: scores in the better direction, shape (n,), finite.
        student: same items in the same order.
        clusters: cluster number of every item, shape (n,); None where items are independent.
        copies: whether the clusters are copies of one item, which therefore count once.
        reach: largest possible difference of one item; default the observed range.
    """
    if clusters is not None and _all_alone(clusters):
        clusters = None
    if is_binary(teacher) and is_binary(student):
        return _binary(teacher, student, clusters, copies)
    scale = max(float(np.max(np.abs(scores), initial=0.0)) for scores in (teacher, student))
    return _continuous(_without_noise(student - teacher, scale), clusters, _reach(teacher, student) if reach is None else reach)


def absolute(scores: Values, *, clusters: Codes | None = None, reach: float | None = None) -> Estimate:
    """The interval of one model's mean score: exact for 0/1, as `compare` against zero otherwise."""
    if clusters is not None and _all_alone(clusters):
        clusters = None
    if not is_binary(scores):
        scores = _without_noise(scores, float(np.max(np.abs(scores), initial=0.0)))
        return _continuous(scores, clusters, float(np.ptp(scores)) if reach is None else reach, one_sample=True)
    n, hits = len(scores), float(scores.sum())
    if clusters is None:
        return Estimate(interval=ExactInterval(hits=hits, n=n), clusters=n, design_effect=1.0, spread=_bernoulli(hits / n))
    k, effect = _design_effect(scores, clusters, _bernoulli(hits / n), discordant=scores != round(hits / n))
    interval = ExactInterval(hits=hits / effect, n=n / effect, method="clopper-pearson/deff")
    return Estimate(
        interval=interval,
        clusters=k,
        design_effect=effect,
        spread=_bernoulli(hits / n),
        hindrance=_few_clusters(k),
        items_for_trust=_for_trust(k),
    )


def is_binary(values: Values) -> bool:
    """Whether every value is exactly 0 or 1."""
    return bool(np.all((values == 0.0) | (values == 1.0)))


def _binary(teacher: Values, student: Values, clusters: Codes | None, copies: bool) -> Estimate:
    n = len(teacher)
    both = int(np.count_nonzero((teacher == 1) & (student == 1)))
    lost = int(np.count_nonzero((teacher == 1) & (student == 0)))
    won = int(np.count_nonzero((teacher == 0) & (student == 1)))
    neither = n - both - lost - won
    mean = (won - lost) / n
    spread = (lost + won) / n - mean * mean
    newcombe = NewcombeInterval(both=both, lost=lost, won=won, neither=neither)
    if clusters is None:
        tango = TangoInterval(lost=lost, won=won, n=n)
        return Estimate(interval=tango, clusters=n, design_effect=1.0, spread=spread, cross_check=newcombe.bounds(0.05)[0])
    difference = student - teacher
    k, effect = _design_effect(difference, clusters, spread, discordant=difference != 0)
    if copies:
        effect = max(effect, n / k)
    shrunk = NewcombeInterval(
        both=both / effect, lost=lost / effect, won=won / effect, neither=neither / effect, df=max(k - 1, 1), method="newcombe/deff"
    )
    return Estimate(
        interval=shrunk, clusters=k, design_effect=effect, spread=spread, hindrance=_few_clusters(k), items_for_trust=_for_trust(k)
    )


def _design_effect(values: Values, clusters: Codes, spread: float, *, discordant: npt.NDArray[np.bool_]) -> tuple[int, float]:
    sizes, error = _cluster_error(values, clusters)
    n, k = len(values), len(sizes)
    naive = spread / n
    effect = max(error * error / naive, 1.0) if naive > 0 else 1.0
    if count_clusters(clusters[discordant]) < MIN_DISCORDANT_CLUSTERS:
        # Nearly no cluster disagrees, so the correlation within clusters cannot be seen: assume some rather than none.
        mean_size = float(np.sum(sizes**2)) / n
        effect = max(effect, 1.0 + (mean_size - 1.0) * ASSUMED_CORRELATION)
    return k, effect


def _cluster_error(values: Values, clusters: Codes) -> tuple[Values, float]:
    sizes = np.bincount(clusters).astype(np.float64)
    sums = np.bincount(clusters, weights=values)
    kept = sizes > 0
    sizes, sums = sizes[kept], sums[kept]
    k = len(sizes)
    residual = sums - values.mean() * sizes
    error = math.sqrt(float(np.sum(residual**2)) * k / max(k - 1, 1)) / len(values)
    return sizes, error


def _continuous(difference: Values, clusters: Codes | None, reach: float, *, one_sample: bool = False) -> Estimate:
    n = len(difference)
    mean = float(difference.mean())
    spread = float(difference.var())
    if clusters is not None:
        return _clustered(difference, clusters, mean, spread, reach)
    events = effective_events(difference)
    if events < MIN_EVENTS:
        if not one_sample:
            return Estimate(interval=_few_events(difference, reach, events, spread), clusters=n, design_effect=1.0, spread=spread)
        hindrance = f"the mean rests on about {events:.0f} items"
        enough = math.ceil(MIN_EVENTS * n / events) if events > 0 else None
    else:
        hindrance, enough = "", 0
    if n >= MIN_T_ITEMS and abs(skewness(difference)) / math.sqrt(n) <= TOLERATED_SKEW:
        interval: Interval = StudentInterval(estimate=mean, error=math.sqrt(spread / max(n - 1, 1)), df=max(n - 1, 1))
    else:
        interval = BcaInterval(values=difference)
    return Estimate(interval=interval, clusters=n, design_effect=1.0, spread=spread, hindrance=hindrance, items_for_trust=enough)


def _without_noise(values: Values, scale: float) -> Values:
    centre = float(np.median(values))
    centre = 0.0 if abs(centre) <= NOISE * scale else centre
    settled: Values = np.where(np.abs(values - centre) <= NOISE * scale, centre, values)
    settled[np.abs(settled) <= NOISE * scale] = 0.0
    return settled


def _few_events(difference: Values, reach: float, events: float, spread: float) -> FewEventsInterval:
    n = len(difference)
    residual = difference - np.median(difference)
    widest = float(np.max(np.abs(residual), initial=0.0))
    odd = np.abs(residual) > widest / 2
    others = difference[~odd]
    # The mean of equal numbers may be off by a rounding: what doesn't vary has no error.
    varies = len(others) > 1 and float(np.ptp(others)) > 0
    error = float(others.std(ddof=1)) / math.sqrt(len(others)) if varies else 0.0
    rest = StudentInterval(estimate=float(others.mean()), error=error, df=max(len(others) - 1, 1)) if len(others) else None
    return FewEventsInterval(
        estimate=float(difference.mean()),
        losses=int(np.count_nonzero(odd & (residual < 0))),
        gains=int(np.count_nonzero(odd & (residual > 0))),
        n=n,
        reach=max(reach, widest),
        rest=rest,
        events=events,
        variance=spread,
    )


def _clustered(difference: Values, clusters: Codes, mean: float, spread: float, reach: float) -> Estimate:
    sizes, error = _cluster_error(difference, clusters)
    n, k = len(difference), len(sizes)
    effect = max(error * error / (spread / n), 1.0) if spread > 0 else 1.0
    # Where most differences are one number, such as 0, only clusters with another one tell of the spread.
    usual = float(np.median(difference))
    touched = count_clusters(clusters[difference != usual])
    if touched < MIN_EVENTS:
        losing = count_clusters(clusters[difference < usual])
        rest = StudentInterval(estimate=usual, error=0.0, df=max(k - 1, 1)) if usual else None
        interval: Interval = FewEventsInterval(
            estimate=mean, losses=losing, gains=touched, n=k, reach=reach, rest=rest, events=touched, variance=error * error * k
        )
    else:
        interval = StudentInterval(estimate=mean, error=error, df=max(k - 1, 1), method="cluster-t")
    return Estimate(
        interval=interval, clusters=k, design_effect=effect, spread=spread, hindrance=_few_clusters(k), items_for_trust=_for_trust(k)
    )


def effective_events(difference: Values) -> float:
    """How many items carry the spread: n / kurtosis about the median; about n p where a share p of items differs.

    A third of n for normal differences, n for a coin's, and the number of odd items where all others agree.
    """
    centred = difference - np.median(difference)
    second = float(np.sum(centred**2))
    fourth = float(np.sum(centred**4))
    return second * second / fourth if fourth > 0 else 0.0


def skewness(values: Values) -> float:
    """Third standardised moment; 0 where nothing varies."""
    centred = values - values.mean()
    spread = float(np.mean(centred**2))
    return float(np.mean(centred**3)) / spread**1.5 if spread > 0 else 0.0


def _few_clusters(k: int) -> str:
    asked = f"at least {MIN_CLUSTERS} are needed for an honest bound, and more items of the same ones do not help"
    return "" if k >= MIN_CLUSTERS else f"{k} clusters; {asked}"


def _for_trust(k: int) -> int | None:
    return 0 if k >= MIN_CLUSTERS else None


def count_clusters(clusters: Codes) -> int:
    """How many different clusters there are; codes are small and not negative."""
    return int(np.count_nonzero(np.bincount(clusters))) if len(clusters) else 0


def _all_alone(clusters: Codes) -> bool:
    return count_clusters(clusters) == len(clusters)


def _reach(teacher: Values, student: Values) -> float:
    return float(max(teacher.max(), student.max()) - min(teacher.min(), student.min()))


def _bernoulli(share: float) -> float:
    return share * (1 - share)
