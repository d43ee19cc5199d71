"""How well a body of texts covers inputs: conformal p-values of each input's likeness to the data, among held-out data of its own kind.

The data is cut into five folds, whole documents together. Each text of a fold is scored by its mean cosine to the ten nearest texts of
the other folds; an input is scored against the same four folds, once per fold. What a text of this place among the data's topics is
expected to score (a ridge regression over held-out texts) is taken off. The data also falls into kinds (k-means on the
leading directions of its likeness matrix), and an input's p-value is its rank among held-out texts of its kind: where inputs of a kind
are distributed as the data's texts of that kind are, it is uniform, however often the kind is asked for (Mondrian conformal prediction:
Vovk, Gammerman & Shafer 2005, chapter 4.5). So data that covers more than the inputs, and inputs that ask one
topic most of the time, raise no alarm.

All of this is done in two views (`coverage_views`): words, and the pattern of signs. The kinds are those of the words; what a pattern is
expected to score depends on both places, so that texts of a topic that is written in its own form are judged by their topic's form.
Covered inputs are far one time in twenty in each view, so the uncovered share that a view sees is (far − 0.05) / 0.95. Its interval
counts both sides: sessions of inputs and documents of data are clusters. Each view's lower end errs one time in forty, so that an alarm
by either errs at most one time in twenty (a point is taken off the lower end of patterns, see `ALLOWED`);
the share is that of the view that sees more. An input is *far* where the smaller of its two
p-values, doubled, is at most 0.05. `python -m tests.benchmarks.coverage` has the error rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdgov.checks.scan.coverage_views import FOLDS, Floats, Integers, Matrix, View, parts, pattern_features, word_features

FAR_SHARE = 0.05
"""Share of covered inputs that is called far."""
LEAST_TEXTS = 30
"""Fewer distinct texts than this on a side cannot be compared."""
MOST_DATA = 4000
"""Distinct texts of the data that are looked at."""
DIRECTIONS = 60
RIDGE = 0.0005
LEAST_EXPECTED = 0.4
TEXTS_PER_KIND = 60
MOST_KINDS = 8
ALLOWED = {"words": 0.0, "patterns": 0.01}
"""What is taken off a view's lower end. Kinds are found in words: where inputs mix the forms of one kind otherwise than the data does, the
share of far patterns is off by about a point (`python -m tests.benchmarks.coverage_unseen`, data that covers more than the inputs)."""
VIEWS = {"words": word_features, "patterns": pattern_features}
_LEAST_OF_A_KIND = 40
"""A kind of fewer texts joins the kinds beside it: among nineteen texts no p-value is below 0.05."""
_TIE = 1e-6
"""Scores as near to one another as this are equal: those of texts with one pattern differ by rounding alone."""
_NORMAL = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """How well the data covers the inputs."""

    is_far: NDArray[np.bool_]
    """Per input: whether its p-value is at most `FAR_SHARE`."""
    p_values: Floats
    """Per input: the smaller p-value of the two views, doubled; each is the median over the folds of the share of held-out texts of its
    kind that are no more like the data than it is."""
    share: float
    """Estimated share of inputs that the data does not cover, by the view that sees more; between 0 and 1."""
    lower: float
    """Lower end of its 95 % interval; above 0 the data is said not to cover the inputs."""
    upper: float
    """Upper end of its 95 % interval."""
    seen_by: str
    """The view whose share it is: a key of `VIEWS`."""
    features: Matrix
    """Words of the inputs, rows of length one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learnt:
    """One view, with what its scores are expected to be and how those of held-out texts are spread."""

    view: View
    directions: Floats
    coefficients: Floats
    least: float
    held: list[Floats]
    """Scores of the held-out texts of each kind, sorted."""
    spread: Floats
    """Variance that each kind's held-out texts add to the share of far inputs."""


