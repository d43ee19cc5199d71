"""A bound that holds at every number of items at once: look after each item, stop or go on as you like, the error stays.

The bettor of Waudby-Smith and Ramdas stakes a share of its capital on every item that the mean lies above a candidate. If the
candidate is the true mean its capital is a fair game, so that it ever reaches 1 / alpha with chance alpha at most (Ville). Candidates
at which it did are excluded for good.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from kdgov.decision.statistics.intervals import Interval, NarrowedInterval
from kdgov.decision.statistics.paired import Values

_STEPS = 48
_LEAST = 1e-12
_MOST_STAKE = 0.5
"""Largest share of what may be lost at once that is staked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BettingInterval:
    """Anytime-valid bound of the mean of bounded differences, in the order in which the items came.

    Source: Waudby-Smith and Ramdas 2024, JRSS-B 86:1, "Estimating means of bounded random variables by betting".
    """

    values: Values = field(repr=False)
    """Differences in the order of the items, shape (n,); one per cluster where items are clustered."""
    reach: float
    """Every difference lies between -reach and reach."""
    method: str = "betting"

    @property
    def estimate(self) -> float:
        """Mean difference."""
        return float(self.values.mean())

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Lower and upper one-sided bound, each of them right at all times with chance 1 - alpha."""
        low = _lower((self.values + self.reach) / (2 * self.reach), alpha)
        high = 1.0 - _lower((self.reach - self.values) / (2 * self.reach), alpha)
        return 2 * self.reach * low - self.reach, 2 * self.reach * high - self.reach

    def enough(self, margin: float, alpha: float) -> int | None:
        """Items after which a loss below the margin was proven; None where it is not."""
        wealth = _wealth((self.values + self.reach) / (2 * self.reach), (self.reach - margin) / (2 * self.reach), alpha)
        reached = np.flatnonzero(wealth >= -math.log(alpha))
        return int(reached[0]) + 1 if len(reached) else None

    def grown(self, factor: float) -> Interval:
        """Narrowed, as further items are not known."""
        return NarrowedInterval(of=self, factor=factor)


def _stakes(values: Values, alpha: float) -> Values:
    """What to stake on each item, from the items before it alone."""
    n = len(values)
    count = np.arange(1, n + 1)
    means = (0.5 + np.cumsum(values)) / (count + 1)
    spread = (0.25 + np.cumsum((values - means) ** 2)) / (count + 1)
    before = np.concatenate([[0.25], spread[:-1]])
    # Tuned to the number of items at hand would be a look ahead: the usual schedule knows only how many came before.
    stakes: Values = np.sqrt(2 * math.log(1 / alpha) / (before * count * np.log1p(count)))
    return stakes


def _wealth(values: Values, candidate: float, alpha: float) -> Values:
    """Logarithm of the capital after each item, for one candidate mean."""
    stakes = np.minimum(_stakes(values, alpha), _MOST_STAKE / max(candidate, _LEAST))
    wealth: Values = np.cumsum(np.log1p(stakes * (values - candidate)))
    return wealth


def _lower(values: Values, alpha: float) -> float:
    """The largest candidate that is excluded at some time; a higher candidate is excluded later, so that halving finds it."""
    low, high = 0.0, 1.0
    limit = -math.log(alpha)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if float(np.max(_wealth(values, middle, alpha))) >= limit:
            low = middle
        else:
            high = middle
    return low
