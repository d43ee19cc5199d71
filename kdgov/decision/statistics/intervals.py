"""One-sided confidence bounds of a mean difference: arrays or counts in, numbers out.

Every interval speaks of ``d = student - teacher`` in the metric's better direction, so a negative number is a loss.
``bounds(alpha)`` gives the lower and the upper one-sided bound at level ``alpha``: each errs with probability alpha, so the
pair is a two-sided interval of level ``1 - 2 alpha``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from statistics import NormalDist
from typing import Protocol

import numpy as np

from kdgov.decision.statistics.distributions import beta_quantile, normal_quantile, student_quantile
from kdgov.decision.statistics.paired import TangoInterval, Values

_RESAMPLES = 4000
_RESAMPLED_ITEMS = 20_000
_CHUNK_VALUES = 4_000_000
_SEED = 20_240_117


class Interval(Protocol):
    """An estimate and its one-sided bounds."""

    @property
    def method(self) -> str:
        """The method's name, as the decision prints it."""

    @property
    def estimate(self) -> float:
        """The estimated difference."""

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Lower and upper one-sided bound, each at level ``alpha``."""

    def grown(self, factor: float) -> Interval:
        """The interval that ``factor`` times as many items with the same rates would give; clusters grow in number, not in size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentInterval:
    """Student's t bound of a mean: paired differences, or cluster sums with clusters - 1 degrees of freedom."""

    estimate: float
    """Mean difference."""
    error: float
    """Standard error of the mean."""
    df: float
    """Degrees of freedom."""
    method: str = "paired-t"

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Mean minus and plus the t quantile times the standard error."""
        width = student_quantile(1.0 - alpha, self.df) * self.error
        return self.estimate - width, self.estimate + width

    def grown(self, factor: float) -> Interval:
        """As `enlarged`."""
        return self.enlarged(factor)

    def enlarged(self, factor: float) -> StudentInterval:
        """A smaller error with more degrees of freedom."""
        return replace(self, error=self.error / math.sqrt(factor), df=grown_freedom(self.df, factor))


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrowedInterval:
    """An interval whose bounds come closer to the estimate by the square root of the number of items."""

    of: Interval
    """The interval at hand."""
    factor: float
    """How many times as many items."""

    @property
    def method(self) -> str:
        """As the interval at hand."""
        return self.of.method

    @property
    def estimate(self) -> float:
        """As the interval at hand."""
        return self.of.estimate

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Narrowed bounds."""
        low, high = ((bound - self.estimate) / math.sqrt(self.factor) for bound in self.of.bounds(alpha))
        return self.estimate + low, self.estimate + high

    def grown(self, factor: float) -> Interval:
        """Narrower still."""
        return replace(self, factor=self.factor * factor)