class Coverage:
    """A body of data, learnt once, against which any texts can be scored."""

    def __init__(self, data: Sequence[str], *, groups: Sequence[str] | None = None, whole: bool = True, seed: int = 0) -> None:
        """Learn distinct texts of the data.

        Args:
            data: at least `LEAST_TEXTS` distinct texts.
            groups: document of each text; texts of one document are never compared with one another. Default: each its own.
            whole: whether texts are whole, as inputs are; openings that were cut anywhere have patterns of their own, so that only
                their words are compared.
            seed: of the folds and of the start of the kinds.
        """
        rng = np.random.default_rng(seed)
        are_grouped = groups is not None and len(set(groups)) >= FOLDS
        codes = np.unique(np.asarray(groups), return_inverse=True)[1] if are_grouped and groups is not None else np.arange(len(data))
        fold = (rng.permutation(int(codes.max()) + 1) % FOLDS)[codes]
        self._learnt: list[_Learnt] = []
        covariates = np.ones((len(data), 1))
        for features in list(VIEWS.values()) if whole else [VIEWS["words"]]:
            view = View(features, data, codes, fold)
            likeness = view.forget()
            directions = _directions(likeness)
            places = _turned(likeness, directions)
            del likeness  # or it stands beside the next view's
            if not self._learnt:
                self._centres, kinds = _kinds(places, rng)
            covariates = np.column_stack((covariates, places))
            coefficients, least, scores = _expectation(covariates, view.scores)
            own = [kinds == kind for kind in range(len(self._centres))]
            spread = np.array([_mean_variance(scores[m] <= np.quantile(scores[m], FAR_SHARE), codes[m]) for m in own])
            held = [np.sort(scores[mine]) for mine in own]
            self._learnt.append(_Learnt(view=view, directions=directions, coefficients=coefficients, least=least, held=held, spread=spread))

    def of(self, texts: Sequence[str], *, sessions: Sequence[str] | None = None) -> Covered:
        """How well the data covers these texts, each counted once.

        Args:
            texts: the inputs, at least one.
            sessions: session of each input, where they came in sessions: those are clusters. An empty one is its own.
        """
        named = [name or f"\0{number}" for number, name in enumerate(sessions or [""] * len(texts))]
        codes = np.unique(np.asarray(named), return_inverse=True)[1]
        ranks, kinds = self._ranks(texts)
        used = np.bincount(kinds, minlength=len(self._centres)) / len(texts)
        seen = [
            _uncovered(own <= FAR_SHARE, codes, float(used**2 @ view.spread), allowed=ALLOWED[name])
            for own, view, name in zip(ranks, self._learnt, VIEWS, strict=False)
        ]
        most = max(range(len(seen)), key=lambda number: seen[number])
        p_values = np.minimum(len(ranks) * np.stack([np.median(own, axis=0) for own in ranks]).min(axis=0), 1.0)
        return Covered(
            is_far=p_values <= FAR_SHARE,
            p_values=p_values,
            lower=_clip(seen[most][0]),
            share=_clip(seen[most][1]),
            upper=_clip(max(high for _, _, high in seen)),
            seen_by=list(VIEWS)[most],
            features=self._learnt[0].view.unit(word_features(texts)),
        )

    def _ranks(self, texts: Sequence[str]) -> tuple[list[Floats], Integers]:
        """P-values of each view, fold by input, and the kind each input falls into."""
        scores: list[list[Floats]] = [[] for _ in self._learnt]
        kinds = []
        for some in parts(texts):
            covariates = np.ones((len(some), 1))
            for number, learnt in enumerate(self._learnt):
                likeness, tops = learnt.view.of(some)
                covariates = np.column_stack((covariates, _turned(likeness, learnt.directions)))
                if number == 0:
                    kinds.append(_nearest(covariates[:, 1:], self._centres))
                scores[number].append(tops - np.maximum(covariates @ learnt.coefficients, learnt.least))
        kind = np.concatenate(kinds)
        return [_ranked(np.concatenate(own, axis=1), kind, view.held) for own, view in zip(scores, self._learnt, strict=True)], kind


def _ranked(scores: Floats, kinds: Integers, held: Sequence[Floats]) -> Floats:
    """Rank of each score among the held-out texts of its kind."""
    ranks = np.ones_like(scores)
    for number, own in enumerate(held):
        mine = kinds == number
        ranks[:, mine] = (np.searchsorted(own, scores[:, mine] + _TIE, side="right") + 1) / (len(own) + 1)
    return ranks


def _uncovered(far: NDArray[np.bool_], sessions: Integers, held: float, *, allowed: float) -> tuple[float, float, float]:
    """Lower end (less what is allowed for), estimate and upper end of the uncovered share."""
    seen = float(far.mean())
    low, high = _score_interval(seen, _mean_variance(far.mean(axis=0), sessions), far.shape[1], held)
    return (low - FAR_SHARE) / (1 - FAR_SHARE) - allowed, (seen - FAR_SHARE) / (1 - FAR_SHARE), (high - FAR_SHARE) / (1 - FAR_SHARE)


def _directions(likeness: Floats) -> Floats:
    """Directions that turn likenesses into places."""
    count = len(likeness)
    if count < 2 * TEXTS_PER_KIND:
        return np.zeros((count, 1))
    wanted = min(DIRECTIONS, count // 4)
    # They load for a tenth of a second: only where texts are compared.
    from scipy.linalg import eigh  # noqa: PLC0415
    from scipy.sparse.linalg import ArpackError, eigsh  # noqa: PLC0415

    try:
        values, vectors = eigsh(likeness, k=wanted, which="LA", v0=np.ones(count))
    except ArpackError:
        # Texts of a few patterns have fewer directions than that.
        values, vectors = eigh(likeness, subset_by_index=(count - wanted, count - 1))
    # A text is no evidence of its own place: what it adds to a direction by its likeness to itself (1, left out here) must be the
    # lesser part, or the places of the data's texts are nothing like those of inputs.
    told = values >= min(1.0, max(float(values.max()), 1e-9))
    return np.asarray(vectors[:, told] / np.sqrt(values[told])) if told.any() else np.zeros((count, 1))


def _kinds(places: Floats, rng: np.random.Generator) -> tuple[Floats, Integers]:
    """Centres of the kinds, and the kind of each text."""
    if len(places) < 2 * TEXTS_PER_KIND:
        return np.zeros((1, places.shape[1])), np.zeros(len(places), dtype=np.int64)
    wanted = min(MOST_KINDS, len(places) // TEXTS_PER_KIND)
    centres = places[_spread_out(places, wanted, rng)]
    for _ in range(15):
        kinds = _nearest(places, centres)
        centres = np.stack([places[kinds == n].mean(axis=0) for n in range(len(centres)) if (kinds == n).any()])
    while len(centres) > 1 and (sizes := np.bincount(_nearest(places, centres), minlength=len(centres))).min() < _LEAST_OF_A_KIND:
        centres = np.delete(centres, int(np.argmin(sizes)), axis=0)
    return centres, _nearest(places, centres)


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


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))
