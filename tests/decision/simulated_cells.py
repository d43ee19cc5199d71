"""Pairs of score arrays whose true loss is known, by the kind of dependence between items; shared by the error-rate tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Pair = tuple[np.ndarray, np.ndarray, np.ndarray | None]
Maker = Callable[[np.random.Generator, float], Pair]
"""A source of chance and a true loss in, teacher, student and clusters out."""

_SIZES = (
    "100 135 152 100 265 144 100 100 100 173 102 100 235 114 145 378 126 100 310 203 100 165 198 193 390 270 238 151 545 216 204 "
    "237 223 131 121 108 163 112 103 234 100 783 346 895 306 311 324 282 1534 272 612 110 245 201 100 166 171"
)
MMLU_SIZES = tuple(int(size) for size in _SIZES.split(" "))
"""Items of the 57 subjects of MMLU's test set."""


def mmlu(_rng: np.random.Generator) -> np.ndarray:
    """A fifth of every subject."""
    return np.array(MMLU_SIZES) // 5


def equal(clusters: int, size: int = 30) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda _rng: np.full(clusters, size)


def lognormal(clusters: int) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda rng: np.maximum(np.round(20 * rng.lognormal(0, 1, clusters)), 1).astype(int)


def one_third(clusters: int) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda _rng: np.array([10 * (clusters - 1), *[20] * (clusters - 1)])


def right_or_wrong(sizes: Callable[[np.random.Generator], np.ndarray], icc: float, *, differ: float = 0.1) -> Maker:
    """0/1 scores: each cluster has its own loss, normal about the true one."""

    def make(rng: np.random.Generator, loss: float) -> Pair:
        n = sizes(rng)
        codes = np.repeat(np.arange(len(n)), n)
        effect = np.clip(-loss + rng.normal(0, np.sqrt(icc * differ / (1 - icc)), len(n)), -0.95, 0.95 - 2 * loss)
        width = np.maximum(differ, np.abs(effect))
        lost, won = ((width - effect) / 2)[codes], ((width + effect) / 2)[codes]
        draw = rng.random(len(codes))
        difference = np.where(draw < lost, -1.0, np.where(draw < lost + won, 1.0, 0.0))
        level = (rng.random(len(codes)) < 0.8).astype(float)
        teacher = np.where(difference < 0, 1.0, np.where(difference > 0, 0.0, level))
        return teacher, teacher + difference, codes

    return make


def numbers(sizes: Callable[[np.random.Generator], np.ndarray], icc: float = 0.1) -> Maker:
    """Normal scores and differences of variance 1, a share ``icc`` of it between clusters; losses count in tenths."""

    def make(rng: np.random.Generator, loss: float) -> Pair:
        n = sizes(rng)
        codes = np.repeat(np.arange(len(n)), n)
        teacher = rng.normal(0, 1, len(codes))
        student = teacher + rng.normal(-10 * loss, np.sqrt(icc), len(n))[codes] + rng.normal(0, np.sqrt(1 - icc), len(codes))
        return np.clip(teacher / 10, -1, 1), np.clip(student / 10, -1, 1), codes

    return make


def templates(clusters: int, size: int, *, background: bool, as_numbers: bool = False, uniform: float = 0.0) -> Maker:
    """Whole templates collapse; ``background``: items change either way besides; ``uniform``: share of the loss that all bear."""

    def make(rng: np.random.Generator, loss: float) -> Pair:
        codes = np.repeat(np.arange(clusters), size)
        n, bad, even = len(codes), loss * (1 - uniform), loss * uniform
        if as_numbers:
            teacher = rng.uniform(0.6, 0.8, n)
            student = np.clip(teacher + (rng.normal(0, 0.1, n) if background else 0.0) - even, 0, 1)
            return teacher, np.where((rng.random(clusters) < bad / 0.7)[codes], 0.0, student), codes
        teacher = (rng.random(n) < 0.8).astype(float)
        away, back = (0.02 if background else 0.0) + even, 0.02 if background else 0.0
        changed = np.where(teacher == 1, rng.random(n) < away / 0.8, rng.random(n) < back / 0.2)
        student = np.where(changed, 1 - teacher, teacher)
        return teacher, np.where((rng.random(clusters) < bad / 0.8)[codes], 0.0, student), codes

    return make


def repeats(items: int, samples: int) -> Maker:
    """Several samples of every item: each item has its own chance of a right answer, for either model."""

    def make(rng: np.random.Generator, loss: float) -> Pair:
        codes = np.repeat(np.arange(items), samples)
        level = np.clip(rng.beta(4, 1, items), loss, 1)
        teacher = (rng.random(len(codes)) < level[codes]).astype(float)
        student = (rng.random(len(codes)) < (level - loss)[codes]).astype(float)
        return teacher, student, codes

    return make


def rare_large_losses(items: int, *, share: float = 0.005, size: float = 8.0) -> Maker:
    """Log-likelihoods of which few lose very much; the true loss is ``share`` x ``size``, whatever is asked for."""

    def make(rng: np.random.Generator, loss: float) -> Pair:
        teacher = -rng.gamma(2, 0.5, items)
        student = teacher + rng.normal(0, 0.05, items) - np.where(rng.random(items) < (share if loss else 0.0), size, 0.0)
        return teacher, student, None

    return make
