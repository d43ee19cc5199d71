"""Examples and batches of sequence-to-sequence models: what the encoder reads, what the decoder writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdgov.distillation.data.examples import Example
from kdgov.errors import DeclarationError, Fault

_FAULTS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PairExample:
    """One example of a sequence-to-sequence model."""

    item_id: str
    """Its name in messages."""
    ids: NDArray[np.int32]
    """(time,) token ids the encoder reads."""
    target: NDArray[np.int32]
    """(time,) token ids the decoder writes, end included."""
    weight: float
    """Factor of its weight."""
    is_cut: bool = False
    """Whether the encoder reads only a beginning."""


def was_cut(made: Any, row: int) -> bool:
    """Whether a fast tokenizer cut a text of a batch short; what a slow one did is not known."""
    return bool(made.encodings and made.encodings[row].overflowing)


def pair_examples(examples: Sequence[Example], tokenizer: Any, max_length: int) -> tuple[PairExample, ...]:
    """Prompts and completions for encoder and decoder; a completion that does not fit with its end is left out, never cut.

    Raises:
        DeclarationError: naming every example without a prompt or a completion.
    """
    faults = [
        Fault(file="data", key=e.item_id, what="needs a prompt and a completion", mend="Write both, or remove the line.")
        for e in examples
        if not (e.prompt and e.completion)
    ]
    if faults:
        raise DeclarationError(faults[:_FAULTS_SHOWN])
    read = tokenizer([e.prompt for e in examples], truncation=True, max_length=max_length, return_attention_mask=False)
    written = tokenizer(text_target=[e.completion for e in examples], return_attention_mask=False, verbose=False)["input_ids"]
    made = []
    for row, (example, ids) in enumerate(zip(examples, written, strict=True)):
        target = _ended(ids, tokenizer.eos_token_id, is_cut=example.is_cut)
        if len(target) <= max_length:
            source = np.asarray(read["input_ids"][row], dtype=np.int32)
            target_ids = np.asarray(target, dtype=np.int32)
            is_cut = was_cut(read, row)
            made.append(PairExample(item_id=example.item_id, ids=source, target=target_ids, weight=example.weight, is_cut=is_cut))
    return tuple(made)


def _ended(ids: list[int], end: int | None, *, is_cut: bool) -> list[int]:
    """Ids that end where the text does: an answer that was cut short has no end to learn."""
    has_end = end is not None and bool(ids) and ids[-1] == end
    if is_cut:
        return ids[:-1] if has_end else ids
    return ids if end is None or has_end else [*ids, end]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCollator:
    """Padded batches for encoder and decoder."""

    pad_id: int
    """Id behind shorter sequences."""
    start_id: int
    """Id the decoder starts from."""
    by_example: bool
    """Whether every example weighs the same however long."""
    teacher_start: int | None = None
    """Id the teacher's decoder starts from; None: the same."""

    def __call__(self, items: Sequence[tuple[int, PairExample]]) -> dict[str, Any]:
        """``inputs``, ``labels`` and ``weights`` (batch, time of the decoder), its ``lengths``, ``rows``; the teacher's own."""
        ids, lengths = padded([example.ids for _, example in items], self.pad_id)
        labels, ends = padded([example.target for _, example in items], self.pad_id)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        decoder = labels.roll(1, dims=1)
        decoder[:, 0] = self.start_id
        weights = (torch.arange(labels.shape[1]) < ends[:, None]).float() * torch.tensor([e.weight for _, e in items])[:, None]
        if self.by_example:
            weights = weights / ends[:, None]
        batch = {
            "inputs": {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": decoder},
            "labels": labels,
            "weights": weights,
            "lengths": ends,
            "rows": torch.tensor([row for row, _ in items]),
        }
        if self.teacher_start in (None, self.start_id):
            return batch
        begun = decoder.clone()
        begun[:, 0] = self.teacher_start  # type: ignore[assignment]
        return {**batch, "teacher": {"inputs": {**batch["inputs"], "decoder_input_ids": begun}, "weights": weights}}


def padded(rows: Sequence[NDArray[np.int32]], pad_id: int) -> tuple[Tensor, Tensor]:
    """(rows, longest) ids with ``pad_id`` behind shorter rows, and (rows,) lengths."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.full((len(rows), int(lengths.max())), pad_id, dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.from_numpy(row)
    return ids, lengths
