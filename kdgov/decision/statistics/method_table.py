"""Every method of the gate, one row each: what it is for, where it comes from, and how to demand it by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from kdgov.decision.statistics.betting import BettingInterval
from kdgov.decision.statistics.clusters import Codes
from kdgov.decision.statistics.few_events import GuardedInterval
from kdgov.decision.statistics.intervals import BcaInterval, Interval, StudentInterval
from kdgov.decision.statistics.methods import Estimate, compare, is_binary
from kdgov.decision.statistics.paired import NewcombeInterval, TangoInterval, Values
from kdgov.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to bound a difference."""

    name: str
    """As results print it."""
    shape: str
    """The shape of the scores that calls for it."""
    source: str
    """Where it is published."""
    demanded: Callable[[Values, Values, Codes | None, float | None], Interval | None] | None = None
    """Builds it for `compare(method=...)`, None where it does not fit the scores; absent where only the gate chooses it."""
    assumes_nothing: bool = False
    """Whether it holds for any bounded scores, so that nothing needs to guard it."""


def _tango(teacher: Values, student: Values, clusters: Codes | None, _reach: float | None) -> Interval | None:
    if clusters is not None or not (is_binary(teacher) and is_binary(student)):
        return None
    difference = student - teacher
    return TangoInterval(lost=int((difference < 0).sum()), won=int((difference > 0).sum()), n=len(teacher))


def _newcombe(teacher: Values, student: Values, clusters: Codes | None, _reach: float | None) -> Interval | None:
    if clusters is not None or not (is_binary(teacher) and is_binary(student)):
        return None
    difference = student - teacher
    lost, won, right = int((difference < 0).sum()), int((difference > 0).sum()), int(teacher.sum())
    return NewcombeInterval(both=right - lost, lost=lost, won=won, neither=len(teacher) - right - won)


def _student(teacher: Values, student: Values, clusters: Codes | None, _reach: float | None) -> Interval | None:
    n = len(teacher)
    if clusters is not None or n < 2:
        return None
    difference = student - teacher
    return StudentInterval(estimate=float(difference.mean()), error=math.sqrt(float(difference.var()) / (n - 1)), df=n - 1)


def _bca(teacher: Values, student: Values, clusters: Codes | None, _reach: float | None) -> Interval | None:
    return None if clusters is not None else BcaInterval(values=student - teacher)


def _betting(teacher: Values, student: Values, clusters: Codes | None, reach: float | None) -> Interval | None:
    span = 1.0 if is_binary(teacher) and is_binary(student) else reach
    return None if clusters is not None or span is None else BettingInterval(values=student - teacher, reach=span)


_CR3 = "CR3 variance and Satterthwaite degrees of freedom, Bell and McCaffrey 2002"

GATE_METHODS: tuple[Method, ...] = (
    Method(name="tango", shape="0/1, independent items", source="Tango 1998, Statistics in Medicine 17:891", demanded=_tango),
    Method(
        name="newcombe",
        shape="0/1, independent items: beside Tango's in `details`",
        source="Newcombe 1998, Statistics in Medicine 17:2635, method 10",
        demanded=_newcombe,
    ),
    Method(
        name="stratified",
        shape="the mean of a group of tasks: each task's own bound, their distances added as squares",
        source="Zou and Donner 2008, Statistics in Medicine 27:1693",
    ),
    Method(
        name="newcombe/deff",
        shape="0/1 in clusters: counts divided by the design effect, t quantile",
        source=_CR3,
    ),
    Method(name="cluster-t", shape="numbers in clusters", source=_CR3),
    Method(
        name="paired-t",
        shape="numbers, at least 30, abs(skewness) at most 0.09 √n",
        source="Edgeworth: the one-sided error is then off by one point at most",
        demanded=_student,
    ),
    Method(name="bca", shape="numbers, more skewed; fixed seed, analytic above 20,000 items", source="Efron 1987", demanded=_bca),
    Method(
        name="few-events",
        shape="numbers or clusters of which few, or none, lost: the exact bound of their share × the largest possible loss",
        source="Clopper and Pearson 1934",
    ),
    Method(
        name="betting",
        shape="on demand: bounded scores in the order of the items, right at every number of them at once",
        source="Waudby-Smith and Ramdas 2024",
        demanded=_betting,
        assumes_nothing=True,
    ),
    Method(
        name="ppi++",
        shape="a judge's scores with gold on a random part of the items",
        source="Angelopoulos, Duchi and Zrnic 2023, arXiv:2311.01453; Zou and Donner 2008 for the bound",
    ),
    Method(name="clopper-pearson", shape="a floor, ceiling or share of flips", source="Clopper and Pearson 1934"),
    Method(
        name="clopper-pearson/deff",
        shape="the same in clusters: effective counts",
        source="Korn and Graubard 1998",
    ),
    Method(name="gamma-exact", shape="canaries", source="Carlini et al. 2019 for exposure"),
    Method(
        name="paired ratios",
        shape="latency, speed, processor time, energy: student over teacher in repeated paired turns",
        source="Wilcoxon 1945, signed ranks of the logarithms; a bootstrap over pairs for a 95th percentile",
    ),
    Method(
        name="ratio",
        shape="what is counted, declared or measured once of student and teacher",
        source="no interval: one number each",
    ),
)
"""Every method, in the order of the documentation; a test holds docs/gate.md to it."""


def estimate_by(
    name: str, teacher: Values, student: Values, *, clusters: Codes | None, reach: float | None, worst: float | None
) -> Estimate:
    """`compare` with the method of that name in the place of the chosen one; ``auto`` lets the shape choose.

    Raises:
        InputError: if there is no such method, or it does not fit the scores.
    """
    chosen = compare(teacher, student, clusters=clusters, reach=reach, worst=worst)
    if name in ("auto", chosen.interval.method):
        return chosen
    row = next((method for method in GATE_METHODS if method.name == name), None)
    own = None if row is None or row.demanded is None else row.demanded(teacher, student, clusters, reach)
    if own is None:
        known = ", ".join(m.name for m in GATE_METHODS if m.demanded is not None)
        what = (
            f"there is no method {name!r}"
            if row is None
            else f"the method {name!r} does not fit these scores, which take {chosen.interval.method}"
        )
        raise InputError(what, where="compare", mend=f"Write auto, or one of {known} where they fit.")
    held = chosen.interval
    if row is not None and row.assumes_nothing:
        return replace(chosen, interval=own, hidden="")
    # A demanded method replaces the bound from the spread, never what guards it.
    return replace(chosen, interval=replace(held, of=own) if isinstance(held, GuardedInterval) else own)
