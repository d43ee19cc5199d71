"""Bounds on the largest gap between groups' means, its change from teacher to student, and the smallest ratio.

The largest gap is below a limit exactly if every pair's gap is. So the greatest of the pairs' upper bounds, each at the criterion's own
level, is an upper bound of the largest gap at that level (intersection-union, Berger 1982, Technometrics 24:295): no correction for the
number of pairs, and no pretence that the observed maximum, which is biased upwards, has an error of its own. That a gap exceeds the limit
needs one pair proven at the level divided by the number of ordered pairs (Bonferroni).

A pair's bound joins the two groups' own intervals (MOVER: Newcombe 1998, Statistics in Medicine 17:873; Zou and Donner 2008, Statistics
in Medicine 27:1693). Where a cluster has items in both groups their errors are no longer independent: each interval is then taken at half
the level and their arms are added, which holds whatever the dependence.

The student's largest gap exceeds the teacher's by no more than a margin if every pair's gap does: with i and j the student's extreme
groups, gap_student = gap_student(i, j) and gap_teacher >= gap_teacher(i, j). The pair's change is the difference of two paired changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import permutations

from kdgov.decision.statistics.methods import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMeans:
    """One number per group, with its interval."""

    estimates: Mapping[str, Estimate]
    """Group → interval of its mean, or of its mean change."""
    shares_clusters: bool
    """Whether a cluster has items in two of the groups."""

    @property
    def gap(self) -> float:
        """Largest minus smallest mean."""
        means = [estimate.interval.estimate for estimate in self.estimates.values()]
        return max(means) - min(means)

    @property
    def hindrance(self) -> str:
        """Why no bound of these may be trusted for a pass."""
        return next((f"{name}: {e.hindrance}" for name, e in self.estimates.items() if e.hindrance), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class GapBounds:
    """What is known of the largest gap."""

    upper: float
    """Upper one-sided bound of the largest gap."""
    proven: float
    """What the gap of some pair is proven to exceed, over all pairs together."""
    pair: tuple[str, str]
    """The pair whose upper bound is greatest: higher group, lower group."""


def largest_gap(groups: GroupMeans, alpha: float) -> GapBounds:
    """Bounds of max over i, j of mean_i - mean_j."""
    pairs = list(permutations(groups.estimates, 2))
    uppers = {pair: _joined(groups, pair, alpha, up=True, factor=1.0) for pair in pairs}
    lowers = [_joined(groups, pair, alpha / len(pairs), up=False, factor=1.0) for pair in pairs]
    worst = max(uppers, key=lambda pair: uppers[pair])
    return GapBounds(upper=uppers[worst], proven=max(lowers), pair=worst)


def smallest_ratio(groups: GroupMeans, alpha: float, ratio: float) -> GapBounds:
    """Bounds of the largest shortfall, max over i, j of ratio x mean_i - mean_j: below 0 where all groups keep the ratio to all others."""
    pairs = list(permutations(groups.estimates, 2))
    uppers = {pair: _joined(groups, pair, alpha, up=True, factor=ratio) for pair in pairs}
    lowers = [_joined(groups, pair, alpha / len(pairs), up=False, factor=ratio) for pair in pairs]
    worst = max(uppers, key=lambda pair: uppers[pair])
    return GapBounds(upper=uppers[worst], proven=max(lowers), pair=worst)


def _joined(groups: GroupMeans, pair: tuple[str, str], alpha: float, *, up: bool, factor: float) -> float:
    """One bound of factor x mean_i - mean_j."""
    first, second = (groups.estimates[name].interval for name in pair)
    level = alpha / 2 if groups.shares_clusters else alpha
    low_i, high_i = first.bounds(level)
    low_j, high_j = second.bounds(level)
    centre = factor * first.estimate - second.estimate
    arm_i = factor * (high_i - first.estimate if up else first.estimate - low_i)
    arm_j = second.estimate - low_j if up else high_j - second.estimate
    join: Callable[[float, float], float] = (lambda a, b: a + b) if groups.shares_clusters else math.hypot
    arm = join(max(arm_i, 0.0), max(arm_j, 0.0))
    return centre + arm if up else centre - arm
