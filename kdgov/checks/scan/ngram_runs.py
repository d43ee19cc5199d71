"""Runs of words of many texts, looked up in a batch: where they stand, whose they are, and how much of a text they cover."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdgov.checks.scan.word_hashes import STEP, Hashes, Words, mixed, words_of

SHARED_BY = 10
"""A run that more than so many different texts share is a frame, not evidence."""
FRAME_OF = 3
"""A run of five words that so many texts share, and more than `SHARED_BY` rows of a batch, is a frame of both."""


def letters_within(is_number: NDArray[np.bool_], n: int) -> NDArray[np.int64]:
    """How many words of each run of ``n`` words are no numbers."""
    sums = np.concatenate(([0], np.cumsum(~is_number)))
    return sums[n:] - sums[:-n] if len(is_number) >= n else np.empty(0, np.int64)


class Lookup:
    """Sorted hashes with the places each stands for, behind a bitmap that turns most queries away."""

    def __init__(self, keys: Hashes, payload: NDArray[np.int64]) -> None:
        order = np.argsort(keys, kind="stable")
        self.keys, self.payload = keys[order], payload[order]
        self.unique, self.first, self.counts = np.unique(self.keys, return_index=True, return_counts=True)
        bits = max(16, min(26, int(len(self.unique) * 64).bit_length()))
        self._shift = np.uint64(64 - bits)
        self._bitmap = np.zeros(1 << bits, dtype=np.bool_)
        self._bitmap[(self.unique >> self._shift).astype(np.int64)] = True

    def places(self, hashes: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions in ``hashes`` that are known, and for each the row of ``unique``."""
        if not len(self.unique) or not len(hashes):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        maybe = np.flatnonzero(self._bitmap[(hashes >> self._shift).astype(np.int64)])
        found = np.searchsorted(self.unique, hashes[maybe])
        found[found == len(self.unique)] = 0
        is_known = self.unique[found] == hashes[maybe]
        return maybe[is_known], found[is_known]

    def pairs(self, hashes: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every (position in ``hashes``, payload) pair."""
        positions, rows = self.places(hashes)
        counts = self.counts[rows]
        repeated = np.repeat(positions, counts)
        within = np.arange(len(repeated)) - np.repeat(np.cumsum(counts) - counts, counts)
        return repeated, self.payload[np.repeat(self.first[rows], counts) + within]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Normalised text of some rows, with its words and where its pieces begin."""

    text: bytes
    words: Words
    piece_starts: NDArray[np.int64]
    row_of_piece: NDArray[np.int64]

    def piece_at(self, word: int) -> int:
        """Number of the piece that a word stands in."""
        return int(np.searchsorted(self.piece_starts, self.words.starts[word], side="right")) - 1

    def rows_at(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of each of some words."""
        return self.row_of_piece[np.searchsorted(self.piece_starts, self.words.starts[words], side="right") - 1]

    def is_one_row(self, word: int, length: int) -> bool:
        """Whether a run begins and ends in one row."""
        first, last = self.row_of_piece[self.piece_at(word)], self.row_of_piece[self.piece_at(word + length - 1)]
        return bool(first == last)

    def stands_alone(self, word: int, length: int) -> bool:
        """Whether a run of words begins and ends where a sentence, a line or a field does."""
        after_last = word + length
        before = self.text[self.words.ends[word - 1] if word else 0 : self.words.starts[word]]
        behind = self.text[self.words.ends[after_last - 1] : self.words.starts[after_last] if after_last < len(self.words.starts) else None]
        return (word == 0 or _has_break(before)) and (after_last == len(self.words.starts) or _has_break(behind))


def _has_break(gap: bytes) -> bool:
    return any(byte in b'\x00\n.?!:;"|' for byte in gap)


def within_rows(positions: NDArray[np.int64], batch: Batch, length: int) -> NDArray[np.bool_]:
    """Which runs begin and end in one row."""
    return np.equal(batch.rows_at(positions), batch.rows_at(positions + length - 1))


def is_frame(runs: Hashes, rows: NDArray[np.int64], known: Lookup) -> NDArray[np.bool_]:
    """Which of the found runs are frames: shared by several texts of the index and by many rows of the batch."""
    _, once = np.unique(mixed(runs + rows.astype(np.uint64) * np.uint64(STEP)), return_index=True)
    distinct, row_counts = np.unique(runs[once], return_counts=True)
    text_counts = known.counts[np.searchsorted(known.unique, distinct)]
    frames = distinct[(row_counts > SHARED_BY) & (text_counts >= FRAME_OF)]
    return np.isin(runs, frames)


def groups(
    positions: NDArray[np.int64], packed: NDArray[np.int64], rows: NDArray[np.int64], batch: Batch
) -> Iterator[tuple[int, int, NDArray[np.int64], NDArray[np.int64]]]:
    """Text, first position, places in the text and positions in the batch, of every (text, row)."""
    if not len(positions):
        return
    texts, places = packed >> 32, packed & 0xFFFFFFFF
    group = texts * (int(batch.row_of_piece.max()) + 1) + rows
    order = np.lexsort((positions, group))
    group, positions, places, texts = group[order], positions[order], places[order], texts[order]
    _, first, counts = np.unique(group, return_index=True, return_counts=True)
    for start, count in zip(first.tolist(), counts.tolist(), strict=True):
        here = slice(start, start + count)
        yield int(texts[start]), int(positions[start]), places[here], positions[here]


def union(places: NDArray[np.int64], run: int, length: int) -> NDArray[np.bool_]:
    """Which of ``length`` words runs that start at ``places`` cover."""
    covered = np.zeros(length, dtype=np.bool_)
    for shift in range(run):
        covered[places + shift] = True
    return covered


def best_cover(positions: NDArray[np.int64], places: NDArray[np.int64], length: int, run: int) -> int:
    """Largest number of an item's words that common runs cover, over windows of one and a half times its length."""
    best = 0
    ends = np.searchsorted(positions, positions + length + length // 2, side="right")
    for start, end in enumerate(ends.tolist()):
        # A run adds at most its own words: few runs cannot beat what was found.
        if (end - start) * run > best:
            best = max(best, int(union(places[start:end], run, length).sum()))
        if end == len(positions) or best == length:
            break
    return best


def whole_hash(windows: Hashes) -> Hashes:
    """Hash of each row of word hashes, equal to `grams` over the whole row."""
    factors = np.array([pow(STEP, j, 1 << 64) for j in range(windows.shape[1])], dtype=np.uint64)
    return mixed((windows * factors).sum(axis=1, dtype=np.uint64))


def split_words(text: bytes) -> Sequence[bytes]:
    """The words of normalised text."""
    words = words_of(text)
    return [text[start:end] for start, end in zip(words.starts.tolist(), words.ends.tolist(), strict=True)]
