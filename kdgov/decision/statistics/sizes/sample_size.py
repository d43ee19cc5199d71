"""How many items a question needs."""

from __future__ import annotations

import math
from statistics import NormalDist

from kdgov.decision.statistics.distributions import normal_quantile

POWER = 0.8
"""Chance of settling the question that the answer is meant for."""
PRACTICAL_ITEMS = 10_000_000
"""More items than this are no plan."""


def items_needed(
    *, margin: float, difference: float, spread: float, alpha: float, design_effect: float = 1.0, power: float = POWER
) -> int | None:
    """Items at which a true difference would be settled with the given power; None where no practical number would.

    With a true difference above -margin it is the number that proves non-inferiority, below it the number that proves
    the regression. ``spread`` is the variance of one item's difference, D - d^2 for 0/1 scores.

    Source: n = (z_alpha + z_beta)^2 spread / (margin + difference)^2; with no spread at all the score bound's own width.
    """
    distance = abs(margin + difference)
    if distance <= 0:
        return None
    z = normal_quantile(1 - alpha)
    plain = (z + normal_quantile(power)) ** 2 * spread / distance**2
    # Even with no discordant pair the score bound is about z^2 / (n + z^2) wide.
    least = z * z * (1 - min(margin, 0.99)) / margin if margin > 0 and difference > -margin else 0.0
    needed = math.ceil(max(plain, least, 1.0) * design_effect)
    return needed if needed <= PRACTICAL_ITEMS else None


def power_at(*, items: int, margin: float, difference: float, spread: float, alpha: float) -> float:
    """Chance that a student with a true difference is proven no worse than the margin, by the normal approximation of `items_needed`.

    Args:
        items: independent items, or clusters where items of one cluster answer alike.
        margin: how much worse the student may be.
        difference: student minus teacher, turned so that more is better.
        spread: variance of one item's difference.
        alpha: one-sided error level.
    """
    if spread <= 0:
        return float(margin + difference > 0)
    return NormalDist().cdf((margin + difference) * math.sqrt(items / spread) - normal_quantile(1 - alpha))
