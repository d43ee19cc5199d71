"""How many items would settle what is open, if further items behaved as those at hand do."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kdgov.decision.statistics.few_events import FewEventsInterval, GuardedInterval
from kdgov.decision.statistics.intervals import Interval
from kdgov.decision.statistics.methods import Estimate
from kdgov.decision.statistics.sizes.sample_size import PRACTICAL_ITEMS, items_needed

_PRECISION = 500


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
        low, high = interval.grown(items / n).bounds(alpha)
        return low <= -margin <= high

    if not is_open(n):
        return max(least, n + 1)
    planned = items_needed(
        margin=margin, difference=interval.estimate, spread=estimate.spread, alpha=alpha, design_effect=estimate.design_effect
    )
    if planned is not None and planned > n and not isinstance(interval, FewEventsInterval | GuardedInterval):
        return max(planned, least)
    settled = settling_items(is_open, n)
    return None if settled is None else max(settled, planned or 0, least)


def max_or_none(numbers: Iterable[int | None]) -> int | None:
    """The largest of several numbers; None where one of them is."""
    found = list(numbers)
    return None if None in found else max(number for number in found if number is not None)
