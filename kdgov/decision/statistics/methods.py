"""Which bound a set of paired scores deserves: chosen from the data's shape, never from the result.

`method_table.GATE_METHODS` has one row per method. Wherever units (items, or clusters of them) can lose more than the seen
spread tells, the bound is guarded by `few_events`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kdgov.decision.statistics.clusters import (
    Codes,
    cluster_sums,
    count_clusters,
    freedom,
    hindrance_of,
    is_spread_out,
    jackknife_error,
)
from kdgov.decision.statistics.few_events import MIN_EVENTS, GuardedInterval
from kdgov.decision.statistics.guards import few_events_of, guard_of_clusters, guard_of_items, hidden_words, losable_of
from kdgov.decision.statistics.intervals import BcaInterval, ExactInterval, Interval, StudentInterval
from kdgov.decision.statistics.moments import effective_events, skewness
from kdgov.decision.statistics.paired import NewcombeInterval, TangoInterval, Values

Unit = Literal["share", "raw"]

MIN_T_ITEMS = 30
"""Fewer items than this take the bootstrap instead of Student's t."""
TOLERATED_SKEW = 0.09
"""Largest |skewness| / sqrt(n) for Student's t: by Edgeworth's expansion its one-sided error is then off by one point."""
NOISE = 1e-12
"""Differences closer than this share of the scores' size are one and the same number: no method hangs on rounding."""
NO_RANGE = (
    "the scores have no declared range, so that one unseen item could lose any amount; "
    "declare `range: [smallest, largest]`, and scores beyond it are clipped and counted"
)


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
    unit: Unit = "raw"
    """``share`` where every score is 0 or 1."""
    hindrance: str = ""
    """Why the bound may not be trusted for a pass; empty where it may."""
    items_for_trust: int | None = 0
    """Items at which the hindrance would be gone; None where further items do not lift it, 0 where there is none."""
    hidden: str = ""
    """What the bound allows for though it was not seen; empty where it does not decide."""
    cross_check: float | None = None
    """Newcombe's lower bound beside Tango's, at the 5 % level, set by `compare`."""


def compare(
    teacher: Values, student: Values, *, clusters: Codes | None = None, reach: float | None = None, worst: float | None = None
) -> Estimate:
    """The interval of mean(student - teacher) that the shape of the scores calls for.

    Args:
        teacher: scores in the better direction, shape (n,), finite.
        student: same items in the same order.
        clusters: cluster number of every item, shape (n,); None where items are independent.
        reach: largest possible difference of one item; None where nobody declares a range: numbers then never pass.
        worst: worst possible score, where it is known: no unit can lose more than the teacher's best one has above it.
    """
    if clusters is not None and count_clusters(clusters) == len(clusters):
        clusters = None
    if is_binary(teacher) and is_binary(student):
        return _binary(teacher, student, clusters)
    scale = max(float(np.max(np.abs(scores), initial=0.0)) for scores in (teacher, student))
    widest = float(max(teacher.max(), student.max()) - min(teacher.min(), student.min()))
    losable = None if worst is None else losable_of(teacher, clusters, worst)
    return _numbers(_without_noise(student - teacher, scale), clusters, reach, widest, losable=losable)


def absolute(scores: Values, *, clusters: Codes | None = None, reach: float | None = None) -> Estimate:
    """The interval of one model's mean score: exact for 0/1, as `compare` against zero otherwise."""
    if clusters is not None and count_clusters(clusters) == len(clusters):
        clusters = None
    if not is_binary(scores):
        scores = _without_noise(scores, float(np.max(np.abs(scores), initial=0.0)))
        return _numbers(scores, clusters, reach, float(np.ptp(scores)), one_sample=True)
    n, hits = len(scores), float(scores.sum())
    spread = hits / n * (1 - hits / n)
    exact = ExactInterval(hits=hits, n=n)
    if clusters is None:
        return Estimate(interval=exact, clusters=n, design_effect=1.0, spread=spread, unit="share")

    def bound(effect: float, _df: float, _error: float) -> Interval:
        return ExactInterval(hits=hits / effect, n=n / effect, method="clopper-pearson/deff")

    return _clustered(scores, clusters, spread, 1.0, bound, unit="share")


def of_differences(difference: Values, *, clusters: Codes | None = None, reach: float | None = None) -> Estimate:
    """The interval of a mean of differences that no longer are two scores: each at most ``reach`` from zero."""
    if clusters is not None and count_clusters(clusters) == len(clusters):
        clusters = None
    settled = _without_noise(difference, float(np.max(np.abs(difference), initial=0.0)))
    return _numbers(settled, clusters, reach, float(np.ptp(difference)))


def is_binary(values: Values) -> bool:
    """Whether every value is exactly 0 or 1."""
    return bool(np.all((values == 0.0) | (values == 1.0)))


