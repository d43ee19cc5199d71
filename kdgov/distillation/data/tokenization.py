"""Examples as token ids, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from kdgov.checkpoints.encoding import encode_batch, without_end
from kdgov.declarations.distillation import Distillation
from kdgov.distillation.data.conversation import LossOn, Rendered, render
from kdgov.distillation.data.examples import Example, stretches
from kdgov.errors import DeclarationError, Fault, InputError

_FAULTS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenExample:
    """One example of a language model."""

    item_id: str
    """Its name in messages."""
    ids: NDArray[np.int32]
    """(time,) token ids, cut to the longest length."""
    first_target: int
    """Position of the first token that counts, at least 1: the first token has no prediction."""
    weight: float
    """Factor of its weight."""
    content: str
    """Digest of what a teacher sees: the token ids themselves."""
    targets: NDArray[np.bool_] | None = None
    """(time,) which tokens count, where they are not all from ``first_target`` on."""

    @property
    def counted(self) -> NDArray[np.bool_]:
        """(time,) which tokens count."""
        return np.arange(len(self.ids)) >= self.first_target if self.targets is None else self.targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenized:
    """What tokenising left."""

    examples: tuple[TokenExample, ...]
    """Examples with at least one token to learn."""
    left_out: tuple[str, ...]
    """Item ids whose completion does not fit into the longest length, or is empty."""
    truncated: int
    """How many were cut short."""


def tokenized(examples: Sequence[Example], tokenizer: Any, recipe: Distillation, *, may_be_empty: bool = False) -> Tokenized:
    """Examples as token ids; the end-of-text token is appended where nothing else ends the text.

    A completion's ids are those that prompt and completion together have beyond the prompt's own: the convention of
    lm-eval's log-likelihoods, so that what is trained is what is asked. A conversation's are those of the answers that
    ``loss_on`` names, with the tokens that close them.

    Args:
        examples: of the data.
        tokenizer: of the student.
        recipe: for ``loss_on`` and ``max_length``.
        may_be_empty: whether it is no fault that nothing is left.

    Raises:
        InputError: if a conversation does not fit the template, or nothing is left; `DeclarationError` names every conversation.
    """
    kept: list[TokenExample] = []
    left_out: list[str] = []
    faults: list[Fault] = []
    truncated = 0
    for stretch in stretches(examples):
        try:
            made = _ids_of(stretch, tokenizer, recipe)
        except DeclarationError as error:
            faults += error.faults
            continue
        for example, (ids, counted) in zip(stretch, made, strict=True):
            truncated += len(ids) > recipe.max_length
            one = _token_example(example, ids, counted, recipe.max_length)
            left_out += [example.item_id] if one is None else []
            kept += [one] if one is not None else []
    if faults:
        raise DeclarationError(faults[:_FAULTS_SHOWN])
    if not kept and not may_be_empty:
        raise InputError(
            f"none of the {len(examples)} examples leaves a token to learn within max_length {recipe.max_length}",
            where="distillation.max_length",
            mend="Raise `max_length`, shorten the prompts, or set `loss_on: all`.",
        )
    return Tokenized(examples=tuple(kept), left_out=tuple(left_out), truncated=truncated)


Counted = tuple[list[int], NDArray[np.bool_]]
"""Token ids, and which of them count."""


def _ids_of(examples: Sequence[Example], tokenizer: Any, recipe: Distillation) -> list[Counted]:
    plain = iter(_plain_ids([e for e in examples if not e.messages], tokenizer, recipe))
    chats = iter(_chat_ids([e for e in examples if e.messages], tokenizer, recipe))
    return [next(chats) if example.messages else next(plain) for example in examples]


def _token_example(example: Example, ids: list[int], counted: NDArray[np.bool_], longest: int) -> TokenExample | None:
    array, targets = np.asarray(ids[:longest], dtype=np.int32), counted[:longest].copy()
    targets[:1] = False
    if not targets.any():
        return None
    first = int(np.argmax(targets))
    return TokenExample(
        item_id=example.item_id,
        ids=array,
        first_target=first,
        weight=example.weight,
        content=_content(array, first),
        targets=None if targets[first:].all() else targets,
    )


def _plain_ids(examples: Sequence[Example], tokenizer: Any, recipe: Distillation) -> list[Counted]:
    # lm-eval moves a prompt's trailing blanks into the completion; tokens come out alike only if training does the same.
    bare = [example.prompt.rstrip() for example in examples]
    texts = [example.prompt + example.completion for example in examples]
    whole = _encode(tokenizer, texts)
    prompts = iter(_encode(tokenizer, [prompt for prompt in bare if prompt]))
    end = tokenizer.eos_token_id
    made = []
    for example, prompt, ids in zip(examples, bare, whole, strict=True):
        start = _common(ids, next(prompts)) if prompt else 0
        ids = _ended(ids, end) if example.completion and not example.is_cut else ids
        made.append((ids, np.arange(len(ids)) >= (0 if recipe.loss_on == "all" else start)))
    return made


def _chat_ids(examples: Sequence[Example], tokenizer: Any, recipe: Distillation) -> list[Counted]:
    if not examples:
        return []
    loss_on: LossOn = recipe.loss_on if recipe.loss_on in ("all", "assistant_turns") else "last"
    rendered: list[Rendered] = []
    faults: list[Fault] = []
    for example in examples:
        try:
            rendered.append(render(example, tokenizer, loss_on=loss_on))
        except InputError as error:
            faults += error.faults
    if faults:
        raise DeclarationError(faults[:_FAULTS_SHOWN])
    end = tokenizer.eos_token_id
    encoded = _with_offsets(tokenizer, [one.text for one in rendered])
    made = []
    for one, (ids, offsets) in zip(rendered, encoded, strict=True):
        counted = np.array([_in_spans(span, one.spans) for span in offsets], dtype=bool)
        if not one.ends_itself and end is not None and (not ids or ids[-1] != end):
            ids, counted = [*ids, end], np.append(counted, True)
        made.append((ids, counted))
    return made


def _with_offsets(tokenizer: Any, texts: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            "conversations need a fast tokenizer, which tells where in the text each token stands",
            where="data",
            mend="Save the tokenizer with transformers as tokenizer.json, or write `prompt` and `completion`.",
        )
    return encode_batch(tokenizer, texts, offsets=True)


def _in_spans(token: tuple[int, int], spans: Sequence[tuple[int, int]]) -> bool:
    # A token that merges the end of a header with the answer's first letters counts, as in lm-eval's convention; an empty one
    # (a special token that the tokenizer added) does not.
    start, end = token
    return end > start and any(first < end and start < last for first, last in spans)


def _encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    if not texts:
        return []
    # Read once: transformers looks a special token up anew every time it is asked for.
    end = tokenizer.eos_token_id
    # An end that the tokenizer appends is put back once, by `_ended`.
    return [without_end(ids, end) for ids in encode_batch(tokenizer, texts)]


def _ended(ids: list[int], end: int | None) -> list[int]:
    return ids if end is None or (ids and ids[-1] == end) else [*ids, end]


def _common(ids: Sequence[int], prompt: Sequence[int]) -> int:
    """Tokens both begin with: where a prompt's last token merged with the completion, that token counts as completion."""
    limit = min(len(ids), len(prompt))
    return next((position for position in range(limit) if ids[position] != prompt[position]), limit)


