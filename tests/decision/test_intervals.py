"""Bounds agree with published examples, with slow independent implementations, and with their own symmetries."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from kdgov.decision.statistics.few_events import FewEventsInterval
from kdgov.decision.statistics.intervals import (
    BcaInterval,
    ExactInterval,
    ShiftedInterval,
    StudentInterval,
    exact_bounds,
    p_worse,
)
from kdgov.decision.statistics.paired import NewcombeInterval, TangoInterval, wilson

cells = st.tuples(*[st.integers(0, 60)] * 4).filter(lambda t: sum(t) >= 2)


def tango(a: int, b: int, c: int, e: int) -> TangoInterval:
    return TangoInterval(lost=b, won=c, n=a + b + c + e)


def newcombe(a: int, b: int, c: int, e: int) -> NewcombeInterval:
    return NewcombeInterval(both=a, lost=b, won=c, neither=e)


@pytest.mark.parametrize(
    ("counts", "lower", "upper"),
    [
        # Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables, ch. 8: Bentur et al. 2009.
        ((1, 1, 7, 12), 0.026, 0.517),
        # PropCIs::scoreci.mp(60, 20, 1000), 95 %.
        ((0, 60, 20, 920), -0.0584, -0.0231),
        # The facts' check value, drop .0611 to .3447, equal to a numeric maximisation of the restricted likelihood.
        ((20, 12, 2, 16), -0.3447, -0.0611),
    ],
)
def test_tango_gives_the_published_95_percent_interval(counts, lower, upper):
    low, high = tango(*counts).bounds(0.025)
    digits = 3 if lower == 0.026 else 4
    assert (round(low, digits), round(high, digits)) == (lower, upper)


def test_tango_gives_the_published_90_percent_interval_of_an_equivalence_study():
    """PropCIs on 48 and 41 discordant of 549: [-1.57, +4.14] points for the mirrored difference."""
    low, high = TangoInterval(lost=48, won=41, n=549).bounds(0.05)
    assert (round(-100 * high, 2), round(-100 * low, 2)) == (-1.57, 4.14)


@pytest.mark.parametrize(
    ("counts", "lower", "upper"),
    [
        # Fagerland, Lydersen and Laake, ch. 8, method "Newcombe square-and-add": Bentur et al. 2009 and Cavo et al. 2012.
        ((1, 1, 7, 12), 0.0256, 0.5069),
        ((59, 6, 16, 80), 0.0046, 0.1186),
        # The facts' check value: drop .0562 to .3292.
        ((20, 12, 2, 16), -0.3292, -0.0562),
    ],
)
def test_newcombe_10_gives_the_published_95_percent_interval(counts, lower, upper):
    low, high = newcombe(*counts).bounds(0.025)
    assert (round(low, 4), round(high, 4)) == (lower, upper)


@pytest.mark.parametrize(("n", "tango_low", "newcombe_low"), [(50, -0.0513, -0.0521), (100, -0.0263, -0.0266), (1000, -0.0027, -0.0027)])
def test_no_discordant_pair_is_no_certainty(n, tango_low, newcombe_low):
    assert round(TangoInterval(lost=0, won=0, n=n).bounds(0.05)[0], 4) == tango_low
    assert round(newcombe(9 * n // 10, 0, 0, n // 10).bounds(0.05)[0], 4) == newcombe_low


def slow_tango_lower(b: int, c: int, n: int, alpha: float) -> float:
    """Tango's bound by maximising the restricted likelihood numerically: shares no formula with the product."""
    z = NormalDist().inv_cdf(1 - alpha)

    def score(drop: float) -> float:
        def loss(q: float) -> float:
            p12, p21 = q + max(drop, 0), q + max(-drop, 0)
            rest = 1 - p12 - p21
            return -sum(k * math.log(max(p, 1e-300)) for k, p in ((b, p12), (c, p21), (n - b - c, rest)) if k)

        best = optimize.minimize_scalar(loss, bounds=(0, (1 - abs(drop)) / 2), method="bounded", options={"xatol": 1e-12}).x
        variance = n * (2 * best + abs(drop) - drop * drop)
        return (b - c - n * drop) / math.sqrt(variance)

    return -optimize.brentq(lambda drop: score(drop) + z, (b - c) / n + 1e-9, 1 - 1e-9, xtol=1e-10)


@pytest.mark.parametrize(("b", "c", "n"), [(5, 3, 60), (12, 2, 50), (1, 9, 80), (30, 30, 200), (7, 0, 100)])
def test_tango_equals_a_numeric_maximisation_of_the_restricted_likelihood(b, c, n):
    assert TangoInterval(lost=b, won=c, n=n).bounds(0.05)[0] == pytest.approx(slow_tango_lower(b, c, n, 0.05), abs=2e-6)


