"""Corpus BLEU and chrF as sums over items; equal to sacrebleu's values, which the tests hold them to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Values = npt.NDArray[np.float64]

_BLEU_ORDER = 4
_CHRF_ORDER = 6
_BETA_SQUARED = 4.0
# The tokenisation of mteval-v13a, which BLEU scores are compared in.
_SPLITS = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
_UNESCAPED = (("<skipped>", ""), ("-\n", ""), ("\n", " "), ("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))


def bleu_parts(predictions: Sequence[str], references: Sequence[str]) -> Matrix:
    """Per item: matched and all n-grams of order 1 to 4, length of prediction and reference."""
    return np.array([_bleu_item(p, r) for p, r in zip(predictions, references, strict=True)], dtype=np.float64)


def bleu_value(sums: Matrix) -> Values:
    """BLEU of summed parts, with exponential smoothing of empty orders.

    Source: Papineni et al. 2002; sacrebleu's defaults (Post 2018).
    """
    matched, counted = sums[:, :_BLEU_ORDER], sums[:, _BLEU_ORDER : 2 * _BLEU_ORDER]
    own, wanted = sums[:, -2], sums[:, -1]
    halving, logs = np.ones(len(sums)), np.zeros(len(sums))
    for order in range(_BLEU_ORDER):
        empty = matched[:, order] == 0
        halving = np.where(empty, 2 * halving, halving)
        part = np.where(empty, 1.0 / halving, matched[:, order]) / np.maximum(counted[:, order], 1e-9)
        logs += np.log(np.maximum(part, 1e-300)) / _BLEU_ORDER
    with np.errstate(divide="ignore", over="ignore"):
        brevity = np.where(own < wanted, np.exp(1.0 - wanted / np.maximum(own, 1e-9)), 1.0)
    possible = matched.any(axis=1) & (counted > 0).all(axis=1)
    found: Values = np.where(possible, 100.0 * brevity * np.exp(logs), 0.0)
    return found


def _bleu_item(prediction: str, reference: str) -> list[float]:
    own, wanted = _words(prediction), _words(reference)
    matched, counted = [], []
    for order in range(1, _BLEU_ORDER + 1):
        grams, known = _grams(own, order), _grams(wanted, order)
        matched.append(float(sum((grams & known).values())))
        counted.append(float(max(len(own) - order + 1, 0)))
    return [*matched, *counted, float(len(own)), float(len(wanted))]


@lru_cache(maxsize=65_536)
def _words(text: str) -> tuple[str, ...]:
    for old, new in _UNESCAPED:
        text = text.replace(old, new)
    text = f" {text} "
    for pattern, spaced in _SPLITS:
        text = pattern.sub(spaced, text)
    return tuple(text.split())


def _grams(units: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(units[k : k + order]) for k in range(len(units) - order + 1))


def chrf_parts(predictions: Sequence[str], references: Sequence[str]) -> Matrix:
    """Per item and order 1 to 6: character n-grams of the prediction, of the reference, and in both."""
    return np.array([_chrf_item(p, r) for p, r in zip(predictions, references, strict=True)], dtype=np.float64)


def chrf_value(sums: Matrix) -> Values:
    """chrF2 of summed parts.

    Source: Popović 2015; sacrebleu's defaults.
    """
    own, wanted, both = sums[:, 0::3], sums[:, 1::3], sums[:, 2::3]
    used = (own > 0) & (wanted > 0)
    precision = np.divide(both, own, out=np.zeros_like(both), where=used).sum(axis=1)
    recall = np.divide(both, wanted, out=np.zeros_like(both), where=used).sum(axis=1)
    orders = np.maximum(used.sum(axis=1), 1)
    precision, recall = precision / orders, recall / orders
    below = _BETA_SQUARED * precision + recall
    found: Values = 100.0 * np.divide((1 + _BETA_SQUARED) * precision * recall, below, out=np.zeros_like(below), where=below > 0)
    return found


def _chrf_item(prediction: str, reference: str) -> list[float]:
    own, wanted = ("".join(text.split()) for text in (prediction, reference))
    parts = []
    for order in range(1, _CHRF_ORDER + 1):
        grams, known = (Counter(text[k : k + order] for k in range(len(text) - order + 1)) for text in (own, wanted))
        parts += [float(sum(grams.values())), float(sum(known.values())), float(sum((grams & known).values()))]
    return parts
