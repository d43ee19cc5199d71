"""The few distribution functions the bounds need, in plain Python.

scipy.special has them all, and loading it takes longer than everything else a `kdgov gate` of ten thousand items does.
The tests hold every function here to scipy's values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

_TINY = 1e-300
_ENOUGH = 1e-15
_CLOSE = 1e-13
"""Relative width at which a root is found: a thousandth of the last digit a decision shows."""
_STEPS = 100_000
_BISECTIONS = 200


@lru_cache(maxsize=256)
def normal_quantile(probability: float) -> float:
    """Standard normal quantile."""
    return NormalDist().inv_cdf(probability)


def beta_cdf(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b), for a, b > 0.

    Source: continued fraction by Lentz's method, DLMF 8.17.22.
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(x, a, b) / a
    return 1.0 - front * _beta_fraction(1.0 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    # Written out, without helper calls: this loop is where the gate's time goes.
    c = 1.0
    d = 1.0 / _away(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _STEPS):
        base = a + 2 * m
        even = m * (b - m) * x / ((base - 1.0) * base)
        odd = -(a + m) * (a + b + m) * x / (base * (base + 1.0))
        d = 1.0 / ((1.0 + even * d) or _TINY)
        c = (1.0 + even / c) or _TINY
        value *= d * c
        d = 1.0 / ((1.0 + odd * d) or _TINY)
        c = (1.0 + odd / c) or _TINY
        step = d * c
        value *= step
        if -_ENOUGH < step - 1.0 < _ENOUGH:
            break
    return value


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


@lru_cache(maxsize=4096)
def beta_quantile(probability: float, a: float, b: float) -> float:
    """The x with I_x(a, b) = probability."""
    return rising_root(lambda x: beta_cdf(x, a, b) - probability, 0.0, 1.0)


@lru_cache(maxsize=4096)
def student_quantile(probability: float, df: float) -> float:
    """Quantile of Student's t with df > 0 degrees of freedom."""
    if probability == 0.5:
        return 0.0
    tail = min(probability, 1.0 - probability)
    # P(|T| > t) = I_x(df/2, 1/2) with x = df / (df + t^2): the tail keeps its digits however small it is.
    share = beta_quantile(2.0 * tail, df / 2.0, 0.5)
    size = math.sqrt(df * (1.0 - share) / share) if share > 0 else math.inf
    return size if probability > 0.5 else -size


def gamma_sf(x: float, shape: float) -> float:
    """Upper tail of the Gamma(shape, 1) law, for shape > 0.

    Source: series below the mean, continued fraction above it, DLMF 8.11.4 and 8.9.2.
    """
    if x <= 0.0:
        return 1.0
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1.0:
        term = total = 1.0 / shape
        for n in range(1, _STEPS):
            term *= x / (shape + n)
            total += term
            if term < total * _ENOUGH:
                break
        return max(1.0 - front * total, 0.0)
    b = x + 1.0 - shape
    c, d = 1.0 / _TINY, 1.0 / _away(b)
    value = d
    for n in range(1, _STEPS):
        numerator = -n * (n - shape)
        b += 2.0
        d = 1.0 / _away(numerator * d + b)
        c = _away(b + numerator / c)
        value *= d * c
        if abs(d * c - 1.0) < _ENOUGH:
            break
    return front * value


@lru_cache(maxsize=4096)
def gamma_isf(probability: float, shape: float) -> float:
    """The x with an upper Gamma(shape, 1) tail of that probability."""
    high = shape + 10.0
    while gamma_sf(high, shape) > probability:
        high *= 2.0
    return rising_root(lambda x: probability - gamma_sf(x, shape), 0.0, high)


def rising_root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Root of a rising function between two points, to thirteen digits.

    Source: Chandrupatla 1997, Advances in Engineering Software 28:145: inverse quadratic steps where they are safe,
    bisection elsewhere; about a dozen evaluations where bisection alone needs fifty.
    """
    one, other, third = high, low, low
    f_one, f_other = rising(high), rising(low)
    f_third = f_other
    share = 0.5
    for _ in range(_BISECTIONS):
        point = one + share * (other - one)
        f_point = rising(point)
        if (f_point > 0.0) == (f_one > 0.0):
            third, f_third = one, f_one
        else:
            third, other, f_third, f_other = other, one, f_other, f_one
        one, f_one = point, f_point
        best = one if abs(f_one) < abs(f_other) else other
        near = _CLOSE * abs(best) + _TINY
        width = abs(other - one)
        # Twice the tolerance: a step of the tolerance itself would be taken again and again.
        if width <= 2.0 * near or f_one == 0.0 or f_other == 0.0:
            return best
        limit = near / width
        xi, phi = (one - other) / (third - other), (f_one - f_other) / (f_third - f_other)
        if phi * phi < xi and (1.0 - phi) ** 2 < 1.0 - xi:
            share = f_one / (f_other - f_one) * f_third / (f_other - f_third)
            share += (third - one) / (other - one) * f_one / (f_third - f_one) * f_other / (f_third - f_other)
        else:
            share = 0.5
        share = min(max(share, limit), 1.0 - limit)
    return (one + other) / 2.0
