"""Coverage: does the distillation data look like what the student will be asked? A classifier two-sample test.

A linear classifier learns to tell data from production inputs on one half and is judged on the other (Lopez-Paz & Oquab 2017,
arXiv:1610.06545). Where it cannot, its AUC is 0.5: the data covers the task. Null hypothesis: both samples come from one
distribution; the held-out AUC is then normal about 0.5 with variance (m + n + 1) / (12 m n), the rank-sum statistic's.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, ndtr

from kdgov.checks.findings.rules import Stances, passed
from kdgov.checks.scan.shards import Tally, read_rows
from kdgov.checks.scan.text_fields import Row
from kdgov.checks.scan.word_hashes import grams, normalised, words_of
from kdgov.errors import InputError
from kdgov.finding import Finding

SAMPLE = 2000
"""Texts taken of each side."""
LEAST_TEXTS = 30
"""Fewer texts than this on a side cannot be compared."""
SHIFTED_AUC = 0.75
"""Held-out AUC, at its lower 95 % bound, from which the data is said to look different."""
_BITS = 16
_PENALTY = 1.0
_NORMAL_95 = 1.6448536269514722


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How well a classifier tells the data from the production inputs."""

    auc: float
    """Held-out area under the ROC curve; 0.5 where the two cannot be told apart."""
    lower: float
    """Its one-sided lower 95 % bound, by the variance of the rank-sum statistic at that AUC (Hanley & McNeil 1982)."""
    p_value: float
    """Chance of an AUC this large where both come from one distribution."""
    unknown_words: float
    """Share of the production inputs' words that occur nowhere in the sample of the data."""
    n_data: int
    """Texts of the data."""
    n_inputs: int
    """Texts of the production inputs."""


def sample_texts(paths: Sequence[Path], *, field: str | None = None, size: int = SAMPLE) -> list[str]:
    """A sample of texts, one per row, the same on every run: those whose digests are smallest.

    Args:
        paths: data files.
        field: key that holds the text; None takes what the student is asked (prompts), else the whole text.
        size: number of texts.

    Raises:
        InputError: if a file cannot be read, or no row has the field.
    """
    kept: list[tuple[int, str]] = []
    for path in paths:
        for text in _texts(read_rows(path, Tally()), field):
            rank = -int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")
            if len(kept) < size:
                heapq.heappush(kept, (rank, text))
            elif rank > kept[0][0]:
                heapq.heapreplace(kept, (rank, text))
    return [text for _, text in sorted(kept, reverse=True)]


def _texts(rows: Iterable[Row], field: str | None) -> Iterator[str]:
    for row in rows:
        if field is not None and row.value is not None:
            value = row.value.get(field) if isinstance(row.value, dict) else row.value
            if isinstance(value, str) and value.strip():
                yield value
            continue
        asked = [piece.text for piece in row.pieces if piece.role == "prompt"]
        whole = asked or [piece.text for piece in row.pieces if piece.field not in ("id", "item_id")]
        # A plain text file is one long row: its lines are the examples.
        yield from (line for text in whole for line in (text.split("\n") if row.value is None else [text]) if line.strip())


def two_sample_test(data: Sequence[str], inputs: Sequence[str], *, seed: int = 0) -> Shift:
    """How well a classifier tells two samples of texts apart, by two-fold cross-fitting.

    The larger sample is cut to twice the smaller, so that neither side drowns the other. Words that differ by chance cost
    nothing: only texts that were not trained on are judged.
    """
    rng = np.random.default_rng(seed)
    data, inputs = _cut(data, 2 * len(inputs), rng), _cut(inputs, 2 * len(data), rng)
    features = _features([*data, *inputs])
    is_input = np.concatenate((np.zeros(len(data)), np.ones(len(inputs))))
    fold = np.concatenate((rng.permutation(len(data)) % 2, rng.permutation(len(inputs)) % 2))
    aucs = []
    for held in (0, 1):
        train, test = fold != held, fold == held
        weights = _fit(features[train], is_input[train])
        aucs.append(auc(features[test] @ weights, is_input[test]))
    m, n = len(data), len(inputs)
    value = float(np.mean(aucs))
    return Shift(
        auc=value,
        lower=value - _NORMAL_95 * _spread(value, m, n),
        p_value=float(ndtr(-(value - 0.5) / np.sqrt((m + n + 1) / (12 * m * n)))),
        unknown_words=_unknown(data, inputs),
        n_data=m,
        n_inputs=n,
    )