def _content(ids: NDArray[np.int32], first_target: int) -> str:
    return sha256(ids.tobytes() + first_target.to_bytes(4, "little")).hexdigest()


class Planned(Dataset[Any]):
    """Examples in the order they are trained on: row ``n`` is what step ``n // batch_size`` sees."""

    def __init__(self, examples: Sequence[Any], order: NDArray[np.int64]) -> None:
        self.examples, self._order = examples, order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, place: int) -> tuple[int, Any]:
        row = int(self._order[place])
        return row, self.examples[row]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCollator:
    """Padded batches of token examples."""

    pad_id: int
    """Id put behind shorter examples; never seen by a token that counts."""
    by_example: bool
    """Whether every example weighs the same however long, instead of every token."""

    def __call__(self, items: Sequence[tuple[int, TokenExample]]) -> dict[str, Any]:
        """One batch: ``inputs``, ``labels`` and ``weights`` (batch, time) of what each position predicts, ``lengths``, ``rows``.

        No attention mask: padding stands behind, where a causal model's kept tokens never look, and leaving it out
        keeps the faster attention kernels.
        """
        longest = max(len(example.ids) for _, example in items)
        ids = torch.full((len(items), longest), self.pad_id, dtype=torch.long)
        weights = torch.zeros(len(items), longest)
        for place, (_, example) in enumerate(items):
            end = len(example.ids)
            ids[place, :end] = torch.from_numpy(example.ids)
            counted = example.counted
            share = example.weight / int(counted.sum()) if self.by_example else example.weight
            weights[place, : end - 1] = torch.from_numpy(counted[1:]).float() * share
        return {
            "inputs": {"input_ids": ids},
            "labels": ids.roll(-1, dims=1),
            "weights": weights,
            "lengths": torch.tensor([len(example.ids) for _, example in items]),
            "rows": torch.tensor([row for row, _ in items]),
        }


def item_ids(examples: Sequence[Any], rows: Sequence[int]) -> list[str]:
    """Names of the examples in some rows."""
    return [str(examples[row].item_id) for row in rows]


def weigh(batches: Sequence[Mapping[str, Tensor]]) -> Tensor:
    """Sum of the weights of some batches: what the batch's loss is divided by."""
    return torch.stack([batch["weights"].sum(dtype=torch.float64) for batch in batches]).sum()
