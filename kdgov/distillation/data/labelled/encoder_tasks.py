"""Examples and batches of encoders that answer per token: masked language models, token classifiers, readers that find an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdgov.checkpoints.class_names import place_of
from kdgov.checkpoints.encoding import in_blocks
from kdgov.checkpoints.tokenizer_mapping import KnownIds
from kdgov.distillation.data.examples import Example
from kdgov.distillation.data.labelled.class_labels import Labels, said_class
from kdgov.distillation.data.sequence_pairs import padded, was_cut
from kdgov.errors import DeclarationError, Fault, InputError

_FAULTS_SHOWN = 20
_MASKED, _REPLACED, _RANDOM = 0.15, 0.8, 0.1
"""Share of tokens that are predicted; of those, the share shown as the mask and as another token (Devlin et al. 2019)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderExample:
    """One text, or a question and its context, with what is asked of its tokens."""

    item_id: str
    """Its name in messages."""
    ids: NDArray[np.int32]
    """(time,) token ids with the tokenizer's special tokens."""
    types: NDArray[np.int32] | None
    """(time,) which text a token belongs to, where the model reads that."""
    asked: NDArray[np.bool_]
    """(time,) tokens that may be masked, or that carry a label; of a reader, those an answer may begin or end at."""
    labels: NDArray[np.int64]
    """(time,) a class per token; of a reader (2,) the answer's first and last token. Noughts where only the teacher counts."""
    weight: float
    """Factor of its weight."""
    is_cut: bool = False
    """Whether only a beginning of it is read."""
    words: NDArray[np.int32] | None = None
    """(time,) the word a token belongs to, -1 for none, where words have classes."""


def masked_examples(examples: Sequence[Example], tokenizer: Any, max_length: int) -> tuple[EncoderExample, ...]:
    """Whole texts of a masked language model.

    Raises:
        DeclarationError: naming every example that is no text.
        InputError: if the tokenizer has no mask.
    """
    if tokenizer.mask_token_id is None:
        raise InputError("the tokenizer has no mask token", where="student", mend="Use a masked language model's own tokenizer.")
    _refuse(examples, lambda e: not e.completion or bool(e.second or e.words), "is no text", "Write `text`.")
    options = {"truncation": True, "max_length": max_length, "return_special_tokens_mask": True, "return_attention_mask": False}
    rows = in_blocks(examples, lambda block: tokenizer([e.prompt + e.completion for e in block], **options))
    return tuple(_example(e, made, row, ~np.asarray(made["special_tokens_mask"][row], dtype=bool)) for e, made, row in rows)


def token_examples(
    examples: Sequence[Example], tokenizer: Any, labels: Labels, *, needs_labels: bool, max_length: int
) -> tuple[EncoderExample, ...]:
    """Words with a class each: the first token of a word carries it.

    Raises:
        DeclarationError: naming every example without words, or whose labels do not fit them.
    """
    _refuse(examples, lambda e: not e.words, "has no words", "Write `tokens` as a list of words, with `tags` beside it.")
    classes = [_classes(e, labels, needed=needs_labels) for e in examples]
    if faults := [one for one in classes if isinstance(one, Fault)]:
        raise DeclarationError(faults[:_FAULTS_SHOWN])
    options = {"is_split_into_words": True, "truncation": True, "max_length": max_length, "return_attention_mask": False}
    rows = in_blocks(examples, lambda block: tokenizer([list(e.words) for e in block], **options))
    found = []
    for (example, made, row), wanted in zip(rows, classes, strict=True):
        places = made.word_ids(row)
        first = np.array([word is not None and word != before for word, before in zip(places, [None, *places], strict=False)])
        tags = np.array([wanted[word] if is_first else 0 for word, is_first in zip(places, first, strict=True)])  # type: ignore[index]
        # A tag below nought, as benchmarks write it, marks a word that does not count.
        one = _example(example, made, row, first & (tags >= 0), tags.clip(min=0))
        found.append(replace(one, words=np.array([-1 if word is None else word for word in places], dtype=np.int32)))
    return tuple(found)