def auc(scores: NDArray[np.float64], is_positive: NDArray[np.float64]) -> float:
    """Chance that a positive scores above a negative, ties counted half; 0.5 says nothing, 1.0 tells all.

    Needs at least one of each.
    """
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mid_ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positive = is_positive > 0.5
    m, n = int(positive.sum()), int((~positive).sum())
    return float((mid_ranks[positive].sum() - m * (m + 1) / 2) / (m * n))


def _spread(value: float, m: int, n: int) -> float:
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    return float(np.sqrt((value * (1 - value) + (m - 1) * (q1 - value**2) + (n - 1) * (q2 - value**2)) / (m * n)))


def _cut(texts: Sequence[str], most: int, rng: np.random.Generator) -> list[str]:
    chosen = sorted(rng.permutation(len(texts))[:most].tolist())
    return [texts[n] for n in chosen]


def _features(texts: Sequence[str]) -> sp.csr_matrix:
    """Words and pairs of words by hash, one where present, each row of length one."""
    rows, columns = [], []
    for number, text in enumerate(texts):
        hashes = words_of(normalised(text)).hashes
        slots = np.unique(np.concatenate((hashes, grams(hashes, 2))) >> np.uint64(64 - _BITS))
        rows.append(np.full(len(slots), number))
        columns.append(slots.astype(np.int64))
    row, column = np.concatenate(rows), np.concatenate(columns)
    lengths = np.bincount(row, minlength=len(texts))
    values = 1 / np.sqrt(np.maximum(lengths, 1))[row]
    return sp.csr_matrix((values, (row, column)), shape=(len(texts), 1 << _BITS))


def _fit(features: sp.csr_matrix, labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of a penalised logistic regression without intercept: an intercept does not change ranks."""
    used = np.flatnonzero(features.getnnz(axis=0))
    narrow = features[:, used]
    signs = 2 * labels - 1

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margins = signs * (narrow @ weights)
        gradient = narrow.T @ (-signs * expit(-margins)) + _PENALTY * weights
        return float(np.logaddexp(0, -margins).sum() + _PENALTY / 2 * weights @ weights), gradient

    found = minimize(loss, np.zeros(len(used)), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    weights = np.zeros(features.shape[1])
    weights[used] = found.x
    return weights


def _unknown(data: Sequence[str], inputs: Sequence[str]) -> float:
    known = np.unique(np.concatenate([words_of(normalised(text)).hashes for text in data]))
    asked = np.concatenate([words_of(normalised(text)).hashes for text in inputs])
    return float(1 - np.isin(asked, known).mean()) if len(asked) else 0.0


def coverage_findings(data: Sequence[Path], inputs: Path, field: str, stances: Stances) -> list[Finding]:
    """Whether the data looks like the production inputs; the texts themselves are never shown.

    Raises:
        InputError: if the production inputs cannot be read or hold no text under the field.
    """
    asked = sample_texts([inputs], field=field)
    if not asked:
        raise InputError(
            f"production_inputs.field: no row has a text under {field!r}", where=inputs.name, mend="Name the key that holds the input."
        )
    texts = sample_texts(data)
    subject = "data ← production_inputs"
    if min(len(asked), len(texts)) < LEAST_TEXTS:
        reason = f"{len(texts)} texts of the data and {len(asked)} production inputs: at least {LEAST_TEXTS} of each can be compared."
        return [stances.finding("coverage.not-testable", subject, reason, mend="Add inputs.")]
    shift = two_sample_test(texts, asked)
    details = {
        "auc": round(shift.auc, 3),
        "auc_lower_95": round(shift.lower, 3),
        "p_value": float(f"{shift.p_value:.2g}"),
        "unknown_words": round(shift.unknown_words, 3),
        "n_data": shift.n_data,
        "n_inputs": shift.n_inputs,
    }
    told = f"AUC {shift.auc:.2f} on held-out texts; {shift.unknown_words:.0%} of the inputs' words are not in the data"
    if shift.lower <= SHIFTED_AUC:
        return [passed("coverage", "coverage.alike", subject, f"A classifier hardly tells data from production inputs: {told}.", **details)]
    return [
        stances.finding(
            "coverage.shifted",
            subject,
            f"A classifier tells data from production inputs: {told}. The student is trained off its task.",
            mend="Distil on prompts of the kind the student will be asked.",
            details=details,
        )
    ]