def _binary(teacher: Values, student: Values, clusters: Codes | None) -> Estimate:
    n = len(teacher)
    difference = student - teacher
    lost, won = int(np.count_nonzero(difference < 0)), int(np.count_nonzero(difference > 0))
    both = int(np.count_nonzero(teacher)) - lost
    neither = n - both - lost - won
    mean = (won - lost) / n
    spread = (lost + won) / n - mean * mean
    if clusters is None:
        newcombe = NewcombeInterval(both=both, lost=lost, won=won, neither=neither)
        tango = TangoInterval(lost=lost, won=won, n=n)
        return Estimate(interval=tango, clusters=n, design_effect=1.0, spread=spread, unit="share", cross_check=newcombe.bounds(0.05)[0])

    def bound(effect: float, df: float, _error: float) -> Interval:
        cells = {"both": both / effect, "lost": lost / effect, "won": won / effect, "neither": neither / effect}
        return NewcombeInterval(**cells, df=df, method="newcombe/deff")

    return _clustered(difference, clusters, spread, 1.0, bound, unit="share", losable=losable_of(teacher, clusters, 0.0))


def _clustered(
    values: Values,
    clusters: Codes,
    spread: float,
    reach: float,
    bound: Callable[[float, float, float], Interval],
    *,
    unit: Unit = "raw",
    losable: float | None = None,
) -> Estimate:
    """``bound`` gives the interval from design effect, degrees of freedom and error; few odd clusters hold it back."""
    sums = cluster_sums(values, clusters)
    error, df = jackknife_error(sums), freedom(sums)
    naive = spread / sums.n
    # What does not vary has no variance: the rest of a rounding is none.
    varies = math.sqrt(spread) > NOISE * float(np.max(np.abs(values), initial=0.0)) and math.isfinite(error)
    effect = max(error * error / naive, 1.0) if varies else max(sums.n / sums.effective, 1.0)
    interval = bound(effect, df, error)
    guard = None if varies and is_spread_out(sums, effect, df) else guard_of_clusters(sums, reach, losable)
    hindrance = hindrance_of(sums, df)
    return Estimate(
        interval=interval if guard is None else GuardedInterval(of=interval, guard=guard),
        clusters=sums.k,
        design_effect=effect,
        spread=spread,
        unit=unit,
        hindrance=hindrance,
        items_for_trust=None if hindrance else 0,
        hidden="" if guard is None else hidden_words(guard, sums.k, "clusters"),
    )


def _numbers(
    difference: Values,
    clusters: Codes | None,
    reach: float | None,
    widest: float,
    *,
    one_sample: bool = False,
    losable: float | None = None,
) -> Estimate:
    mean, spread = float(difference.mean()), float(difference.var())
    span = widest if reach is None else reach
    if clusters is not None:

        def bound(_effect: float, df: float, error: float) -> Interval:
            return StudentInterval(estimate=mean, error=error, df=df, method="cluster-t")

        found = _clustered(difference, clusters, spread, span, bound, losable=losable)
    else:
        found = _independent(difference, spread, span, one_sample=one_sample, losable=losable)
    return found if reach is not None else _without_range(found)


def _without_range(found: Estimate) -> Estimate:
    said = "; ".join(filter(None, (found.hindrance, NO_RANGE)))
    seen = found.interval
    return Estimate(
        # Nobody says what may hide: the bound is of what was seen, and no pass rests on it.
        interval=seen.of if isinstance(seen, GuardedInterval) else seen,
        clusters=found.clusters,
        design_effect=found.design_effect,
        spread=found.spread,
        hindrance=said,
        items_for_trust=None,
    )


def _independent(difference: Values, spread: float, reach: float, *, one_sample: bool, losable: float | None) -> Estimate:
    n = len(difference)
    mean = float(difference.mean())
    events = effective_events(difference)
    hindrance = ""
    enough: int | None = 0
    if events < MIN_EVENTS:
        few = few_events_of(difference, reach, events, spread)
        if not one_sample:
            return Estimate(interval=few, clusters=n, design_effect=1.0, spread=spread, hidden=hidden_words(few, n, "items"))
        hindrance = f"the mean rests on about {events:.0f} items"
        enough = math.ceil(MIN_EVENTS * n / events) if events > 0 else None
    if n >= MIN_T_ITEMS and abs(skewness(difference)) / math.sqrt(n) <= TOLERATED_SKEW:
        interval: Interval = StudentInterval(estimate=mean, error=math.sqrt(spread / max(n - 1, 1)), df=max(n - 1, 1))
    else:
        interval = BcaInterval(values=difference)
    guard = guard_of_items(difference, reach, losable)
    return Estimate(
        interval=interval if guard is None else GuardedInterval(of=interval, guard=guard),
        clusters=n,
        design_effect=1.0,
        spread=spread,
        hindrance=hindrance,
        items_for_trust=enough,
        hidden="" if guard is None else hidden_words(guard, n, "items"),
    )


def _without_noise(values: Values, scale: float) -> Values:
    centre = float(np.median(values))
    centre = 0.0 if abs(centre) <= NOISE * scale else centre
    settled: Values = np.where(np.abs(values - centre) <= NOISE * scale, centre, values)
    settled[np.abs(settled) <= NOISE * scale] = 0.0
    return settled