@settings(max_examples=60, deadline=None)
@given(cells)
def test_swapping_the_models_mirrors_the_interval(counts):
    a, b, c, e = counts
    for make in (tango, newcombe):
        low, high = make(a, b, c, e).bounds(0.05)
        other_low, other_high = make(a, c, b, e).bounds(0.05)
        assert low == pytest.approx(-other_high, abs=1e-9)
        assert high == pytest.approx(-other_low, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(cells)
def test_the_interval_holds_the_estimate_and_widens_with_confidence(counts):
    for make in (tango, newcombe):
        interval = make(*counts)
        narrow, wide = interval.bounds(0.10), interval.bounds(0.01)
        assert -1 <= wide[0] <= narrow[0] <= interval.estimate + 1e-9
        assert interval.estimate - 1e-9 <= narrow[1] <= wide[1] <= 1


def test_the_score_falls_as_the_tested_drop_grows():
    interval = TangoInterval(lost=9, won=4, n=120)
    scores = [interval.score(m) for m in np.linspace(-0.9, 0.9, 181)]
    assert all(one > other for one, other in zip(scores, scores[1:], strict=False))


def test_wilson_equals_scipy():
    for hits, n in ((0, 30), (7, 20), (20, 20), (412, 900)):
        expected = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
        assert wilson(hits / n, n, NormalDist().inv_cdf(0.975)) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_clopper_pearson_equals_scipy_and_the_zero_harm_rule():
    for hits, n in ((0, 30), (7, 20), (20, 20), (412, 900)):
        expected = stats.binomtest(hits, n).proportion_ci(0.90, method="exact")
        assert exact_bounds(hits, n, 0.05) == pytest.approx((expected.low, expected.high), abs=1e-10)
    # 0 harmful of n: 1 - alpha^(1/n), the facts' row .058, .030, .0099, .0057.
    assert [round(ExactInterval(hits=0, n=n).bounds(0.05)[1], 4) for n in (50, 100, 300, 520)] == [0.0582, 0.0295, 0.0099, 0.0057]


def test_student_equals_scipy():
    values = np.random.default_rng(1).normal(0.1, 1.0, 50)
    interval = StudentInterval(estimate=float(values.mean()), error=float(values.std(ddof=1) / math.sqrt(50)), df=49)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.90)
    assert interval.bounds(0.05) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_bca_agrees_with_scipys_bootstrap():
    values = np.random.default_rng(3).lognormal(0, 1, 120)
    expected = stats.bootstrap((values,), np.mean, confidence_level=0.90, method="BCa", n_resamples=20_000, rng=np.random.default_rng(0))
    low, high = BcaInterval(values=values).bounds(0.05)
    width = expected.confidence_interval.high - expected.confidence_interval.low
    assert low == pytest.approx(expected.confidence_interval.low, abs=0.04 * width)
    assert high == pytest.approx(expected.confidence_interval.high, abs=0.06 * width)


def test_bca_does_not_depend_on_the_order_of_the_items():
    values = np.random.default_rng(4).lognormal(0, 1, 90)
    assert BcaInterval(values=values).bounds(0.05) == BcaInterval(values=values[::-1].copy()).bounds(0.05)


def test_analytic_bca_of_many_values_is_close_to_resampling():
    values = np.random.default_rng(5).lognormal(0, 1.5, 20_001)
    means = values[np.random.default_rng(6).integers(0, len(values), (600, len(values)))].mean(axis=1)
    low, high = BcaInterval(values=values).bounds(0.05)
    centre, spread = values.mean(), means.std()
    assert centre - 1.75 * spread < low < centre - 1.4 * spread
    assert centre + 1.6 * spread < high < centre + 2.1 * spread


def test_few_events_bound_never_promises_more_than_the_exact_share():
    interval = FewEventsInterval(estimate=-0.01, losses=2, gains=0, n=300, reach=1.0)
    assert interval.bounds(0.05)[0] == pytest.approx(-stats.binomtest(2, 300).proportion_ci(0.90, method="exact").high)


def test_a_shifted_interval_moves_as_one():
    inner = TangoInterval(lost=3, won=5, n=100)
    moved = ShiftedInterval(of=inner, by=0.2)
    assert moved.estimate == pytest.approx(inner.estimate + 0.2)
    assert moved.bounds(0.05) == pytest.approx(tuple(x + 0.2 for x in inner.bounds(0.05)))


@pytest.mark.parametrize("make", [tango, newcombe])
def test_p_worse_is_the_level_at_which_the_upper_bound_meets_the_margin(make):
    interval = make(300, 60, 10, 30)
    level = p_worse(interval, 0.05)
    assert interval.bounds(level)[1] == pytest.approx(-0.05, abs=1e-6)


def test_p_worse_of_a_student_inside_the_margin_is_one_half_or_more():
    assert p_worse(newcombe(300, 10, 12, 30), 0.05) == 0.5
    assert p_worse(tango(300, 10, 12, 30), 0.05) > 0.5
