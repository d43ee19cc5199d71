"""Runs of digits that stand close together, sorted by what they can hold before any pattern looks at them.

Most digits of any corpus are cells of tables, and no identifier: their neighbours say so, and arithmetic over whole arrays sees it. A
test holds this sieve to the answer of the patterns without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Way = Literal["whole", "bare", "card", "spaced"]
"""How a run is looked at: by every pattern; as one bare number; as a bare number that can only be a card; as a row of numbers."""

# What may stand between the digits of one number: separators, brackets, and the capitals of an IBAN.
_IS_FOREIGN = np.array([not (48 <= b <= 57 or 65 <= b <= 90 or b in b" -./()+") for b in range(256)])
_IS_LETTER = np.array([65 <= b <= 90 or 97 <= b <= 122 for b in range(256)])
_NEAR = 9
LEAST_DIGITS = 7
"""Digits of the shortest run that may hold an identifier."""
_LEAST_BARE = 8
"""Digits of the shortest telephone number written without a separator."""
_LEAST_PLAUSIBLE = 10
"""Digits of the shortest bare telephone number that needs no word before it; Italy's landlines have 9 and begin with 0."""
CARD_DIGITS = (12, 19)
"""Least and most digits of a card number."""
_SSN_DIGITS = 9
_WORD_REACH = 40
"""Bytes before a number in which a word can say what it is."""
_SHORTEST_WORD = 3
_COMMA, _SPACE, _ZERO, _DOT = 44, 32, 48, 46


def number_runs(data: NDArray[np.uint8]) -> Iterator[tuple[int, int, Way]]:
    """Runs that may hold an identifier, as first byte, one past the last, and the way to look at them."""
    digits = np.flatnonzero((data >= _ZERO) & (data <= 57))
    if len(digits) < LEAST_DIGITS:
        return
    is_foreign = _IS_FOREIGN[data]
    # "12 + 30" is a sum and "in 2019. In 2020" are two sentences.
    is_foreign[:-1] |= ((data[:-1] == 43) | (data[:-1] == _DOT)) & (data[1:] == _SPACE)
    foreign = np.cumsum(is_foreign, dtype=np.int32)[digits]
    starts, ends, counts = _runs(digits, near=_NEAR, least=LEAST_DIGITS, foreign=foreign)
    if not len(starts):
        return
    way = _ways(data, starts, ends, counts)
    kept = np.flatnonzero(way >= 0)
    names: tuple[Way, ...] = ("whole", "bare", "card", "spaced")
    for start, end, chosen in zip(starts[kept].tolist(), ends[kept].tolist(), way[kept].tolist(), strict=True):
        yield start, end, names[chosen]


def _ways(data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int8]:
    """Index of the way for each run; -1: nothing in it can be an identifier."""
    way = np.zeros(len(starts), dtype=np.int8)
    before = np.where(starts > 0, data[np.maximum(starts - 1, 0)], _SPACE)
    first = data[starts]
    others = ends - starts - counts
    is_pure = others == 0
    # Nothing of one number stands right before it: no sign, bracket, separator or capital.
    is_apart = _IS_FOREIGN[before] | (before == _SPACE)
    dots, spaces = (_within(data == sign, starts, ends) for sign in (_DOT, _SPACE))
    is_signed = (before == 43) | (before == 40) | _IS_LETTER[before]
    is_fraction = (others == 1) & (dots == 1) & (data[ends - 1] != _DOT)
    letters = np.concatenate(([0], np.cumsum(_IS_LETTER[data], dtype=np.int32)))
    has_words = letters[starts] - letters[np.maximum(starts - _WORD_REACH, 0)] >= _SHORTEST_WORD
    may_be_card = (counts >= CARD_DIGITS[0]) & (counts <= CARD_DIGITS[1])
    may_be_ssn = (counts == _SSN_DIGITS) & has_words
    may_be_phone = has_words | (counts >= _LEAST_PLAUSIBLE) | ((counts == _LEAST_PLAUSIBLE - 1) & (first == _ZERO))
    way[is_apart & (others == spaces) & ~is_pure] = 3
    bare = is_pure & is_apart
    way[bare] = np.where(may_be_card | may_be_ssn | may_be_phone, 1, -1)[bare]
    # A cell after a comma is no telephone by the patterns themselves.
    cell = bare & (before == _COMMA)
    way[cell] = np.where(may_be_ssn, 1, np.where(may_be_card, 2, -1))[cell]
    way[~is_signed & (is_fraction | (is_pure & (counts < _LEAST_BARE)))] = -1
    return way


def _within(is_sign: NDArray[np.bool_], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    total = np.concatenate(([0], np.cumsum(is_sign, dtype=np.int32)))
    return total[ends] - total[starts]


def close_runs(places: NDArray[np.int64], *, near: int, least: int) -> list[tuple[int, int]]:
    """Runs of at least ``least`` places, each at most ``near`` after the one before, as first and one past last."""
    if len(places) < least:
        return []
    starts, ends, _ = _runs(places, near=near, least=least)
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _runs(
    places: NDArray[np.int64], *, near: int, least: int, foreign: NDArray[np.int32] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """First, one past last and number of places of each run; ``foreign`` counts the bytes before each that may not stand inside."""
    is_break = np.diff(places) > near
    if foreign is not None:
        is_break |= np.diff(foreign) > 0
    breaks = np.flatnonzero(is_break)
    first = np.concatenate(([0], breaks + 1))
    last = np.concatenate((breaks, [len(places) - 1]))
    counts = last - first + 1
    wanted = counts >= least
    return places[first[wanted]], places[last[wanted]] + 1, counts[wanted]
