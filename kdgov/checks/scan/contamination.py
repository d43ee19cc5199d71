"""Contamination: which items of the suites occur in the training data, word for word, lightly edited, or as near-duplicates.

Four tests, over hashed words (`tokens`), all against an index of the items, so that memory depends on the suites and not
on the corpus:

* *verbatim*: runs of 13 words in common cover half of the item; a text of fewer words has to occur as a whole.
* *edited*: runs of 5 words in common cover most of the item within a window of about its length.
* *near-duplicate*: MinHash over runs of 3 words finds candidates, their exact Jaccard similarity decides.
* *overlap*: a run of 13 words in common and no more (the criterion of GPT-3, arXiv:2005.14165 appendix C): told, seldom a leak.

Runs that many different items share (frames of a template) say nothing about one item and are left out; so are, for the second
test, runs that a few items share and many rows of the data as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kdgov.checks.scan.ngram_runs import (
    SHARED_BY,
    Batch,
    Lookup,
    best_cover,
    groups,
    is_frame,
    letters_within,
    split_words,
    union,
    whole_hash,
    within_rows,
)
from kdgov.checks.scan.word_hashes import Hashes, grams, mixed, normalised, words_of
from kdgov.digest import digest_json

MatchKind = Literal["verbatim", "edited", "near_duplicate", "overlap"]
KINDS: tuple[MatchKind, ...] = ("verbatim", "edited", "near_duplicate", "overlap")

SEEN_KINDS: frozenset[MatchKind] = frozenset({"verbatim", "edited", "near_duplicate"})
"""Kinds that mean the student has seen the item."""

LONG_RUN = 13
SHORT_RUN = 5
SHINGLE = 3
VERBATIM_COVERAGE = 0.5
"""Share of an item's words that common runs of 13 must cover: less is an opening or a phrase in common, not the item."""
LEAST_LETTER_WORDS = 8
"""A run of 13 words with fewer words of letters is arithmetic or a table, not evidence of one text."""
LEAST_WORDS = SHORT_RUN
"""Texts with fewer words are not looked for."""
WHOLE_TEXT_WORDS = 8
"""A text with fewer words counts only as a whole sentence, line or field."""
EDITED_LEAST_WORDS = 16
"""Texts with fewer words are not looked for in edited form."""
EDITED_COVERAGE = 0.6
"""Share of an item's words that common runs must cover."""
EDITED_SHORT_WORDS, EDITED_SHORT_COVERAGE = 24, 0.75
"""Texts with fewer words need a larger share: two sentences of one template share much by chance."""
NEAR_JACCARD = 0.6
"""Jaccard similarity of the sets of 3-word runs from which two texts are near-duplicates."""
_HASHES, _BAND = 64, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteItem:
    """One item of a suite, by what can be looked for."""

    key: str
    """``suite/task/id``."""
    texts: tuple[str, ...]
    """Its texts: question, context, answer …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One item's text found in one row."""

    text: int
    """Number of the text in the index."""
    piece: int
    """Number of the piece within the batch."""
    kind: MatchKind
    """How alike."""
    share: float
    """Share of the item's words found; the Jaccard similarity for near-duplicates."""


