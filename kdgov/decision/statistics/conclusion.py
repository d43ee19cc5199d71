"""From bounds to an answer: proven within the margin, proven worse, or not told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kdgov.decision.statistics.methods import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What one or several estimates, all of which must hold, say about a margin."""

    verdict: Literal["pass", "fail", "inconclusive"]
    """The answer."""
    lower: float
    """Lower one-sided bound of the difference."""
    upper: float
    """Upper one-sided bound."""
    decisive: Estimate
    """The estimate that decided."""
    hindrance: str
    """Why no pass is possible; empty where one is."""


def conclude(estimates: Sequence[Estimate], *, margin: float, alpha: float) -> Conclusion:
    """Pass if the lowest lower bound clears ``-margin``, fail if an upper bound lies below it, else inconclusive.

    Every part must hold (intersection-union): the lowest lower bound decides a pass, and one part proven worse decides a
    fail. What hinders trust in a bound turns a pass into an open answer, never a fail into one.
    """
    bounds = [estimate.interval.bounds(alpha) for estimate in estimates]
    lowest = min(range(len(bounds)), key=lambda index: bounds[index][0])
    worst = min(range(len(bounds)), key=lambda index: bounds[index][1])
    low, high = bounds[lowest][0], bounds[worst][1]
    hindrance = next((e.hindrance for e in estimates if e.hindrance), "")
    if high < -margin:
        return Conclusion(verdict="fail", lower=low, upper=high, decisive=estimates[worst], hindrance=hindrance)
    holds = low > -margin and not hindrance
    verdict: Literal["pass", "inconclusive"] = "pass" if holds else "inconclusive"
    return Conclusion(verdict=verdict, lower=low, upper=high, decisive=estimates[lowest], hindrance=hindrance)
