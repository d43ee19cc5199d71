"""The few distribution functions the bounds need, in plain Python.

scipy.special has them all, and loading it takes longer than everything else a `kdgov gate` of ten thousand items does.
The tests hold every function here to scipy's values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

_TINY = 1e-300
_ENOUGH = 1e-15
_STEPS = 100_000
_BISECTIONS = 200


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
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _STEPS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0)),
        ):
            d = 1.0 / _away(1.0 + numerator * d)
            c = _away(1.0 + numerator / c)
            value *= d * c
        if abs(d * c - 1.0) < _ENOUGH:
            break
    return value


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


@lru_cache(maxsize=4096)
def beta_quantile(probability: float, a: float, b: float) -> float:
    """The x with I_x(a, b) = probability."""
    return _rising_root(lambda x: beta_cdf(x, a, b) - probability, 0.0, 1.0)


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
    return _rising_root(lambda x: probability - gamma_sf(x, shape), 0.0, high)


def _rising_root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Root of a rising function by bisection until neighbouring numbers are reached."""
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        if rising(middle) < 0.0:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0
