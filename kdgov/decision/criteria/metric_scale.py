"""How to read the scores of one metric: which way is better, what is possible, what knowing nothing scores."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kdgov.decision.criteria.paired_items import Pairs
from kdgov.decision.policy import Criterion
from kdgov.decision.statistics.paired import Values
from kdgov.items import Direction, MetricDeclaration, MetricKey
from kdgov.items.metric import declaration_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How to read one metric: the criterion's own words before the suite's."""

    direction: Direction | None
    """Which way is better; None where nobody says."""
    ideal: float | None
    """Best value of a ``target`` metric."""
    chance: float | None
    """Score of knowing nothing."""
    low: float | None
    """Smallest score that is judged: the criterion's, or else the suite's."""
    high: float | None
    """Largest score that is judged."""
    least: float | None = None
    """Smallest score the suite declares possible: one below it makes the decision invalid."""
    most: float | None = None
    """Largest score the suite declares possible."""
    statistic: str = "mean"
    """Which function of the items is compared."""

    @property
    def reach(self) -> float | None:
        """Largest possible difference of one item; None where the range is open."""
        return None if self.low is None or self.high is None else self.high - self.low

    def worst(self, *, binary: bool) -> float | None:
        """The worst possible score; None where the range is open."""
        low, high = (0.0, 1.0) if binary else (self.low, self.high)
        return high if self.direction == "lower" else low

    def clipped(self, pairs: Pairs) -> tuple[Pairs, int]:
        """The pairs with scores beyond the judged range set to its ends, and how many were."""
        low, high = -np.inf if self.low is None else self.low, np.inf if self.high is None else self.high
        beyond = sum(int(np.count_nonzero((scores < low) | (scores > high))) for scores in (pairs.teacher, pairs.student))
        if not beyond:
            return pairs, 0
        return replace(pairs, teacher=np.clip(pairs.teacher, low, high), student=np.clip(pairs.student, low, high)), beyond


def scale_of(criterion: Criterion, key: MetricKey, metrics: tuple[MetricDeclaration, ...]) -> Scale:
    """How a criterion reads a metric."""
    declared = declaration_for(metrics, *key)
    own = criterion
    # A share outside 0 … 1 is a fault and no outlier: a range of that name is never clipped to.
    shares = own.low == 0.0 and own.high == 1.0
    if declared is None:
        return Scale(
            direction=own.direction,
            ideal=own.ideal,
            chance=own.chance,
            low=own.low,
            high=own.high,
            least=0.0 if shares else None,
            most=1.0 if shares else None,
            statistic=own.statistic or "mean",
        )
    return Scale(
        direction=own.direction or declared.direction,
        ideal=declared.ideal if own.ideal is None else own.ideal,
        chance=declared.chance if own.chance is None else own.chance,
        low=declared.low if own.low is None else own.low,
        high=declared.high if own.high is None else own.high,
        least=0.0 if shares and declared.low is None else declared.low,
        most=1.0 if shares and declared.high is None else declared.high,
        statistic=own.statistic or "mean",
    )


def better(values: Values, direction: Direction | None) -> Values:
    """Scores turned so that higher is better; 0/1 scores stay 0/1."""
    if direction != "lower":
        return values
    is_binary = bool(np.all((values == 0) | (values == 1)))
    return 1.0 - values if is_binary else -values
