"""Words and their n-grams as 64-bit hashes, over a whole batch of texts at once.

A word is a run of letters or digits, lower-cased; everything else separates. CJK characters are words of their own. Hashes
are equal exactly where words are, up to a chance of about 2**-64 per pair; they do not depend on the process or machine.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Positions = NDArray[np.int64]

_BASE = 0x9E3779B97F4A7C15 | 1
STEP = 0xD6E8FEB86659FD93 | 1
"""Factor of each next word in the hash of a run."""
_MASK = (1 << 64) - 1
_CJK = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af])")
_COMBINING = re.compile(r"[\u0300-\u036f\u3099\u309a\u1100-\u11ff]")
_LOWER = bytes(b + 32 if 65 <= b <= 90 else b for b in range(256))
_IS_WORD = np.array([48 <= b <= 57 or 65 <= b <= 90 or 97 <= b <= 122 or b >= 128 for b in range(256)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of one batch, in order."""

    starts: Positions
    """First byte of each word in the normalised batch."""
    ends: Positions
    """One past its last byte."""
    hashes: Hashes
    """One number per word."""


def normalised(text: str) -> bytes:
    """Text as its words are compared: compatibility form, case folded, typographic marks as spaces, CJK characters apart."""
    if text.isascii():
        return text.encode().translate(_LOWER)
    raw = text.encode("utf-8", "replace")
    # Mostly ASCII text costs no more than finding what is not; a text in another script is folded as a whole.
    if len(raw) >= 1.2 * len(text):
        return _folded(unicodedata.normalize("NFC", text)).encode("utf-8", "replace").translate(_LOWER)
    runs = _other_runs(raw)
    folded = [raw[start:end].decode("utf-8") for start, end in runs]
    if any(_COMBINING.search(run) for run in folded):
        # A letter and its mark may stand on both sides of such a run; composed they are one character.
        composed = unicodedata.normalize("NFC", text)
        if composed != text:
            return normalised(composed)
    parts, at = [], 0
    for (start, end), run in zip(runs, folded, strict=True):
        parts += [raw[at:start], _folded_run(run).encode("utf-8", "replace")]
        at = end
    return b"".join([*parts, raw[at:]]).translate(_LOWER)


def _other_runs(raw: bytes) -> list[tuple[int, int]]:
    """Runs of bytes beyond ASCII."""
    places = np.flatnonzero(np.frombuffer(raw, dtype=np.uint8) >= 128)
    breaks = np.flatnonzero(np.diff(places) > 1)
    starts = np.concatenate((places[:1], places[breaks + 1]))
    ends = np.concatenate((places[breaks], places[-1:])) + 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_marks())).casefold()
    return _CJK.sub(r" \1 ", text)


_folded_run = lru_cache(maxsize=1 << 16)(_folded)


def words_of(text: bytes) -> Words:
    """Words of normalised text."""
    data = np.frombuffer(text, dtype=np.uint8)
    is_word = np.empty(len(data) + 2, dtype=np.bool_)
    is_word[0] = is_word[-1] = False
    np.take(_IS_WORD, data, out=is_word[1:-1])
    edges = np.flatnonzero(is_word[1:] != is_word[:-1])
    starts, ends = edges[::2], edges[1::2]
    powers, inverses = _powers(1 << max(10, len(data).bit_length()))
    # Prefix sums of byte · base**position; a word's sum times base**-start depends on its bytes only.
    sums = np.empty(len(data) + 1, dtype=np.uint64)
    sums[0] = 0
    np.cumsum((data.astype(np.uint64) + np.uint64(1)) * powers[: len(data)], out=sums[1:])
    return Words(starts=starts, ends=ends, hashes=mixed((sums[ends] - sums[starts]) * inverses[starts]))


def grams(hashes: Hashes, n: int) -> Hashes:
    """Hash of every run of ``n`` words, by the position of its first; empty where there are fewer words."""
    count = len(hashes) - n + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    # Doubling: a run of 2k words is two runs of k, so 13 words take five products instead of twelve.
    result, width = hashes, 1
    total: Hashes | None = None
    taken = 0
    bits = n
    while bits:
        if bits & 1:
            part = result[taken : taken + count]
            total = part.copy() if total is None else total + part * np.uint64(pow(STEP, taken, 1 << 64))
            taken += width
        bits >>= 1
        if bits:
            result = result[: len(result) - width] + result[width:] * np.uint64(pow(STEP, width, 1 << 64))
            width *= 2
    assert total is not None
    return mixed(total)


def mixed(values: Hashes) -> Hashes:
    """Values scattered over all 64 bits (the finaliser of SplitMix64): low bits of a polynomial alone are weak."""
    out = values ^ (values >> np.uint64(30))
    out *= np.uint64(0xBF58476D1CE4E5B9)
    out ^= out >> np.uint64(27)
    out *= np.uint64(0x94D049BB133111EB)
    out ^= out >> np.uint64(31)
    return out


@lru_cache(maxsize=4)
def _powers(size: int) -> tuple[Hashes, Hashes]:
    """base**k and base**-k modulo 2**64 for k < size."""
    inverse = pow(_BASE, -1, 1 << 64)
    return _power_table(_BASE, size), _power_table(inverse, size)


def _power_table(base: int, size: int) -> Hashes:
    table = np.ones(size, dtype=np.uint64)
    filled = 1
    while filled < size:
        more = min(filled, size - filled)
        table[filled : filled + more] = table[:more] * np.uint64(pow(base, filled, 1 << 64))
        filled += more
    return table


@lru_cache(maxsize=1)
def _marks() -> dict[int, str]:
    """Every non-ASCII punctuation mark, symbol and space, as a space."""
    spaced = ("P", "S", "Z")
    return {code: " " for code in range(128, min(sys.maxunicode, 0x30000)) if unicodedata.category(chr(code))[0] in spaced}
