"""What may hide where few units, or none, have lost: the exact bound of their share times the largest possible loss.

A variance tells of what was seen. A template that collapses as a whole, or one item in two hundred that loses eight nats, is
often not seen at all: with 30 templates a collapse of 3 % of them shows itself in 60 of 100 evaluations only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from kdgov.decision.statistics.distributions import beta_quantile, normal_quantile, student_quantile
from kdgov.decision.statistics.intervals import Interval, StudentInterval

MIN_EVENTS = 6.0
"""Fewer effective events than this and no variance estimate is trusted."""
MOST_EVENTS = 60
"""More odd units than this and a variance tells all that can be told."""
_POINTS = 96
_USUAL_ALPHA = 0.05

Grid = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FewEventsInterval:
    """Bound where a handful of odd units carry nearly all the spread, or none was seen: their variance cannot be trusted.

    The loss is (share of odd units) x reach + (1 - share) x (loss of the others). Every share is considered with the loss of
    the others that it leaves: the bound is the largest total at which the chance of so few odd units, times the chance of so
    small a loss of the others, still exceeds the error level. With no error of the others it is the exact binomial bound,
    with no room for odd units Student's. ``reach`` must truly bound one unit's loss.
    """

    estimate: float
    """Mean difference."""
    losses: float
    """Odd units below the others."""
    gains: float
    """Odd units above the others."""
    n: float
    """Items; effective clusters where items are clustered."""
    reach: float
    """Largest possible loss of one unit; ``reach`` must truly bound it."""
    reach_up: float | None = None
    """Largest possible gain of one unit; None: as ``reach``."""
    rest: StudentInterval | None = None
    """Mean of the other units; None where all of them are zero."""
    not_gained: StudentInterval | None = None
    """For the upper bound: mean of all units but the gains; None: as ``rest``."""
    events: float = 0.0
    """Effective number of odd units; for the plan alone."""
    variance: float = 0.0
    """Variance of one unit; for the plan alone."""
    method: str = "few-events"

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Minus the largest loss, and the largest gain, that the units seen do not exclude."""
        return -self._largest_loss(alpha)[0], self._largest_gain(alpha)[0]

    def hides(self, alpha: float) -> tuple[bool, bool]:
        """Whether unseen losses widen the lower bound beyond that of the others alone, and unseen gains the upper one."""
        return self._largest_loss(alpha)[1] > 0.0, self._largest_gain(alpha)[1] > 0.0

    def grown(self, factor: float) -> Interval:
        """Enough odd units for Student's t once there are `MIN_EVENTS` of them."""
        n = self.n * factor
        if self.events > 0 and self.events * factor >= MIN_EVENTS:
            return StudentInterval(estimate=self.estimate, error=math.sqrt(self.variance / n), df=max(round(n) - 1, 1))
        rest = None if self.rest is None else self.rest.enlarged(factor)
        others = None if self.not_gained is None else self.not_gained.enlarged(factor)
        return replace(self, losses=self.losses * factor, gains=self.gains * factor, n=n, rest=rest, not_gained=others)

    def _largest_loss(self, alpha: float) -> tuple[float, float]:
        return self._largest(self.losses, self.rest, self.reach, 1.0, alpha)

    def _largest_gain(self, alpha: float) -> tuple[float, float]:
        return self._largest(self.gains, self.not_gained or self.rest, self.reach_up or self.reach, -1.0, alpha)

    def _largest(self, odd: float, rest: StudentInterval | None, reach: float, sign: float, alpha: float) -> tuple[float, float]:
        shares, quantiles = _shares(math.ceil(odd - 1e-9), max(math.floor(self.n + 1e-9), 1), alpha)
        if rest is None:
            return float(shares[-1]) * reach, float(shares[-1])
        mean, error = sign * rest.estimate, rest.error
        z = normal_quantile(1.0 - alpha)
        if error > 0 and z > 0:
            error *= student_quantile(1.0 - alpha, rest.df) / z
        totals = shares * reach + (1.0 - shares) * (quantiles * error - mean)
        most = int(np.argmax(totals))
        return float(totals[most]), float(shares[most])


@lru_cache(maxsize=4096)
def _shares(odd: int, n: int, alpha: float) -> tuple[Grid, Grid]:
    """Shares of odd units that ``odd`` of ``n`` do not exclude, and the normal quantile that each leaves for the others."""
    if odd >= n:
        return np.ones(1), np.array([normal_quantile(1.0 - alpha)])
    most = beta_quantile(1.0 - alpha, odd + 1, n - odd)
    shares = np.linspace(0.0, most, _POINTS)
    inner = shares[1:]
    counts = np.arange(odd + 1)
    ways = np.array([math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(odd + 1)])
    logs = ways + np.outer(np.log(inner), counts) + np.outer(np.log1p(-inner), n - counts)
    chances = np.concatenate([[1.0], np.exp(logs).sum(axis=1)])
    left = np.clip(alpha / chances, alpha, 1.0 - 1e-15)
    return shares, np.array([normal_quantile(1.0 - float(level)) for level in left])


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedInterval:
    """An interval from a variance, held back by what that variance cannot have seen: the wider bound counts on either side."""

    of: Interval
    """Bound from the spread that was seen."""
    guard: FewEventsInterval
    """Bound from the units that may hide."""

    @property
    def method(self) -> str:
        """The method of the lower bound at the usual level."""
        decides = self.guard.hides(_USUAL_ALPHA)[0] and self.guard.bounds(_USUAL_ALPHA)[0] < self.of.bounds(_USUAL_ALPHA)[0]
        return self.guard.method if decides else self.of.method

    @property
    def estimate(self) -> float:
        """As the guarded interval."""
        return self.of.estimate

    def bounds(self, alpha: float) -> tuple[float, float]:
        """The lower of the two lower bounds, the higher of the two upper ones."""
        (low, high), (least, most) = self.of.bounds(alpha), self.guard.bounds(alpha)
        losses, gains = self.guard.hides(alpha)
        return min(low, least) if losses else low, max(high, most) if gains else high

    def grown(self, factor: float) -> Interval:
        """Both grow."""
        grown = self.guard.grown(factor)
        return replace(self, of=self.of.grown(factor), guard=grown) if isinstance(grown, FewEventsInterval) else self.of.grown(factor)
