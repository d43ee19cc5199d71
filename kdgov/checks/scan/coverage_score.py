"""How well a body of texts covers inputs: each input's likeness to the data, against what held-out data looks like.

Half of the data is the reference, the other half is held out. Two scores say how familiar a text is to the reference: its mean
cosine to the three nearest texts, and the mean log-frequency of its n-grams. Both are ranked among the held-out texts nearest to the
text itself, so that a narrow topic of a broad body of data is compared with held-out texts of that topic. A text is *far* where the
product of the two ranks is as small as it is for one held-out text in twenty. The uncovered share is how much more often the
inputs are far than held-out data is: a mixture of covered inputs (far in one of twenty cases) and uncovered ones.

Features are words and four-byte runs by hash; no model, no language. `tests/benchmarks/coverage.py` has the error rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kdgov.checks.scan.word_hashes import mixed, normalised, words_of

Floats = NDArray[np.float64]
Matrix: TypeAlias = Any
"""A scipy sparse matrix by rows; scipy has no types."""

FAR_SHARE = 0.05
"""Share of held-out data that is called far."""
LEAST_TEXTS = 30
"""Fewer distinct texts than this on a side cannot be compared."""
MOST_DATA = 4000
"""Distinct texts of the data that are looked at."""
NEAREST = 3
LOCAL = 20
"""Held-out texts nearest to a text, among which it is ranked."""
_BITS = 18
_NORMAL_99 = 2.3263478740408408


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """How well the data covers the inputs."""

    is_far: NDArray[np.bool_]
    """Per input: whether it is unlike the data, as one held-out text in twenty is."""
    share: float
    """Estimated share of inputs that the data does not cover; between 0 and 1."""
    lower: float
    """Its one-sided lower 99 % bound; above 0 the data is said not to cover them."""
    upper: float
    """Its one-sided upper 99 % bound."""
    features: Matrix
    """Features of the inputs, rows of length one."""


class Coverage:
    """A body of data, learnt once, against which any texts can be scored."""

    def __init__(self, data: Sequence[str], *, seed: int = 0) -> None:
        """Learn distinct texts of the data.

        Args:
            data: at least `LEAST_TEXTS` distinct texts.
            seed: of the split into reference and held-out half.
        """
        order = np.random.default_rng(seed).permutation(len(data))
        half = len(data) // 2
        reference, held = _features([data[i] for i in order[:half]]), _features([data[i] for i in order[half:]])
        counts = np.asarray(reference.sum(axis=0)).ravel()
        self._weights = np.log((1 + half) / (1 + counts)) + 1
        self._frequencies = np.log((counts + 0.5) / (half + 1))
        self._reference, self._held = self._unit(reference), self._unit(held)
        self._scores = self._familiarity(held, self._held)
        self._local = min(LOCAL, self._held.shape[0] - 1)
        ranks = self._ranks(self._held, self._scores, own=True)[0]
        self._limit = float(np.quantile(ranks, FAR_SHARE))
        self._held_far = ranks <= self._limit

    def of(self, texts: Sequence[str]) -> Covered:
        """How well the data covers these texts, each counted once."""
        raw = _features(texts)
        unit = self._unit(raw)
        ranks, nearest = self._ranks(unit, self._familiarity(raw, unit))
        is_far = ranks <= self._limit
        used = np.bincount(nearest.ravel(), minlength=self._held.shape[0]).astype(np.float64)
        used /= used.sum()
        # Held-out texts are weighted by how often they stand beside an input: what is expected of covered inputs like these.
        expected = max(float(used @ self._held_far), FAR_SHARE)
        spread = FAR_SHARE * (1 - FAR_SHARE) * float(used @ used)
        seen = float(is_far.mean())
        own = max(seen * (1 - seen), expected * (1 - expected)) / len(texts)
        reach = _NORMAL_99 * math.sqrt(own + spread)
        low, middle, high = ((seen + d - expected) / (1 - expected) for d in (-reach, 0.0, reach))
        return Covered(is_far=is_far, share=_clip(middle), lower=_clip(low), upper=_clip(high), features=unit)

    def _unit(self, raw: Matrix) -> Matrix:
        weighted = raw.multiply(self._weights).tocsr()
        lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
        return (sp.diags(1 / np.maximum(lengths, 1e-12)) @ weighted).tocsr()

    def _familiarity(self, raw: Matrix, unit: Matrix) -> tuple[Floats, Floats]:
        alike = np.concatenate([_top(part @ self._reference.T, NEAREST) for part in _parts(unit)])
        counts = np.maximum(np.asarray(raw.sum(axis=1)).ravel(), 1)
        return alike, np.asarray(raw @ self._frequencies).ravel() / counts

    def _ranks(self, unit: Matrix, scores: tuple[Floats, Floats], *, own: bool = False) -> tuple[Floats, NDArray[np.int64]]:
        """Product of both scores' ranks among the nearest held-out texts, and which those are."""
        nearest = []
        for number, part in enumerate(_parts(unit)):
            likeness = (part @ self._held.T).toarray()
            if own:
                rows = np.arange(part.shape[0])
                likeness[rows, number * _PART + rows] = -1.0
            nearest.append(np.argpartition(-likeness, self._local - 1, axis=1)[:, : self._local])
        near = np.concatenate(nearest)
        ranks = np.ones(unit.shape[0])
        for held, mine in zip(self._scores, scores, strict=True):
            others = held[near]
            below = (others < mine[:, None]).sum(axis=1) + 0.5 * (others == mine[:, None]).sum(axis=1)
            ranks *= (0.5 + below) / (self._local + 1)
        return ranks, near


_PART = 512


def _parts(matrix: Matrix) -> list[Matrix]:
    return [matrix[start : start + _PART] for start in range(0, matrix.shape[0], _PART)]


def _top(product: Matrix, count: int) -> Floats:
    dense = product.toarray()
    count = min(count, dense.shape[1])
    return np.asarray(np.partition(dense, -count, axis=1)[:, -count:].mean(axis=1))


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))


def _features(texts: Sequence[str]) -> Matrix:
    """Words and runs of four bytes by hash, one where present."""
    rows, columns = [], []
    for number, text in enumerate(texts):
        data = normalised(text)
        found = words_of(data)
        # Between words one space: punctuation and layout say nothing about the task.
        plain = np.frombuffer(b" " + b" ".join(data[a:b] for a, b in zip(found.starts, found.ends, strict=True)) + b" ", dtype=np.uint8)
        runs = np.zeros(max(0, len(plain) - 3), dtype=np.uint64)
        for place in range(4):
            runs = (runs << np.uint64(8)) | plain[place : place + len(runs)].astype(np.uint64)
        slots = np.unique(np.concatenate((found.hashes, mixed(runs + np.uint64(1)))) >> np.uint64(64 - _BITS))
        rows.append(np.full(len(slots), number))
        columns.append(slots.astype(np.int64))
    row, column = np.concatenate(rows), np.concatenate(columns)
    return sp.csr_matrix((np.ones(len(row)), (row, column)), shape=(len(texts), 1 << _BITS))
