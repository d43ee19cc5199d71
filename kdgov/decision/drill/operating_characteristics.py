"""Operating characteristics: the chance of promotion as a function of the true drop, per criterion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdgov.decision.drill.simulation import Shape
from kdgov.decision.policy import Criterion
from kdgov.decision.statistics.distributions import normal_quantile
from kdgov.decision.statistics.paired import tango_scores

MULTIPLES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
"""True drops looked at, in margins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingCurve:
    """How often one criterion promotes, by the student's true drop."""

    criterion: str
    """Criterion id."""
    place: str
    """Suite, task and metric."""
    n: int
    """Items."""
    disagreement: float
    """Share of items on which an equally good student differs."""
    margin: float
    """The margin."""
    drops: tuple[float, ...]
    """True drops."""
    promoted: tuple[float, ...]
    """Chance that the criterion passes at each, from simulation."""
    point_threshold: tuple[float, ...]
    """The same for a plain comparison of the difference with the margin."""
    runs: int
    """Simulated tables per drop."""


def operating_curve(criterion: Criterion, shape: Shape, *, runs: int, rng: np.random.Generator) -> OperatingCurve:
    """The curve of one criterion on independent 0/1 items at the shape's size and disagreement."""
    drops = tuple(multiple * criterion.margin for multiple in MULTIPLES)
    rates = [promotion_rate(shape.n, drop, shape.disagreement, criterion.margin, criterion.alpha, runs=runs, rng=rng) for drop in drops]
    return OperatingCurve(
        criterion=criterion.id,
        place=str(shape.key),
        n=shape.n,
        disagreement=shape.disagreement,
        margin=criterion.margin,
        drops=drops,
        promoted=tuple(rate[0] for rate in rates),
        point_threshold=tuple(rate[1] for rate in rates),
        runs=runs,
    )


def promotion_rate(
    n: int, drop: float, disagreement: float, margin: float, alpha: float, *, runs: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Chance that Tango's bound, and that a point threshold, promotes a student with a known true drop.

    Args:
        n: items.
        drop: true loss, as a share.
        disagreement: share of items on which the two differ; raised to ``drop`` where it is smaller.
        margin: allowed loss.
        alpha: one-sided level.
        runs: simulated tables.
        rng: source of chance.
    """
    differing = max(disagreement, abs(drop))
    shares = [(differing + drop) / 2, (differing - drop) / 2, 1 - differing]
    counts = rng.multinomial(n, shares, size=runs)
    lost, won = counts[:, 0].astype(np.float64), counts[:, 1].astype(np.float64)
    # The lower bound clears -margin exactly where the score at that drop lies below -z: no bisection needed.
    passes = tango_scores(lost, won, n, margin) < -normal_quantile(1 - alpha)
    return float(passes.mean()), float(((won - lost) / n >= -margin).mean())


def worst_rate(curves: Sequence[OperatingCurve], multiple: float) -> float:
    """Largest promotion rate over criteria at a multiple of the margin."""
    index = MULTIPLES.index(multiple)
    return max((curve.promoted[index] for curve in curves), default=0.0)