class ItemIndex:
    """The items of all suites, ready to be looked for."""

    def __init__(self, items: Iterable[SuiteItem]) -> None:
        """Index the distinct texts of ``items``; the index is a few hundred bytes per word of the items."""
        self.items: tuple[SuiteItem, ...] = tuple(items)
        by_text: dict[bytes, list[int]] = {}
        for number, item in enumerate(self.items):
            for text in item.texts:
                by_text.setdefault(b" ".join(split_words(normalised(text))), []).append(number)
        self._words: list[Hashes] = []
        self._is_number: list[NDArray[np.bool_]] = []
        self.items_of: list[tuple[int, ...]] = []
        for joined, numbers in by_text.items():
            words = words_of(joined)
            hashes = words.hashes
            # A text of many items ("None of the above", a fixed refusal) gives none of them away.
            if len(hashes) >= LEAST_WORDS and len(set(numbers)) <= SHARED_BY:
                self._words.append(hashes)
                first_bytes = np.frombuffer(joined, dtype=np.uint8)[words.starts]
                self._is_number.append((first_bytes >= 48) & (first_bytes <= 57))
                self.items_of.append(tuple(sorted(set(numbers))))
        tested = {number for numbers in self.items_of for number in numbers}
        self.not_testable: tuple[str, ...] = tuple(item.key for n, item in enumerate(self.items) if n not in tested)
        self._lengths = np.array([len(w) for w in self._words], dtype=np.int64)
        self.digest: str = digest_json([[item.key, list(item.texts)] for item in self.items])
        """Digest of the items: what a kept report was made with."""
        self._build()

    def _build(self) -> None:
        long_keys, long_places = self._informative(LONG_RUN)
        self._long = Lookup(long_keys, long_places)
        self._coverable = self._covered_words(long_places)
        short_keys, short_places = self._informative(SHORT_RUN)
        self._short = Lookup(short_keys, short_places)
        whole = np.flatnonzero(self._coverable == 0)
        # Texts without a run of their own are looked for as a whole, from the hash of their first five words.
        anchors = np.array([grams(self._words[n][:SHORT_RUN], SHORT_RUN)[0] for n in whole], dtype=np.uint64)
        self._anchors = Lookup(anchors, whole)
        self._whole = np.array([grams(w, len(w))[0] for w in self._words], dtype=np.uint64)
        self._build_sketches()

    def _covered_words(self, packed: NDArray[np.int64]) -> NDArray[np.int64]:
        """Words of each text that its own informative runs of 13 cover: what a whole copy of it would match."""
        covered = np.zeros(len(self._words), dtype=np.int64)
        if not len(packed):
            return covered
        texts = packed >> 32
        order = np.argsort(texts, kind="stable")
        numbers, first = np.unique(texts[order], return_index=True)
        for number, places in zip(numbers.tolist(), np.split(packed[order] & 0xFFFFFFFF, first[1:]), strict=True):
            covered[number] = int(union(places, LONG_RUN, int(self._lengths[number])).sum())
        return covered

    def _informative(self, n: int) -> tuple[Hashes, NDArray[np.int64]]:
        """Hashes of runs few texts share, with text number (high half) and position (low half)."""
        runs = [grams(words, n) for words in self._words]
        if not runs:
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        keys = np.concatenate(runs)
        texts = np.repeat(np.arange(len(runs), dtype=np.int64), [len(r) for r in runs])
        positions = np.concatenate([np.arange(len(r), dtype=np.int64) for r in runs])
        pairs = np.unique(np.stack((keys, texts.astype(np.uint64)), axis=1), axis=0)
        distinct, counts = np.unique(pairs[:, 0], return_counts=True)
        keep = counts[np.searchsorted(distinct, keys)] <= SHARED_BY
        if n == LONG_RUN:
            # "3 * 7 = 21" is seven words that any sum may share: a run needs words of letters to be somebody's.
            keep &= np.concatenate([letters_within(numbers, n) for numbers in self._is_number]) >= LEAST_LETTER_WORDS
        return keys[keep], (texts[keep] << 32) | positions[keep]

    def _build_sketches(self) -> None:
        rng = np.random.default_rng(20_13)
        self._factors = rng.integers(0, 1 << 63, _HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self._shingles = [np.unique(grams(w, SHINGLE)) for w in self._words]
        distinct, counts = np.unique(np.concatenate([*self._shingles, np.empty(0, np.uint64)]), return_counts=True)
        self._frames = distinct[counts > SHARED_BY]
        self._sketched = np.flatnonzero(self._lengths >= EDITED_LEAST_WORDS)
        self._longest = int(self._lengths.max(initial=0))
        flat = np.concatenate([grams(self._words[n], SHINGLE) for n in self._sketched]) if len(self._sketched) else np.empty(0, np.uint64)
        sizes = np.array([len(self._words[n]) - SHINGLE + 1 for n in self._sketched], dtype=np.int64)
        bands = self._bands(flat, np.cumsum(sizes) - sizes)
        self._banded = Lookup(bands.ravel(), np.tile(self._sketched, bands.shape[0]))

    def _bands(self, shingles: Hashes, starts: NDArray[np.int64]) -> Hashes:
        """Band keys of the MinHash sketch of each segment: (bands, segments)."""
        if not len(starts):
            return np.empty((0, 0), np.uint64)
        keys = np.zeros((_HASHES // _BAND, len(starts)), dtype=np.uint64)
        for number, factor in enumerate(self._factors):
            least = np.minimum.reduceat(shingles * factor, starts)
            keys[number // _BAND] = mixed(keys[number // _BAND] + least + np.uint64(number))
        return keys

    def find(self, text: bytes, piece_starts: NDArray[np.int64], row_of_piece: NDArray[np.int64]) -> list[Match]:
        """Every match in a batch of normalised text.

        Args:
            text: normalised pieces one after another, separated by a byte that is no word.
            piece_starts: first byte of each piece.
            row_of_piece: row number of each piece; runs may cross pieces of one row, never rows.
        """
        if not self._words:
            return []
        words = words_of(text)
        batch = Batch(text=text, words=words, piece_starts=piece_starts, row_of_piece=row_of_piece)
        short = grams(words.hashes, SHORT_RUN)
        found: dict[tuple[int, int], Match] = {}
        for match in (*self._verbatim(batch), *self._whole_texts(batch, short), *self._edited(batch, short), *self._near(batch)):
            row = int(row_of_piece[match.piece])
            known = found.get((match.text, row))
            if known is None or (KINDS.index(match.kind), -match.share) < (KINDS.index(known.kind), -known.share):
                found[match.text, row] = match
        return list(found.values())

    def _verbatim(self, batch: Batch) -> Iterator[Match]:
        runs = grams(batch.words.hashes, LONG_RUN)
        positions, packed = self._long.pairs(runs)
        keep = within_rows(positions, batch, LONG_RUN)
        positions, packed = positions[keep], packed[keep]
        rows = batch.rows_at(positions)
        is_telling = ~is_frame(runs[positions], rows, self._long)
        for text, start, places, found in groups(positions[is_telling], packed[is_telling], rows[is_telling], batch):
            share = min(1.0, best_cover(found, places, int(self._lengths[text]), LONG_RUN) / int(self._coverable[text]))
            kind: MatchKind = "verbatim" if share >= VERBATIM_COVERAGE else "overlap"
            yield Match(text=text, piece=batch.piece_at(start), kind=kind, share=round(share, 3))

    def _whole_texts(self, batch: Batch, short: Hashes) -> Iterator[Match]:
        positions, texts = self._anchors.pairs(short)
        lengths = self._lengths[texts]
        fits = positions + lengths <= len(batch.words.hashes)
        positions, texts, lengths = positions[fits], texts[fits], lengths[fits]
        is_equal = np.zeros(len(positions), dtype=np.bool_)
        for length in np.unique(lengths).tolist():
            chosen = np.flatnonzero(lengths == length)
            windows = batch.words.hashes[positions[chosen][:, None] + np.arange(length)]
            is_equal[chosen] = whole_hash(windows) == self._whole[texts[chosen]]
        for position, text in zip(positions[is_equal].tolist(), texts[is_equal].tolist(), strict=True):
            length = int(self._lengths[text])
            if batch.is_one_row(position, length) and (length >= WHOLE_TEXT_WORDS or batch.stands_alone(position, length)):
                yield Match(text=text, piece=batch.piece_at(position), kind="verbatim", share=1.0)

    def _edited(self, batch: Batch, short: Hashes) -> Iterator[Match]:
        positions, packed = self._short.pairs(short)
        rows = batch.rows_at(positions)
        is_telling = ~is_frame(short[positions], rows, self._short)
        for text, start, places, found in groups(positions[is_telling], packed[is_telling], rows[is_telling], batch):
            length = int(self._lengths[text])
            # Fewer runs than this cannot cover enough words.
            if length < EDITED_LEAST_WORDS or len(found) * SHORT_RUN < EDITED_COVERAGE * length:
                continue
            share = best_cover(found, places, length, SHORT_RUN) / length
            if share >= (EDITED_COVERAGE if length >= EDITED_SHORT_WORDS else EDITED_SHORT_COVERAGE):
                yield Match(text=text, piece=batch.piece_at(start), kind="edited", share=round(share, 3))

    def _near(self, batch: Batch) -> Iterator[Match]:
        if not len(self._sketched):
            return
        starts = np.searchsorted(batch.words.starts, batch.piece_starts)
        ends = np.append(starts[1:], len(batch.words.starts))
        counts = ends - starts
        chosen = np.flatnonzero((counts >= EDITED_LEAST_WORDS // 2) & (counts * NEAR_JACCARD <= self._longest))
        if not len(chosen):
            return
        runs = grams(batch.words.hashes, SHINGLE)
        sizes = counts[chosen] - SHINGLE + 1
        offsets = np.cumsum(sizes) - sizes
        index = np.repeat(starts[chosen] - offsets, sizes) + np.arange(int(sizes.sum()))
        flat = runs[index]
        keys = self._bands(flat, offsets)
        hits, texts = self._banded.pairs(keys.ravel())
        candidates = np.unique(np.stack((hits % len(chosen), texts), axis=1), axis=0) if len(hits) else np.empty((0, 2), np.int64)
        for number, text in candidates.tolist():
            own = np.setdiff1d(flat[offsets[number] : offsets[number] + sizes[number]], self._frames)
            theirs = np.setdiff1d(self._shingles[text], self._frames, assume_unique=True)
            share = jaccard(own, theirs) if len(theirs) >= SHINGLE else 0.0
            if share >= NEAR_JACCARD:
                yield Match(text=text, piece=int(chosen[number]), kind="near_duplicate", share=round(share, 3))


def jaccard(one: Hashes, other: Hashes) -> float:
    """Jaccard similarity of two sets, each given as sorted distinct values; 1.0 for two empty sets."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    union = len(one) + len(other) - common
    return common / union if union else 1.0


def seen_items(found: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """``suite/task/item`` of every item that a scan found in the data; a phrase in common is not an item seen.

    Args:
        found: item → match, as `contaminated_items` gives it.
    """
    return tuple(sorted(item for item, match in found.items() if match["kind"] in SEEN_KINDS))
