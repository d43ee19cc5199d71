"""How many items would settle what is open, if further items behaved as those at hand do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from kdgov.decision.statistics.intervals import ExactInterval, FewEventsInterval, Interval, ShiftedInterval, StudentInterval
from kdgov.decision.statistics.methods import MIN_EVENTS, Estimate
from kdgov.decision.statistics.paired import NewcombeInterval, TangoInterval
from kdgov.decision.statistics.sample_size import PRACTICAL_ITEMS, items_needed

_PRECISION = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Narrowed:
    """An interval whose bounds come closer to the estimate by the square root of the number of items."""

    of: Interval
    factor: float

    @property
    def method(self) -> str:
        return self.of.method

    @property
    def estimate(self) -> float:
        return self.of.estimate

    def bounds(self, alpha: float) -> tuple[float, float]:
        low, high = ((bound - self.estimate) / math.sqrt(self.factor) for bound in self.of.bounds(alpha))
        return self.estimate + low, self.estimate + high


def grown(interval: Interval, factor: float) -> Interval:
    """The interval that ``factor`` times as many items with the same rates would give; clusters grow in number, not in size.

    Odd items that are too few today become enough for Student's t once there are `MIN_EVENTS` of them.
    """
    match interval:
        case ShiftedInterval():
            return replace(interval, of=grown(interval.of, factor))
        case TangoInterval():
            return replace(interval, lost=interval.lost * factor, won=interval.won * factor, n=interval.n * factor)
        case NewcombeInterval():
            cells = {name: getattr(interval, name) * factor for name in ("both", "lost", "won", "neither")}
            return replace(interval, **cells, df=_freedom(interval.df, factor) if interval.df else 0)
        case ExactInterval():
            return replace(interval, hits=interval.hits * factor, n=interval.n * factor)
        case StudentInterval():
            return replace(interval, error=interval.error / math.sqrt(factor), df=_freedom(interval.df, factor))
        case FewEventsInterval():
            n = interval.n * factor
            if interval.events * factor >= MIN_EVENTS:
                return StudentInterval(estimate=interval.estimate, error=math.sqrt(interval.variance / n), df=max(round(n) - 1, 1))
            rest = (
                None
                if interval.rest is None
                else replace(interval.rest, error=interval.rest.error / math.sqrt(factor), df=_freedom(interval.rest.df, factor))
            )
            return replace(interval, losses=interval.losses * factor, gains=interval.gains * factor, n=n, rest=rest)
        case _:
            return _Narrowed(of=interval, factor=factor)


def _freedom(df: int, factor: float) -> int:
    return max(round((df + 1) * factor) - 1, 1)


def settling_items(is_open: Callable[[int], bool], n: int, *, most: int = PRACTICAL_ITEMS) -> int | None:
    """The smallest number above ``n`` at which a question is no longer open, to one part in 500; None beyond ``most``."""
    low, high = n, n + 1
    while is_open(high):
        low, high = high, 2 * high
        if low >= most:
            return None
    while high - low > max(1, low // _PRECISION):
        middle = (low + high) // 2
        low, high = (middle, high) if is_open(middle) else (low, middle)
    return high


def items_to_settle(estimate: Estimate, interval: Interval, *, n: int, min_items: int, margin: float, alpha: float) -> int | None:
    """Items that would settle an inconclusive result; None where no practical number of further items would.

    Where the bound straddles ``-margin``: the planned number at the observed difference, and at least the number at which
    the observed rates settle it. Where only a minimum is missed: that minimum.

    Args:
        estimate: what was found.
        interval: its interval, moved so that ``-margin`` is the limit.
        n: items at hand.
        min_items: items the policy asks for.
        margin: how much worse the student may be.
        alpha: one-sided error level.
    """
    if estimate.items_for_trust is None:
        return None
    least = max(min_items if n < min_items else 0, estimate.items_for_trust)

    def is_open(items: int) -> bool:
        low, high = grown(interval, items / n).bounds(alpha)
        return low <= -margin <= high

    if not is_open(n):
        return max(least, n + 1)
    planned = items_needed(
        margin=margin, difference=interval.estimate, spread=estimate.spread, alpha=alpha, design_effect=estimate.design_effect
    )
    if planned is not None and planned > n and not isinstance(interval, FewEventsInterval):
        return max(planned, least)
    settled = settling_items(is_open, n)
    return None if settled is None else max(settled, planned or 0, least)


def max_or_none(numbers: Iterable[int | None]) -> int | None:
    """The largest of several numbers; None where one of them is."""
    found = list(numbers)
    return None if None in found else max(number for number in found if number is not None)
