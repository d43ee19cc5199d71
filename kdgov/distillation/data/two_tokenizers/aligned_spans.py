"""Which tokens of two tokenizers stand for the same stretch of text: the spans between the places where both end a token.

Places are characters of the text, as a fast tokenizer tells them; a character that a tokenizer cuts into several byte tokens ends with
the last of them, so that no span ends inside a character.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdgov.checkpoints.encoding import encode_batch
from kdgov.declarations.distillation import Distillation
from kdgov.distillation.data.conversation import LossOn, render
from kdgov.distillation.data.examples import Example
from kdgov.distillation.data.tokenization import TokenExample
from kdgov.errors import InputError

_OUTSIDE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedSpans:
    """Spans of one example, in order: the same text in both tokenizations."""

    student: NDArray[np.int64]
    """(spans, 2) first token of the student's and one past its last."""
    teacher: NDArray[np.int64]
    """(spans, 2) of the teacher's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedTokens:
    """Tokens of one example with the place in the compared text where each ends."""

    ends: NDArray[np.int64]
    """(tokens,) characters from the start of the compared text, never falling; -1 outside of it."""
    begins: NDArray[np.int64]
    """(tokens,) where each begins, likewise."""


def aligned_spans(student: PlacedTokens, teacher: PlacedTokens, counted: tuple[NDArray[np.bool_], NDArray[np.bool_]]) -> AlignedSpans:
    """Spans whose text is the same on both sides and whose tokens all count.

    Args:
        student: its tokens.
        teacher: its own.
        counted: per side, (tokens,) which of them are learnt.
    """
    sides = [_closing(side) for side in (student, teacher)]
    _, mine, theirs = np.intersect1d(sides[0][0], sides[1][0], assume_unique=True, return_indices=True)
    found: list[tuple[int, int, int, int]] = []
    before = None
    for a, b in zip(sides[0][1][mine], sides[1][1][theirs], strict=True):
        first = (_first(student), _first(teacher)) if before is None else before
        whole = (int(first[0]), int(a) + 1, int(first[1]), int(b) + 1)
        before = (int(a) + 1, int(b) + 1)
        if _is_compared(whole, student, teacher, counted):
            found.append(whole)
    table = np.array(found, dtype=np.int64).reshape(-1, 4)
    return AlignedSpans(student=table[:, :2], teacher=table[:, 2:])


def _closing(side: PlacedTokens) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places where a token ends and the next begins anew, and the token that ends there."""
    inside = np.flatnonzero(side.ends > 0)
    if not len(inside):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    ends, begins = side.ends[inside], side.begins[inside]
    # A byte token may hold the end of one character and the beginning of the next: it begins before its neighbour ends.
    closes = np.append((begins[1:] >= ends[:-1]) & (ends[1:] > ends[:-1]), True)
    return ends[closes], inside[closes]


def _first(side: PlacedTokens) -> int:
    return int(np.argmax(side.ends > 0))


def _is_compared(
    span: tuple[int, int, int, int], student: PlacedTokens, teacher: PlacedTokens, counted: tuple[NDArray[np.bool_], NDArray[np.bool_]]
) -> bool:
    a, b, c, d = span
    # The first token of all has no prediction; one that begins before the compared text holds something else as well.
    if a < 1 or c < 1 or student.begins[a] == _OUTSIDE or teacher.begins[c] == _OUTSIDE:
        return False
    return bool(counted[0][a:b].all() and counted[1][c:d].all() and (student.ends[a:b] > 0).all() and (teacher.ends[c:d] > 0).all())