def reader_examples(examples: Sequence[Example], tokenizer: Any, *, needs_labels: bool, max_length: int) -> tuple[EncoderExample, ...]:
    """Questions with their context; an answer is its first and last token, or the first token of all where there is none.

    Raises:
        DeclarationError: naming every example without question, context or answer.
    """
    _refuse(examples, lambda e: not (e.prompt and e.second), "has no question and context", "Write `question` and `context`.")
    if needs_labels:
        _refuse(examples, lambda e: e.span is None, "has no answer", "Write `answers` as SQuAD does, or leave out the hard_labels term.")
    room = max_length - tokenizer.num_special_tokens_to_add(pair=True)
    bare = {"add_special_tokens": False, "verbose": False}
    questions = in_blocks(examples, lambda block: tokenizer([e.prompt for e in block], **bare)["input_ids"])
    # A question that leaves no room for a context is left out, as an answer that was cut off is.
    examples = [e for e, ids, row in questions if len(ids[row]) < room]
    if not examples:
        return ()
    options = {"truncation": "only_second", "max_length": max_length, "return_offsets_mapping": True, "return_attention_mask": False}
    found = []
    for example, made, row in in_blocks(examples, lambda block: tokenizer([e.prompt for e in block], [e.second for e in block], **options)):
        inside = np.array([part == 1 for part in made.sequence_ids(row)])
        inside[0] = True
        places = _tokens_of(example.span, made["offset_mapping"][row], inside)
        if places is not None:
            found.append(_example(example, made, row, inside, np.array(places)))
    return tuple(found)


def _tokens_of(span: tuple[int, int] | None, offsets: Sequence[tuple[int, int]], inside: NDArray[np.bool_]) -> tuple[int, int] | None:
    """First and last token of an answer; None where it was cut off."""
    if span is None or span == (0, 0):
        return 0, 0
    places = [n for n, (start, end) in enumerate(offsets) if n and inside[n] and start < span[1] and end > span[0]]
    if not places or offsets[places[-1]][1] < span[1]:
        return None
    return places[0], places[-1]


def _refuse(examples: Sequence[Example], is_wrong: Any, what: str, mend: str) -> None:
    if faults := [Fault(file="data", key=e.item_id, what=what, mend=mend) for e in examples if is_wrong(e)]:
        raise DeclarationError(faults[:_FAULTS_SHOWN])


def _classes(example: Example, labels: Labels, *, needed: bool) -> list[int] | Fault:
    def fault(what: str) -> Fault:
        shown = ", ".join(labels.names[:6])
        return Fault(file="data", key=example.item_id, what=what, mend=f"Write one of {shown} (or its number) per word under `tags`.")

    if not needed and (not example.tags or len(example.tags) != len(example.words)):
        return [0] * len(example.words)
    if not example.tags:
        return fault("has no tags")
    if len(example.tags) != len(example.words):
        return fault(f"has {len(example.tags)} tags for {len(example.words)} words")
    found = [_place(tag, example, labels) for tag in example.tags]
    wrong = [tag for tag, place in zip(example.tags, found, strict=True) if place is None or place >= labels.count]
    if wrong and not needed:
        return [0 if place is None else min(place, 0) for place in found]
    return fault(f"has the tag {said_class(wrong[0], example)}") if wrong else [place for place in found if place is not None]


def _place(tag: int | str, example: Example, labels: Labels) -> int | None:
    """The output of a tag; below nought for a word that has none."""
    if str(tag) in labels.names:
        return labels.names.index(str(tag))
    tag = int(tag) if isinstance(tag, str) and tag.isdecimal() else tag
    return (place_of(tag, example.classes, labels.names) if tag >= 0 else tag) if isinstance(tag, int) else None


