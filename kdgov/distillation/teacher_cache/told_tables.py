"""Tables of likeliest tokens as others write them, made into what a cache keeps: in order, over known tokens, at their places."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kdgov.checkpoints.tokenizer_mapping import KnownIds
from kdgov.errors import InputError

NEVER = -1e4
"""Log-probability of a token that stands in a table only to fill it; finite, so that nought times it is nought."""
_LEAST_MASS = 1e-2
"""Probability on ids that are no tokens of the student from which on another tokenizer must have written them."""
_LEAST_TOKENS, _MOST_HERE, _LEAST_NEXT = 8, 0.3, 0.6
"""Tokens from which on places are compared, and shares of tokens found at their own place and at the one before that show a shift."""
Table = list[tuple[int, float]]


def ranked(entries: Iterable[Sequence[tuple[Any, Any]]], k: int, known: KnownIds | None, *, where: str) -> list[Table]:
    """Per token the ``k`` likeliest ids with their log-probabilities, the likeliest first, whatever order they were written in.

    What stands on ids that are no tokens of the student (padding rows of a larger matrix) is left to the rest of the distribution.

    Args:
        entries: per token its (id, log-probability) pairs.
        k: how many are kept.
        known: ids that are tokens of the student; None: all.
        where: file and row, for messages.

    Raises:
        InputError: if an entry is no table of ids and numbers, holds one id twice, or ids that are no tokens with more than a hundredth of
            the probability.
    """
    tables = []
    for place, entry in enumerate(entries):
        try:
            pairs = sorted(((_whole(number), float(value)) for number, value in entry), key=lambda pair: -pair[1])
        except (TypeError, ValueError) as error:
            raise InputError(
                f"has no ids with their log-probabilities at learnt token {place}", where=where, mend="Write one list of each per token."
            ) from error
        if len({number for number, _ in pairs}) < len(pairs):
            raise InputError(f"names one id twice at learnt token {place}", where=where, mend="Write each likeliest token once.")
        tables.append(_filled(pairs, k, known, where) if known is not None else pairs[:k])
    return tables


def _whole(number: Any) -> int:
    if isinstance(number, bool) or int(number) != float(number):
        raise ValueError(number)
    return int(number)


def _filled(pairs: Table, k: int, known: KnownIds, where: str) -> Table:
    odd = [(number, value) for number, value in pairs if not 0 <= number < known.size or number in known.holes]
    if not odd:
        return pairs[:k]
    mass = float(np.exp([value for _, value in odd]).sum())
    if not mass <= _LEAST_MASS:
        raise InputError(
            f"gives the id {odd[0][0]} a probability, which is no token of the student (ids below {known.size:,})",
            where=where,
            mend="Have them written with the student's tokenizer.",
        )
    kept = [pair for pair in pairs if pair not in odd]
    named = {number for number, _ in kept}
    others = (number for number in range(known.size) if number not in named and number not in known.holes)
    return [*kept, *((number, NEVER) for number, _ in zip(others, odd, strict=False))][:k]


@dataclasses.dataclass(slots=True)
class Places:
    """Whether the tokens of a text stand in the tables of their own places, or in those before: then all are one too early."""

    here: int = 0
    """Tokens found in the table of their own place."""
    next: int = 0
    """Tokens found in the table before that."""
    seen: int = 0
    """Tokens looked for."""

    def add(self, tokens: Sequence[int], tables: Sequence[Table], *, where: str) -> None:
        """Look at one more text.

        Args:
            tokens: its learnt tokens.
            tables: what is said of each.
            where: file and row, for the message.

        Raises:
            InputError: if most tokens so far stand one table early.
        """
        named = [{number for number, _ in table} for table in tables]
        self.here += sum(token in table for token, table in zip(tokens, named, strict=False))
        self.next += sum(token in table for token, table in zip(tokens[1:], named, strict=False))
        self.seen += max(len(tokens) - 1, 0)
        if self.seen >= _LEAST_TOKENS and self.here <= _MOST_HERE * self.seen and self.next >= _LEAST_NEXT * self.seen:
            raise InputError(
                f"is one token early: of {self.seen} tokens {self.next} stand in the entry before their own, and {self.here} in it",
                where=where,
                mend="Entry n has to be about token n, given those before it: put nothing (null) first, and drop the last.",
            )