def spans_of(
    examples: Sequence[Example],
    pairs: Sequence[tuple[TokenExample, TokenExample]],
    tokenizers: tuple[Any, Any],
    recipe: Distillation,
) -> list[list[AlignedSpans]]:
    """Aligned spans of examples; a conversation has a list of them, one per learnt turn.

    Args:
        examples: as they are read.
        pairs: each one's tokens, the student's and the teacher's.
        tokenizers: the student's and the teacher's.
        recipe: says what is learnt of a conversation.

    Raises:
        InputError: if a tokenizer does not tell where in the text its tokens stand.
    """
    for tokenizer, whose in zip(tokenizers, ("student", "teacher"), strict=True):
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(
                f"universal_logits needs to know where in the text each token stands, and the {whose}'s tokenizer does not tell",
                where="distillation.terms",
                mend="Save it with transformers as tokenizer.json, or use teacher_text.",
            )
    plain = [n for n, example in enumerate(examples) if not example.messages]
    texts = [examples[n].prompt + examples[n].completion for n in plain]
    encoded = [encode_batch(tokenizer, texts, offsets=True) for tokenizer in tokenizers]
    found: list[list[AlignedSpans]] = [[] for _ in examples]
    for place, n in enumerate(plain):
        placed = [
            _whole_text(pairs[n][side].ids, encoded[side][place], len(texts[place]), tokenizers[side].eos_token_id) for side in (0, 1)
        ]
        found[n] = [aligned_spans(placed[0], placed[1], _counted(pairs[n], tokenizers))]
    for n, example in enumerate(examples):
        if example.messages:
            found[n] = _of_conversation(example, pairs[n], tokenizers, recipe)
    return found


def _counted(pair: tuple[TokenExample, TokenExample], tokenizers: tuple[Any, Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Per side which tokens count; one that stands for text its tokenizer does not know says nothing about that text."""
    mine, theirs = (
        one.counted
        if (unknown := tokenizer.unk_token_id) is None or unknown == tokenizer.eos_token_id
        else one.counted & (one.ids != unknown)
        for one, tokenizer in zip(pair, tokenizers, strict=True)
    )
    return mine, theirs


def _whole_text(ids: NDArray[Any], encoded: tuple[list[int], list[tuple[int, int]]], length: int, end_id: int | None) -> PlacedTokens:
    """Tokens of a plain text; the end-of-text token ends one place behind it on both sides."""
    offsets = encoded[1]
    ends = np.zeros(len(ids), dtype=np.int64)
    begins = np.zeros(len(ids), dtype=np.int64)
    known = min(len(ids), len(offsets))
    for place in range(known):
        begins[place], ends[place] = offsets[place]
    is_end = len(ids) > 0 and end_id is not None and int(ids[-1]) == end_id
    if is_end and (len(ids) > len(offsets) or offsets[len(ids) - 1][0] == offsets[len(ids) - 1][1]):
        begins[-1], ends[-1] = length, length + 1
    # A token of another that the tokenizer put around the text (BOS) stands at 0 and ends nothing.
    return PlacedTokens(ends=np.maximum.accumulate(ends), begins=begins)


def _of_conversation(
    example: Example, pair: tuple[TokenExample, TokenExample], tokenizers: tuple[Any, Any], recipe: Distillation
) -> list[AlignedSpans]:
    loss_on: LossOn = recipe.loss_on if recipe.loss_on in ("all", "assistant_turns") else "last"
    rendered = [render(example, tokenizer, loss_on=loss_on) for tokenizer in tokenizers]
    encoded = [encode_batch(tokenizer, [one.text], offsets=True)[0] for tokenizer, one in zip(tokenizers, rendered, strict=True)]
    if len(rendered[0].spans) != len(rendered[1].spans):
        return []
    found = []
    for spans in zip(rendered[0].spans, rendered[1].spans, strict=True):
        turns = [one.text[span[0] : span[1]] for one, span in zip(rendered, spans, strict=True)]
        # Templates close a turn in words of their own: what is compared is what both begin with.
        shared = len(os.path.commonprefix(turns))
        placed = [_of_turn(len(pair[side].ids), encoded[side][1], spans[side][0], shared) for side in (0, 1)]
        found.append(aligned_spans(placed[0], placed[1], _counted(pair, tokenizers)))
    return found


def _of_turn(tokens: int, offsets: Sequence[tuple[int, int]], start: int, length: int) -> PlacedTokens:
    ends = np.full(tokens, _OUTSIDE, dtype=np.int64)
    begins = np.full(tokens, _OUTSIDE, dtype=np.int64)
    for place, (first, last) in enumerate(offsets[:tokens]):
        if last > first and start < last <= start + length:
            ends[place] = last - start
            begins[place] = first - start if first >= start else _OUTSIDE
    return PlacedTokens(ends=ends, begins=begins)
