"""How well a body of texts covers inputs: conformal p-values of each input's likeness to the data, among held-out data of its own kind.

The data is cut into five folds, whole documents together. Each text of a fold is scored by its mean cosine to the ten nearest texts of
the other folds; an input is scored against the same four folds, once per fold. What a text of this place among the data's topics is
expected to score (a ridge regression over held-out texts) is taken off. The data also falls into kinds (k-means on the
leading directions of its likeness matrix), and an input's p-value is its rank among held-out texts of its kind: where inputs of a kind
are distributed as the data's texts of that kind are, it is uniform, however often the kind is asked for (Mondrian conformal prediction:
Vovk, Gammerman & Shafer 2005, chapter 4.5). So data that covers more than the inputs, and inputs that ask one
topic most of the time, raise no alarm. An input is *far* where its p-value is at most 0.05.

Covered inputs are far one time in twenty, so the uncovered share is (far − 0.05) / 0.95. Its interval counts both sides: sessions of
inputs and documents of data are clusters. Features are words, runs of signs and four-byte runs by hash; no model, no language.
`python -m tests.benchmarks.coverage` has the error rates.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

from kdgov.checks.scan.word_hashes import mixed, normalised, words_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Matrix: TypeAlias = Any
"""A scipy sparse matrix by rows; scipy has no types."""

FAR_SHARE = 0.05
"""Share of covered inputs that is called far."""
LEAST_TEXTS = 30
"""Fewer distinct texts than this on a side cannot be compared."""
MOST_DATA = 4000
"""Distinct texts of the data that are looked at."""
NEAREST = 10
DIRECTIONS = 60
RIDGE = 0.0005
LEAST_EXPECTED = 0.4
FOLDS = 5
TEXTS_PER_KIND = 60
MOST_KINDS = 8
_LEAST_OF_A_KIND = 40
"""A kind of fewer texts joins the kinds beside it: among nineteen texts no p-value is below 0.05."""
_BITS = 18
_PART = 512
_NORMAL = 1.959963984540054
_SIGNS = re.compile(rb"[^\w\s\x80-\xff]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """How well the data covers the inputs."""

    is_far: NDArray[np.bool_]
    """Per input: whether its p-value is at most `FAR_SHARE`, by most folds."""
    p_values: Floats
    """Per input: median over the folds of the share of held-out texts of its kind that are no more like the data than it is."""
    share: float
    """Estimated share of inputs that the data does not cover; between 0 and 1."""
    lower: float
    """Lower end of its 95 % interval; above 0 the data is said not to cover the inputs."""
    upper: float
    """Upper end of its 95 % interval."""
    features: Matrix
    """Features of the inputs, rows of length one."""


class Coverage:
    """A body of data, learnt once, against which any texts can be scored."""

    def __init__(self, data: Sequence[str], *, groups: Sequence[str] | None = None, seed: int = 0) -> None:
        """Learn distinct texts of the data.

        Args:
            data: at least `LEAST_TEXTS` distinct texts.
            groups: document of each text; texts of one document are never compared with one another. Default: each its own.
            seed: of the folds and of the start of the kinds.
        """
        rng = np.random.default_rng(seed)
        count = len(data)
        are_grouped = groups is not None and len(set(groups)) >= FOLDS
        codes = np.unique(np.asarray(groups), return_inverse=True)[1] if are_grouped and groups is not None else np.arange(count)
        order = rng.permutation(int(codes.max()) + 1)
        self._fold = (order % FOLDS)[codes]
        raw = _features(data)
        by_document = sp.csr_matrix((np.ones(count), (codes, np.arange(count)))) @ raw
        self._weights = np.log((1 + len(order)) / (1 + np.maximum(by_document.getnnz(axis=0), 1))) + 1
        # What the texts compared with do not have weighs most, in an input as in a held-out text.
        most = np.log(1 + len(order)) + 1
        self._squares = [np.where(raw[self._fold != f].getnnz(axis=0) > 0, self._weights, most) ** 2 for f in range(FOLDS)]
        self._data = self._unit(raw)
        likeness = np.concatenate([(part @ self._data.T).toarray() for part in _parts(self._data)])
        # An input is compared with other documents only, and so is a text of the data.
        likeness[codes[:, None] == codes[None, :]] = 0.0
        self._directions, self._centres, kinds = _kinds(likeness, rng)
        scores = np.empty(count)
        for fold in range(FOLDS):
            mine = self._fold == fold
            scores[mine] = _top(likeness[mine][:, ~mine]) * self._shrinkage(raw[mine], fold)
        self._expected, self._least, scores = _expectation(self._covariates(likeness), scores)
        own = [kinds == kind for kind in range(len(self._centres))]
        self._held = [np.sort(scores[mine]) for mine in own]
        self._spread = np.array([_mean_variance(scores[m] <= np.quantile(scores[m], FAR_SHARE), codes[m]) for m in own])

    def of(self, texts: Sequence[str], *, sessions: Sequence[str] | None = None) -> Covered:
        """How well the data covers these texts, each counted once.

        Args:
            texts: the inputs, at least one.
            sessions: session of each input, where they came in sessions: those are clusters. An empty one is its own.
        """
        raw = _features(texts)
        unit = self._unit(raw)
        ranks, kinds = self._ranks(raw, unit)
        far = ranks <= FAR_SHARE
        used = np.bincount(kinds, minlength=len(self._centres)) / len(texts)
        named = [name or f"\0{number}" for number, name in enumerate(sessions or [""] * len(texts))]
        own = _mean_variance(far.mean(axis=0), np.unique(np.asarray(named), return_inverse=True)[1])
        seen = float(far.mean())
        bounds = _score_interval(seen, own, len(texts), float(used**2 @ self._spread))
        low, middle, high = ((value - FAR_SHARE) / (1 - FAR_SHARE) for value in (bounds[0], seen, bounds[1]))
        return Covered(
            is_far=far.mean(axis=0) > 0.5,
            p_values=np.median(ranks, axis=0),
            share=_clip(middle),
            lower=_clip(low),
            upper=_clip(high),
            features=unit,
        )

    def _unit(self, raw: Matrix) -> Matrix:
        weighted = raw.multiply(self._weights).tocsr()
        lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
        return (sp.diags(1 / np.maximum(lengths, 1e-12)) @ weighted).tocsr()

    def _shrinkage(self, raw: Matrix, fold: int) -> Floats:
        """Length of each text without, and with, full weight for the features that no text outside the fold has: their ratio."""
        with_unseen = np.asarray(raw @ self._squares[fold]).ravel()
        return np.asarray(np.sqrt(np.asarray(raw @ self._weights**2).ravel() / np.maximum(with_unseen, 1e-12)))

    def _covariates(self, likeness: Floats) -> Floats:
        """What a text's score is expected to depend on, whether or not it is covered: its place among the data's topics."""
        return np.column_stack((np.ones(len(likeness)), _turned(likeness, self._directions)))

    def _ranks(self, raw: Matrix, unit: Matrix) -> tuple[Floats, Integers]:
        """P-values, fold by input, and the kind each input falls into."""
        scores, kinds = [], []
        for own, part in zip(_parts(raw), _parts(unit), strict=True):
            likeness = (part @ self._data.T).toarray()
            expected = np.maximum(self._covariates(likeness) @ self._expected, self._least)
            kinds.append(_nearest(_turned(likeness, self._directions), self._centres))
            tops = [_top(likeness[:, self._fold != fold]) * self._shrinkage(own, fold) for fold in range(FOLDS)]
            scores.append(np.stack(tops) - expected)
        score, kind = np.concatenate(scores, axis=1), np.concatenate(kinds)
        ranks = np.ones_like(score)
        for number, held in enumerate(self._held):
            mine = kind == number
            ranks[:, mine] = (np.searchsorted(held, score[:, mine], side="right") + 1) / (len(held) + 1)
        return ranks, kind


def _kinds(likeness: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Integers]:
    """Directions that turn likenesses into places, centres of the kinds, and the kind of each text."""
    count = len(likeness)
    wanted = min(MOST_KINDS, count // TEXTS_PER_KIND)
    if count < 2 * TEXTS_PER_KIND:
        return np.zeros((count, 1)), np.zeros((1, 1)), np.zeros(count, dtype=np.int64)
    values, vectors = eigsh(likeness, k=min(DIRECTIONS, count // 4), which="LA", v0=np.ones(count))
    directions = vectors[:, values > 1e-9] / np.sqrt(values[values > 1e-9])
    places = _turned(likeness, directions)
    centres = places[_spread_out(places, wanted, rng)]
    for _ in range(15):
        kinds = _nearest(places, centres)
        centres = np.stack([places[kinds == n].mean(axis=0) for n in range(len(centres)) if (kinds == n).any()])
    while len(centres) > 1 and (sizes := np.bincount(_nearest(places, centres), minlength=len(centres))).min() < _LEAST_OF_A_KIND:
        centres = np.delete(centres, int(np.argmin(sizes)), axis=0)
    return directions, centres, _nearest(places, centres)


def _expectation(covariates: Floats, scores: Floats) -> tuple[Floats, float, Floats]:
    """Coefficients that predict a score (ridge), the least that is expected, and each score less what the others predict for it.

    No text is excused by a place where hardly any of the data lies: expectations end where three in five held-out ones do.
    """
    penalty = RIDGE * len(scores) * np.diag([0.0, *[1.0] * (covariates.shape[1] - 1)])
    inverse = np.linalg.inv(covariates.T @ covariates + penalty + 1e-9 * np.eye(covariates.shape[1]))
    coefficients = inverse @ covariates.T @ scores
    leverage = np.minimum(np.einsum("ij,jk,ik->i", covariates, inverse, covariates), 0.9)
    fitted = covariates @ coefficients
    without = (fitted - leverage * scores) / (1 - leverage)
    least = float(np.quantile(without, LEAST_EXPECTED))
    return coefficients, least, scores - np.maximum(without, least)


def _spread_out(places: Floats, count: int, rng: np.random.Generator) -> list[int]:
    """Starts of k-means, each drawn far from those before it (k-means++)."""
    chosen = [int(rng.integers(len(places)))]
    apart = np.full(len(places), np.inf)
    while len(chosen) < count:
        apart = np.minimum(apart, ((places - places[chosen[-1]]) ** 2).sum(axis=1))
        if apart.sum() <= 0:
            break
        chosen.append(int(rng.choice(len(places), p=apart / apart.sum())))
    return chosen


def _turned(likeness: Floats, directions: Floats) -> Floats:
    places = likeness @ directions
    return np.asarray(places / np.maximum(np.linalg.norm(places, axis=1, keepdims=True), 1e-12))


def _nearest(places: Floats, centres: Floats) -> Integers:
    return np.asarray(np.argmax(places @ centres.T - 0.5 * (centres**2).sum(axis=1), axis=1))


def _mean_variance(far: Floats, codes: Integers) -> float:
    """Variance of the mean of what is far in one case of twenty, in clusters; never below that of independent cases."""
    count = int(codes.max()) + 1
    sums = np.bincount(codes, weights=far - np.mean(far), minlength=count)
    held = int(np.unique(codes).size)
    robust = float((sums**2).sum()) / len(far) ** 2 * held / max(held - 1, 1)
    return max(robust, FAR_SHARE * (1 - FAR_SHARE) / (len(far) + 1))


def _score_interval(seen: float, variance: float, count: int, held: float) -> tuple[float, float]:
    """Wilson's interval of a share of clustered cases (design effect at least 1), widened by the held-out data's own variance."""
    binomial = seen * (1 - seen) / count
    per_case = max(variance / binomial, 1.0) / count if binomial > 0 else 1.0 / count
    square = _NORMAL**2
    a, b, c = 1 + square * per_case, 2 * seen + square * per_case, seen**2 - square * held
    root = math.sqrt(max(b**2 - 4 * a * c, 0.0))
    return (b - root) / (2 * a), (b + root) / (2 * a)


def _parts(matrix: Matrix) -> list[Matrix]:
    return [matrix[start : start + _PART] for start in range(0, matrix.shape[0], _PART)]


def _top(likeness: Floats) -> Floats:
    count = min(NEAREST, likeness.shape[1])
    return np.asarray(np.partition(likeness, -count, axis=1)[:, -count:].mean(axis=1))


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))


def _features(texts: Sequence[str]) -> Matrix:
    """Words, runs of signs and runs of four bytes by hash, one where present."""
    rows, columns = [], []
    for number, text in enumerate(texts):
        data = normalised(text)
        found = words_of(data)
        # Between words one space: layout says nothing about the task.
        plain = np.frombuffer(b" " + b" ".join(data[a:b] for a, b in zip(found.starts, found.ends, strict=True)) + b" ", dtype=np.uint8)
        runs = np.zeros(max(0, len(plain) - 3), dtype=np.uint64)
        for place in range(4):
            runs = (runs << np.uint64(8)) | plain[place : place + len(runs)].astype(np.uint64)
        signs = np.fromiter((int.from_bytes(sign[:7], "little") for sign in _SIGNS.findall(data)), dtype=np.uint64)
        hashes = (found.hashes, mixed(runs + np.uint64(1)), mixed(signs * np.uint64(2) + np.uint64(1 << 60)))
        slots = np.unique(np.concatenate(hashes) >> np.uint64(64 - _BITS))
        rows.append(np.full(len(slots), number))
        columns.append(slots.astype(np.int64))
    row, column = np.concatenate(rows), np.concatenate(columns)
    return sp.csr_matrix((np.ones(len(row)), (row, column)), shape=(len(texts), 1 << _BITS))