def grown_freedom(df: float, factor: float) -> float:
    """Degrees of freedom after growth."""
    return max(round((df + 1) * factor) - 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BcaInterval:
    """Bias-corrected accelerated bootstrap bound of a mean of skewed differences.

    The values are sorted before they are resampled and the generator's seed is fixed, so that the bound depends on the
    values alone. Beyond 20,000 values the bootstrap distribution of the mean is its Cornish-Fisher expansion.

    Source: Efron 1987, JASA 82:171; DiCiccio and Efron 1992 for the analytic form.
    """

    values: Values = field(repr=False)
    """Differences, any order, shape (n,)."""
    method: str = "bca"

    @property
    def estimate(self) -> float:
        """Mean difference."""
        return float(self.values.mean())

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Lower and upper one-sided bound."""
        centred = self.values - self.values.mean()
        spread = float(np.sum(centred**2))
        acceleration = float(np.sum(centred**3)) / (6 * spread**1.5) if spread > 0 else 0.0
        z = normal_quantile(1.0 - alpha)
        if len(self.values) > _RESAMPLED_ITEMS:
            shifts = [_shift(w, acceleration, acceleration) for w in (-z, z)]
            error = math.sqrt(spread) / len(self.values)
            low, high = (self.estimate + error * (w + acceleration * (w * w - 1)) for w in shifts)
            return low, high
        means = _bootstrap_means(np.sort(self.values).tobytes())
        below = float(np.mean(means < self.estimate) + np.mean(means == self.estimate) / 2)
        bias = normal_quantile(min(max(below, 0.5 / len(means)), 1 - 0.5 / len(means)))
        levels = [NormalDist().cdf(_shift(w, bias, acceleration)) for w in (-z, z)]
        low, high = np.quantile(means, levels)
        return float(low), float(high)

    def grown(self, factor: float) -> Interval:
        """Narrowed, as the resampled values cannot be."""
        return NarrowedInterval(of=self, factor=factor)


def _shift(w: float, bias: float, acceleration: float) -> float:
    moved = bias + w
    return bias + moved / max(1 - acceleration * moved, 1e-9)


@lru_cache(maxsize=32)
def _bootstrap_means(sorted_values: bytes) -> Values:
    values = np.frombuffer(sorted_values, dtype=np.float64)
    rng = np.random.default_rng(_SEED)
    rows = max(1, _CHUNK_VALUES // len(values))
    parts = []
    for begin in range(0, _RESAMPLES, rows):
        picks = rng.integers(0, len(values), size=(min(rows, _RESAMPLES - begin), len(values)), dtype=np.int32)
        parts.append(values[picks].mean(axis=1))
    return np.concatenate(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactInterval:
    """Clopper-Pearson bounds of one proportion; effective counts where items are clustered (Korn and Graubard 1998)."""

    hits: float
    """Items that count as 1."""
    n: float
    """Items."""
    method: str = "clopper-pearson"

    @property
    def estimate(self) -> float:
        """Share of hits."""
        return self.hits / self.n

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Lower and upper one-sided bound."""
        return exact_bounds(self.hits, self.n, alpha)

    def grown(self, factor: float) -> Interval:
        """More items, the same share."""
        return replace(self, hits=self.hits * factor, n=self.n * factor)


def exact_bounds(hits: float, n: float, alpha: float) -> tuple[float, float]:
    """One-sided Clopper-Pearson bounds of a proportion, each at level ``alpha``.

    Source: Clopper and Pearson 1934; 0 of n gives the zero-harm bound 1 - alpha^(1/n).
    """
    low = 0.0 if hits <= 0 else beta_quantile(alpha, hits, n - hits + 1)
    high = 1.0 if hits >= n else beta_quantile(1 - alpha, hits + 1, n - hits)
    return low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftedInterval:
    """Another interval, moved by a constant: a sum instead of a difference, or a distance from a bound."""

    of: Interval
    """The interval that is moved."""
    by: float
    """What is added to estimate and bounds."""

    @property
    def method(self) -> str:
        """As the interval that is moved."""
        return self.of.method

    @property
    def estimate(self) -> float:
        """Moved estimate."""
        return self.of.estimate + self.by

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Moved bounds."""
        low, high = self.of.bounds(alpha)
        return low + self.by, high + self.by

    def grown(self, factor: float) -> Interval:
        """The moved interval grows."""
        return replace(self, of=self.of.grown(factor))


def p_worse(interval: Interval, margin: float) -> float:
    """Smallest one-sided level at which the loss is proven to exceed the margin; 0.5 where it never is.

    Null hypothesis: the true difference is -margin or better.
    """
    if isinstance(interval, TangoInterval):
        return 0.5 * math.erfc(interval.score(margin) / math.sqrt(2.0))
    if interval.bounds(0.5)[1] >= -margin:
        return 0.5
    low, high = math.log(1e-15), math.log(0.5)
    for _ in range(40):
        middle = (low + high) / 2
        if interval.bounds(math.exp(middle))[1] < -margin:
            high = middle
        else:
            low = middle
    return math.exp(high)
