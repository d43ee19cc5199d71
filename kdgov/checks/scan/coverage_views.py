"""Two views of a text, and how like a body of data each of them is: its words, and the pattern of its signs.

Words, runs of signs and four-byte runs tell topics apart. Where the data's own texts share little with one another (docstrings of a
library, remarks of many people), texts of another form that use the same words are no less alike (functions of that library). The
pattern tells those: every word becomes a letter for its length, capitals and digits one sign each, and what stands between them stays.
Neither view knows a language or a model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import scipy  # Its parts load when they are first used: few releases have production inputs.
from numpy.typing import NDArray

from kdgov.checks.scan.word_hashes import mixed, normalised, words_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Matrix: TypeAlias = Any
"""A scipy sparse matrix by rows; scipy has no types."""
Features: TypeAlias = Callable[[Sequence[str]], Matrix]

FOLDS = 5
NEAREST = 10
_BITS = 18
_PART, _ROWS = 512, 64
"""Inputs that are compared at once, and texts of the data: their likenesses stand in a sparse matrix too, of twice the size."""
_PATTERN_RUNS = (2, 3, 4)
_SIGNS = re.compile(rb"[^\w\s\x80-\xff]+")
_RUN = re.compile(r"[a-z]+|A+|0+|\s+")
_SHORT, _MIDDLE = 3, 7
"""Longest word of few, and of some letters."""


class View:
    """One view of a body of data, learnt once: each text's score is its mean likeness to the nearest texts of the other folds."""

    scores: Floats
    """Score of each text of the data against the other folds."""

    def __init__(self, features: Features, data: Sequence[str], codes: Integers, fold: Integers) -> None:
        """Learn the data.

        Args:
            features: of texts, one row each, 1 where a feature is present.
            data: distinct texts.
            codes: number of each text's document.
            fold: fold of each text; all texts of a document lie in one.
        """
        self._features, self._fold = features, fold
        raw = features(data)
        count, documents = len(data), int(codes.max()) + 1
        by_document = scipy.sparse.csr_matrix((np.ones(count), (codes, np.arange(count)))) @ raw
        self._weights = np.log((1 + documents) / (1 + np.maximum(by_document.getnnz(axis=0), 1))) + 1
        # What the texts compared with do not have weighs most, in an input as in a held-out text.
        most = np.log(1 + documents) + 1
        self._squares = [np.where(raw[fold != f].getnnz(axis=0) > 0, self._weights, most) ** 2 for f in range(FOLDS)]
        self._data = self.unit(raw)
        # Filled part by part, in place: joining the parts would hold them twice, 128 MB more for 4,000 texts.
        self._likeness = np.empty((count, count))
        for at in range(0, count, _ROWS):
            part = slice(at, at + _ROWS)
            (self._data[part] @ self._data.T).toarray(out=self._likeness[part])
            # An input is compared with other documents only, and so is a text of the data.
            self._likeness[part][codes[part, None] == codes[None, :]] = 0.0
        self.scores = np.empty(count)
        for number in range(FOLDS):
            mine = fold == number
            self.scores[mine] = _top(self._likeness[np.ix_(mine, ~mine)]) * self._shrinkage(raw[mine], number)

    def forget(self) -> Floats:
        """Likeness of the data's texts to one another, which the view keeps no longer."""
        likeness, self._likeness = self._likeness, np.empty((0, 0))
        return likeness

    def unit(self, raw: Matrix) -> Matrix:
        """Features by weight, each row of length one."""
        weighted = raw.multiply(self._weights).tocsr()
        lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
        return (scipy.sparse.diags(1 / np.maximum(lengths, 1e-12)) @ weighted).tocsr()

    def of(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Likeness of texts to each text of the data, and their scores against all folds but one: fold by text."""
        raw = self._features(texts)
        likeness = (self.unit(raw) @ self._data.T).toarray()
        tops = [_top(likeness[:, self._fold != fold]) * self._shrinkage(raw, fold) for fold in range(FOLDS)]
        return likeness, np.stack(tops)

    def _shrinkage(self, raw: Matrix, fold: int) -> Floats:
        """Length of each text without, and with, full weight for the features that no text outside the fold has: their ratio."""
        with_unseen = np.asarray(raw @ self._squares[fold]).ravel()
        return np.asarray(np.sqrt(np.asarray(raw @ self._weights**2).ravel() / np.maximum(with_unseen, 1e-12)))


def word_features(texts: Sequence[str]) -> Matrix:
    """Words, runs of signs and runs of four bytes by hash, one where present."""
    found_slots = []
    for text in texts:
        data = normalised(text)
        found = words_of(data)
        # Between words one space: layout says nothing about the task.
        plain = np.frombuffer(b" " + b" ".join(data[a:b] for a, b in zip(found.starts, found.ends, strict=True)) + b" ", dtype=np.uint8)
        runs = np.zeros(max(0, len(plain) - 3), dtype=np.uint64)
        for place in range(4):
            runs = (runs << np.uint64(8)) | plain[place : place + len(runs)].astype(np.uint64)
        signs = np.fromiter((int.from_bytes(sign[:7], "little") for sign in _SIGNS.findall(data)), dtype=np.uint64)
        hashes = (found.hashes, mixed(runs + np.uint64(1)), mixed(signs * np.uint64(2) + np.uint64(1 << 60)))
        found_slots.append(_slots(hashes))
    return _present(found_slots)


def pattern_features(texts: Sequence[str]) -> Matrix:
    """Runs of two to four signs of the pattern by hash, one where present."""
    found_slots = []
    for text in texts:
        signs = np.frombuffer(pattern(text).encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
        hashes = []
        for length in _PATTERN_RUNS:
            runs = np.zeros(max(0, len(signs) - length + 1), dtype=np.uint64)
            for place in range(length):
                runs = mixed(runs + signs[place : place + len(runs)] + np.uint64(length))
            hashes.append(runs)
        found_slots.append(_slots(hashes))
    return _present(found_slots)


def pattern(text: str) -> str:
    """A text without its words: ``def f(self): return 12`` becomes `` a a(b): b 0 ``."""
    return f" {_RUN.sub(_sign, text.translate(_CLASSES))} "


class _Classes(dict[int, str]):
    """Code point → a letter, a capital, a digit, a space, nothing (marks on letters), or the sign itself."""

    def __missing__(self, code: int) -> str:
        category = unicodedata.category(chr(code))
        classes = {"Lu": "A", "Lt": "A", "L": "a", "M": "", "N": "0", "Z": " ", "C": " "}
        self[code] = found = classes.get(category, classes.get(category[0], chr(code)))
        return found


_CLASSES = _Classes()


def _sign(run: re.Match[str]) -> str:
    first, length = run[0][0], len(run[0])
    if first != "a":
        return " " if first.isspace() else first
    return "a" if length <= _SHORT else "b" if length <= _MIDDLE else "c"


def _slots(hashes: Sequence[NDArray[np.uint64]]) -> Integers:
    return np.unique(np.concatenate(hashes) >> np.uint64(64 - _BITS)).astype(np.int64)


def _present(slots: Sequence[Integers]) -> Matrix:
    row = np.repeat(np.arange(len(slots)), [len(own) for own in slots])
    column = np.concatenate(slots)
    return scipy.sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=(len(slots), 1 << _BITS))


def parts(texts: Sequence[str]) -> list[Sequence[str]]:
    """Texts in parts of so many that the likenesses of each fit the memory."""
    return [texts[start : start + _PART] for start in range(0, len(texts), _PART)]


def _top(likeness: Floats) -> Floats:
    """Mean of the largest of each row; puts the rows in another order."""
    count = min(NEAREST, likeness.shape[1])
    likeness.partition(-count, axis=1)
    return np.asarray(likeness[:, -count:].mean(axis=1))