def _example(example: Example, made: Any, row: int, asked: NDArray[np.bool_], labels: NDArray[Any] | None = None) -> EncoderExample:
    ids = np.asarray(made["input_ids"][row], dtype=np.int32)
    types = np.asarray(made["token_type_ids"][row], dtype=np.int32) if "token_type_ids" in made else None
    wanted = np.zeros(len(ids), dtype=np.int64) if labels is None else labels.astype(np.int64)
    cut = was_cut(made, row)
    return EncoderExample(item_id=example.item_id, ids=ids, types=types, asked=asked, labels=wanted, weight=example.weight, is_cut=cut)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderCollator:
    """Padded batches with a class per token that carries one."""

    pad_id: int
    """Id behind shorter texts, hidden by the attention mask."""
    by_example: bool
    """Whether every example weighs the same however many tokens of it count."""

    def __call__(self, items: Sequence[tuple[int, EncoderExample]]) -> dict[str, Any]:
        """``inputs``, ``labels`` and ``weights`` (batch, time), ``lengths``, ``rows``."""
        labels = padded([example.labels.astype(np.int32) for _, example in items], 0)[0]
        asked = padded([example.asked.astype(np.int32) for _, example in items], 0)[0].float()
        return {**_shared(items, self.pad_id), "labels": labels, "weights": _weighed(asked, items, self.by_example)}


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskingCollator:
    """Padded batches of which some tokens are hidden and predicted; which ones depends on the seed and on who shares the batch."""

    pad_id: int
    """Id behind shorter texts."""
    mask_id: int
    """Id shown in the place of a hidden token."""
    tokens: int
    """Ids that a hidden token may be replaced by."""
    seed: int
    """Decides what is hidden."""
    by_example: bool
    """Whether every example weighs the same however long."""
    unshown: tuple[int, ...] = ()
    """Ids below `tokens` that no hidden token is replaced by."""

    def among(self, *known: KnownIds | None) -> MaskingCollator:
        """The same, with ids alone in the place of hidden tokens that all of these know; None knows all.

        Raises:
            InputError: if the mask is none of them.
        """
        sides = [one for one in known if one is not None]
        tokens = min([self.tokens, *(one.size for one in sides)])
        unshown = {hole for one in sides for hole in one.holes if hole < tokens}
        if any(self.mask_id >= one.size or self.mask_id in one.holes for one in sides):
            told = f"the mask of the student's tokenizer (id {self.mask_id}) is no token of both models"
            raise InputError(told, where="student", mend="Start from a student with the teacher's tokenizer.")
        return replace(self, tokens=tokens, unshown=tuple(sorted({*self.unshown, *unshown})))

    def _other_ids(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Ids that hidden tokens are replaced by."""
        if not self.unshown:
            return rng.integers(0, self.tokens, count)
        shown = np.setdiff1d(np.arange(self.tokens), self.unshown)
        return shown[rng.integers(0, len(shown), count)]

    def __call__(self, items: Sequence[tuple[int, EncoderExample]]) -> dict[str, Any]:
        """``inputs`` with hidden tokens, ``labels`` (batch, time) the tokens as they were, ``weights`` on the hidden ones."""
        rng = np.random.default_rng([self.seed, 0x6D6C6D, *(row for row, _ in items)])
        batch = _shared(items, self.pad_id)
        ids = batch["inputs"]["input_ids"]
        labels, hidden = ids.clone(), torch.zeros(ids.shape)
        for place, (_, example) in enumerate(items):
            may = np.flatnonzero(example.asked)
            chosen = rng.choice(may, size=min(len(may), max(1, round(_MASKED * len(may)))), replace=False)
            hidden[place, chosen] = 1.0
            how = rng.random(len(chosen))
            shown = np.where(how < _REPLACED, self.mask_id, example.ids[chosen])
            other = self._other_ids(rng, len(chosen))
            shown = np.where((how >= _REPLACED) & (how < _REPLACED + _RANDOM), other, shown)
            ids[place, chosen] = torch.from_numpy(shown.astype(np.int64))
        return {**batch, "labels": labels, "weights": _weighed(hidden, items, self.by_example)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderCollator:
    """Padded batches of questions with their context: two classes over positions, the answer's first and last token."""

    pad_id: int
    """Id behind shorter texts."""

    def __call__(self, items: Sequence[tuple[int, EncoderExample]]) -> dict[str, Any]:
        """``inputs``, ``labels`` and ``weights`` (batch, 2), ``positions`` (batch, time) an answer may stand at, ``lengths``, ``rows``."""
        weights = torch.tensor([example.weight for _, example in items])[:, None].expand(-1, 2) / 2
        return {
            **_shared(items, self.pad_id),
            "labels": torch.from_numpy(np.stack([example.labels for _, example in items])),
            "weights": weights.contiguous(),
            "positions": padded([example.asked.astype(np.int32) for _, example in items], 0)[0].bool(),
        }


def _shared(items: Sequence[tuple[int, EncoderExample]], pad_id: int) -> dict[str, Any]:
    ids, lengths = padded([example.ids for _, example in items], pad_id)
    inputs = {"input_ids": ids, "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long()}
    if all(example.types is not None for _, example in items):
        inputs["token_type_ids"] = padded([example.types for _, example in items if example.types is not None], 0)[0]
    return {"inputs": inputs, "lengths": lengths, "rows": torch.tensor([row for row, _ in items])}


def _weighed(counted: torch.Tensor, items: Sequence[tuple[int, EncoderExample]], by_example: bool) -> torch.Tensor:
    weights = counted * torch.tensor([example.weight for _, example in items])[:, None]
    return weights / counted.sum(dim=1, keepdim=True).clamp(min=1.0) if by_example else weights
