"""The plain Python distribution functions equal scipy's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special as reference

from kdgov.decision.statistics.distributions import beta_cdf, beta_quantile, gamma_isf, gamma_sf, student_quantile

positive = st.floats(0.2, 5e4)
share = st.sampled_from([0.001, 0.025, 0.05, 0.3, 0.5, 0.95, 0.975, 0.999])


@settings(max_examples=80, deadline=None)
@given(positive, positive, st.floats(0.0, 1.0))
def test_beta_cdf(a, b, x):
    assert beta_cdf(x, a, b) == pytest.approx(float(reference.betainc(a, b, x)), rel=1e-7, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(positive, positive, share)
def test_beta_quantile(a, b, probability):
    assert beta_quantile(probability, a, b) == pytest.approx(float(reference.betaincinv(a, b, probability)), rel=1e-7, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.floats(1.0, 1e6), share)
def test_student_quantile(df, probability):
    assert student_quantile(probability, df) == pytest.approx(float(reference.stdtrit(df, probability)), rel=1e-6, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.5, 2000.0), st.floats(0.01, 3000.0))
def test_gamma_sf(shape, x):
    assert gamma_sf(x, shape) == pytest.approx(float(reference.gammaincc(shape, x)), rel=1e-8, abs=1e-13)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 500), share)
def test_gamma_isf(shape, probability):
    assert gamma_isf(probability, shape) == pytest.approx(float(reference.gammainccinv(shape, probability)), rel=1e-7)
