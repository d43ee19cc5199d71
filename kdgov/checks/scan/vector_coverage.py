"""How well a body of images or sounds covers others, by vectors that a model makes of them: the one-sided measure that texts have.

The data is cut into five folds. A vector is scored by its distance to its nearest neighbours in four folds, divided by the distance that
those neighbours have to their own (the local outlier factor of Breunig et al. 2000, doi:10.1145/342009.335388): what is scattered widely
is expected to be. A p-value is the rank among held-out vectors of its kind (Vovk, Gammerman & Shafer 2005), the median over the folds;
a vector is *far* where it is at most 0.05. Data that covers more than is asked raises no alarm. Covered vectors are far one time in twenty,
so the uncovered share is (far − 0.05) / 0.95. `python -m tests.benchmarks.media_coverage` has the error rates.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
NEIGHBOURS = 10
FAR_SHARE = 0.05
"""Share of covered vectors that is called far."""
LEAST_VECTORS = 100
"""Fewer distinct images or sounds of data than this cannot be compared."""
VECTORS_PER_KIND, MOST_KINDS, _LEAST_OF_A_KIND = 80, 8, 40
"""The data falls into kinds (k-means), and a vector is ranked among those of its kind: what is asked for often may be scattered widely."""
MOST_DIRECTIONS = 64
"""Directions of the data that are looked at; the others are noise to a distance."""
_TIE = 1e-6
_NORMAL = 1.959963984540054
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorsCovered:
    """How well the data covers some vectors."""

    is_far: NDArray[np.bool_]
    """Per vector."""
    share: float
    """Estimated share that the data does not cover."""
    lower: float
    """Lower end of its 95 % interval; above 0 the data is said not to cover them."""
    upper: float
    """Upper end."""


class VectorCoverage:
    """Vectors of the data, learnt once, against which any can be scored."""

    def __init__(self, data: Floats, *, seed: int = 0) -> None:
        """Learn the data.

        Args:
            data: (at least `LEAST_VECTORS`, width), one row for each distinct image or sound.
            seed: of the folds.
        """
        self._centre = data.mean(axis=0)
        _, sizes, turn = np.linalg.svd(data - self._centre, full_matrices=False)
        kept = max(1, min(MOST_DIRECTIONS, int((sizes > 1e-6 * max(float(sizes.max()), 1e-12)).sum())))
        self._turn = turn[:kept].T
        places = (data - self._centre) @ self._turn
        fold = np.random.default_rng(seed).permutation(len(data)) % FOLDS
        self._rest = [_Reference(places[fold != number]) for number in range(FOLDS)]
        held = np.empty(len(places))
        for number, rest in enumerate(self._rest):
            held[fold == number] = rest.scores(places[fold == number])
        self._centres, kinds = _kinds(places, seed)
        self._held = [np.sort(held[kinds == kind]) for kind in range(len(self._centres))]

    def of(self, vectors: Floats) -> VectorsCovered:
        """How well the data covers these vectors, (at least one, width)."""
        places = (vectors - self._centre) @ self._turn
        kinds = _squares(places, self._centres).argmin(axis=1)
        ranks = np.ones((FOLDS, len(vectors)))
        for number, held in enumerate(self._held):
            mine = kinds == number
            scores = np.stack([rest.scores(places[mine]) for rest in self._rest]) if mine.any() else np.ones((FOLDS, 0))
            ranks[:, mine] = (len(held) - np.searchsorted(held, scores * (1 - _TIE), side="left") + 1) / (len(held) + 1)
        seen = float((ranks <= FAR_SHARE).mean())
        used = np.bincount(kinds, minlength=len(self._held)) / len(vectors)
        low, high = _interval(seen, len(vectors), float((used**2 / [len(held) for held in self._held]).sum()))
        is_far = np.median(ranks, axis=0) <= FAR_SHARE
        return VectorsCovered(is_far=is_far, share=_uncovered(seen), lower=_uncovered(low), upper=_uncovered(high))


def _kinds(places: Floats, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Centres of the kinds the data falls into, and the kind of each vector; kinds too small for a rank are dissolved."""
    wanted = max(1, min(MOST_KINDS, len(places) // VECTORS_PER_KIND))
    with warnings.catch_warnings():
        # An empty kind is dissolved below.
        warnings.simplefilter("ignore", UserWarning)
        from scipy.cluster.vq import kmeans2  # noqa: PLC0415 - loads for an eighth of a second: only where vectors are compared

        centres, _ = kmeans2(places, wanted, minit="++", seed=seed, iter=30)
    while True:
        kinds = _squares(places, centres).argmin(axis=1)
        sizes = np.bincount(kinds, minlength=len(centres))
        if len(centres) == 1 or sizes.min() >= _LEAST_OF_A_KIND:
            return centres, kinds
        centres = np.delete(centres, sizes.argmin(), axis=0)


class _Reference:
    """Vectors that others are compared with, and how far each is from its own neighbours."""

    def __init__(self, places: Floats) -> None:
        self._places = places
        self._count = min(NEIGHBOURS, len(places) - 1)
        self._own = np.maximum(self._nearest(places, skip=1)[1].mean(axis=1), 1e-9)

    def scores(self, places: Floats) -> Floats:
        """Mean distance to the nearest neighbours, by what is usual for those neighbours."""
        near, distances = self._nearest(places, skip=0)
        return np.asarray(distances.mean(axis=1) / self._own[near].mean(axis=1))

    def _nearest(self, places: Floats, *, skip: int) -> tuple[NDArray[np.int64], Floats]:
        squares = _squares(places, self._places)
        wanted = self._count + skip
        found = np.argsort(squares, axis=1)[:, skip:wanted]
        return found, np.sqrt(np.maximum(np.take_along_axis(squares, found, axis=1), 0.0))


def _squares(ones: Floats, others: Floats) -> Floats:
    found: Floats = (ones**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)[None, :] - 2 * ones @ others.T
    return found


def _uncovered(far: float) -> float:
    return min(1.0, max(0.0, (far - FAR_SHARE) / (1 - FAR_SHARE)))


def _interval(seen: float, count: int, concentration: float) -> tuple[float, float]:
    """Wilson's interval of the share of far vectors, widened by what ranks among so few held-out vectors are off by.

    Args:
        seen: the share.
        count: vectors asked about.
        concentration: variance of a share of ranks among the held-out vectors that were used, by that of one.
    """
    square, own = _NORMAL**2, FAR_SHARE * (1 - FAR_SHARE) * concentration
    below = 1 + square / count
    half = _NORMAL * math.sqrt(seen * (1 - seen) / count + square / (4 * count**2) + own) / below
    middle = (seen + square / (2 * count)) / below
    return middle - half, middle + half


def drawn(digests: Sequence[str], most: int) -> list[int]:
    """Places of at most so many distinct files, the same ones whatever their order."""
    first: dict[str, int] = {}
    for place, digest in enumerate(digests):
        first.setdefault(digest, place)
    return [first[digest] for digest in sorted(first)[:most]]
