"""Many small differences estimated together: each is drawn towards their common mean by as much as its own noise deserves.

Fifty-seven subjects of a hundred items each hold, by luck alone, some that seem to have lost five points. A hierarchical model tells
how much the subjects truly differ, and which of them lost for all that. It describes; no bound of it decides a release.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kdgov.decision.statistics.paired import Values

_GRID = 200
_STEPS = 50
_TAIL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledDifferences:
    """Posterior of every difference."""

    mean: float
    """Common mean."""
    spread: float
    """Standard deviation of the true differences about it."""
    estimates: Values
    """Posterior means, shape (k,)."""
    low: Values
    """5 % quantiles."""
    high: Values
    """95 % quantiles."""
    lost: Values
    """Posterior chances that the true difference is below zero."""


def pool_partially(differences: Values, errors: Values) -> PooledDifferences:
    """Normal differences about normal truths, with a flat prior on the common mean and on the truths' standard deviation.

    Args:
        differences: observed difference per task, shape (k,), at least three.
        errors: its standard error, positive, shape (k,).

    Source: Rubin 1981, Journal of Educational Statistics 6:377 (eight schools); Gelman 2006, Bayesian Analysis 1:515, for the prior.
    """
    widest = 3.0 * float(differences.std()) + float(errors.max())
    spreads = np.linspace(0.0, widest, _GRID)[:, None]
    variances = errors**2 + spreads**2
    precision = (1.0 / variances).sum(axis=1, keepdims=True)
    means = (differences / variances).sum(axis=1, keepdims=True) / precision
    logs = -0.5 * (np.log(precision[:, 0]) + np.log(variances).sum(axis=1) + ((differences - means) ** 2 / variances).sum(axis=1))
    weights = np.exp(logs - logs.max())[:, None]
    weights /= weights.sum()
    drawn = errors**2 / variances
    centres = (1.0 - drawn) * differences + drawn * means
    deviations = np.sqrt((1.0 - drawn) * errors**2 + drawn**2 / precision)

    def below(limits: Values) -> Values:
        chances: Values = (weights * _normal((limits - centres) / deviations)).sum(axis=0)
        return chances

    reach = float(np.abs(centres).max() + 10.0 * deviations.max())
    return PooledDifferences(
        mean=float((weights * means).sum()),
        spread=float((weights * spreads).sum()),
        estimates=(weights * centres).sum(axis=0),
        low=_quantiles(below, _TAIL, len(differences), reach),
        high=_quantiles(below, 1.0 - _TAIL, len(differences), reach),
        lost=below(np.zeros(len(differences))),
    )


def _quantiles(below: Callable[[Values], Values], level: float, count: int, reach: float) -> Values:
    low, high = np.full(count, -reach), np.full(count, reach)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        under = below(middle) < level
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return high


def _normal(z: Values) -> Values:
    """Standard normal distribution function.

    Source: Abramowitz and Stegun 1964, 26.2.17; off by 7.5e-8 at most.
    """
    t = 1.0 / (1.0 + 0.2316419 * np.abs(z))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi) * series
    chances: Values = np.where(z > 0, 1.0 - tail, tail)
    return chances
