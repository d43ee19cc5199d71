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

from kdgov.checkpoints.bounded_templates import chat_text
from kdgov.declarations.distillation import Distillation
from kdgov.distillation.data.examples import Example
from kdgov.errors import InputError


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenized:
    """What tokenising left."""

    examples: tuple[TokenExample, ...]
    """Examples with at least one token to learn."""
    left_out: tuple[str, ...]
    """Item ids whose completion does not fit into the longest length, or is empty."""
    truncated: int
    """How many were cut short."""


def tokenized(examples: Sequence[Example], tokenizer: Any, recipe: Distillation) -> Tokenized:
    """Examples as token ids; the end-of-text token is appended where the tokenizer has one.

    A completion's ids are those that prompt and completion together have beyond the prompt's own: the convention of
    lm-eval's log-likelihoods, so that what is trained is what is asked.

    Raises:
        InputError: if a conversation has no template to be put into, or nothing is left.
    """
    pairs = [_as_text(example, tokenizer) for example in examples]
    whole = _encode(tokenizer, [prompt + completion for prompt, completion in pairs])
    prompts = iter(_encode(tokenizer, [prompt for prompt, _ in pairs if prompt]))
    kept: list[TokenExample] = []
    left_out: list[str] = []
    truncated, end = 0, tokenizer.eos_token_id
    for example, (prompt, completion), ids in zip(examples, pairs, whole, strict=True):
        start = _common(ids, next(prompts)) if prompt else 0
        if recipe.loss_on == "all":
            start = 0
        ids = _ended(ids, end) if completion else ids
        truncated += len(ids) > recipe.max_length
        ids = ids[: recipe.max_length]
        if len(ids) <= max(1, start):
            left_out.append(example.item_id)
            continue
        array = np.asarray(ids, dtype=np.int32)
        kept.append(
            TokenExample(
                item_id=example.item_id,
                ids=array,
                first_target=max(1, start),
                weight=example.weight,
                content=_content(array, max(1, start)),
            )
        )
    if not kept:
        raise InputError(
            f"none of the {len(examples)} examples leaves a token to learn within max_length {recipe.max_length}",
            where="distillation.max_length",
            mend="Raise `max_length`, shorten the prompts, or set `loss_on: all`.",
        )
    return Tokenized(examples=tuple(kept), left_out=tuple(left_out), truncated=truncated)


def _as_text(example: Example, tokenizer: Any) -> tuple[str, str]:
    if not example.messages:
        # lm-eval moves a prompt's trailing blanks into the completion; tokens come out alike only if training does the same.
        bare = example.prompt.rstrip()
        return bare, example.prompt[len(bare) :] + example.completion
    if not tokenizer.chat_template:
        raise InputError(
            f"example {example.item_id} is a conversation, and the teacher's tokenizer has no chat template",
            where="data",
            mend="Write `prompt` and `completion` instead, or add a chat_template.jinja to the teacher's folder.",
        )
    messages = [dict(message) for message in example.messages]
    prompt = chat_text(tokenizer, messages[:-1], where="data", add_generation_prompt=True)
    whole = chat_text(tokenizer, messages, where="data")
    return (prompt, whole.removeprefix(prompt)) if whole.startswith(prompt) else ("", whole)


def _encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    if not texts:
        return []
    encoded: list[list[int]] = tokenizer(texts, add_special_tokens=True, return_attention_mask=False, verbose=False)["input_ids"]
    # Read once: transformers looks a special token up anew every time it is asked for.
    end = tokenizer.eos_token_id
    return [_without_end(ids, end) for ids in encoded]


def _without_end(ids: list[int], end: int | None) -> list[int]:
    # Some tokenizers append an end by themselves (BERT's [SEP], T5's </s>); it is put back once, by `_ended`.
    return ids[:-1] if len(ids) > 1 and ids[-1] == end else ids


def _ended(ids: list[int], end: int | None) -> list[int]:
    return ids if end is None or ids[-1] == end else [*ids, end]


def _common(ids: Sequence[int], prompt: Sequence[int]) -> int:
    """Tokens both begin with: where a prompt's last token merged with the completion, that token counts as completion."""
    limit = min(len(ids), len(prompt))
    return next((position for position in range(limit) if ids[position] != prompt[position]), limit)


def _content(ids: NDArray[np.int32], first_target: int) -> str:
    return sha256(ids.tobytes() + first_target.to_bytes(4, "little")).hexdigest()


class Planned(Dataset[Any]):
    """Examples in the order they are trained on: row ``n`` is what step ``n // batch_size`` sees."""

    def __init__(self, examples: Sequence[Any], order: NDArray[np.int64]) -> None:
        self._examples, self._order = examples, order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, place: int) -> tuple[int, Any]:
        row = int(self._order[place])
        return row, self._examples[row]


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
            share = example.weight / (end - example.first_target) if self.by_example else example.weight
            weights[place, example.first_target - 1 : end - 1] = share
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
