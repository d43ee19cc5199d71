"""Examples in the tokens of two tokenizers at once, with the spans of text that both end alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdgov.checkpoints.loading import Task, load_tokenizer
from kdgov.declarations.distillation import Distillation
from kdgov.distillation.data.collation import Prepared, prepare
from kdgov.distillation.data.examples import Example
from kdgov.distillation.data.tokenization import TokenCollator
from kdgov.distillation.data.two_tokenizers.aligned_spans import AlignedSpans, spans_of
from kdgov.distillation.data.two_tokenizers.read_twice import ReadTwice, as_read
from kdgov.distillation.data.two_tokenizers.vocabulary_bridge import vocabulary_bridge
from kdgov.distillation.losses.cross_tokenizer import BridgeSides
from kdgov.errors import InputError


def across_tokenizers(task: Task, examples: Sequence[Example], student_path: Path, teacher_path: Path, recipe: Distillation) -> Prepared:
    """Examples prepared for the student, whose batches carry the teacher's tokens, the aligned spans and the bridge under ``teacher``.

    Args:
        task: what the models do: a causal language model.
        examples: the run's data.
        student_path: folder of the student's tokenizer.
        teacher_path: folder of the teacher.
        recipe: the run's.

    Raises:
        InputError: if a tokenizer does not tell where its tokens stand, or nothing is aligned.
    """
    # By place, not by name: two examples may have one name.
    numbered = [dataclasses.replace(example, item_id=str(number)) for number, example in enumerate(examples)]
    mine, theirs = (prepare(task, numbered, path, recipe) for path in (student_path, teacher_path))
    if not isinstance(mine.collate, TokenCollator) or not isinstance(theirs.collate, TokenCollator):
        raise InputError("universal_logits is for causal language models", where="distillation.terms", mend="Use hard_labels here.")
    other = {item.item_id: item for item in theirs.items}
    kept = [row for row, item in enumerate(mine.items) if item.item_id in other]
    places = [int(mine.items[row].item_id) for row in kept]
    pairs = [(mine.items[row], other[mine.items[row].item_id]) for row in kept]
    tokenizers = (load_tokenizer(student_path), load_tokenizer(teacher_path))
    spans = spans_of([examples[place] for place in places], pairs, tokenizers, recipe)
    if not any(len(one.student) for found in spans for one in found):
        raise InputError(
            "universal_logits finds no stretch of text that both tokenizers end alike",
            where="distillation.terms",
            mend="Use teacher_text: it needs nothing in common.",
        )
    names = [examples[place].item_id for place in places]
    return dataclasses.replace(
        mine,
        items=[
            ReadTwice(dataclasses.replace(pair[0], item_id=name), pair[1], _joined(found))
            for pair, name, found in zip(pairs, names, spans, strict=True)
        ],
        lengths=mine.lengths[kept],
        collate=_with_teacher(mine.collate, theirs.collate, BridgeSides(vocabulary_bridge(*tokenizers))),
        left_out=tuple(examples[int(number)].item_id for number in mine.left_out),
    )


def _joined(found: Sequence[AlignedSpans]) -> AlignedSpans:
    empty = np.zeros((0, 2), dtype=np.int64)
    return AlignedSpans(
        student=np.concatenate([empty, *(one.student for one in found)]), teacher=np.concatenate([empty, *(one.teacher for one in found)])
    )


def _with_teacher(
    collate: TokenCollator, their_collate: TokenCollator, bridge: BridgeSides
) -> Callable[[Sequence[tuple[int, ReadTwice]]], dict[str, Any]]:
    def both(items: Sequence[tuple[int, ReadTwice]]) -> dict[str, Any]:
        # The teacher's reading goes with the item: rows are numbered anew where examples are held out.
        read, taught = as_read(items)
        batch, other = collate(read), their_collate(taught)
        found = [item.spans for _, item in items]
        batch["teacher"] = {
            "inputs": other["inputs"],
            "bridge": bridge,
            "student_tokens": _tokens([one.student for one in found], batch["inputs"]["input_ids"]),
            "teacher_tokens": _tokens([one.teacher for one in found], other["inputs"]["input_ids"]),
        }
        return batch

    return both


def _tokens(spans: Sequence[NDArray[np.int64]], ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Tokens of all spans of a batch, one after the other: where each is predicted, its id, its span, and each span's first."""
    rows = np.concatenate([np.full(len(table), row, dtype=np.int64) for row, table in enumerate(spans)])
    table = np.concatenate(spans)
    sizes = table[:, 1] - table[:, 0]
    span = np.repeat(np.arange(len(table)), sizes)
    starts = np.cumsum(sizes) - sizes
    place = np.arange(int(sizes.sum())) - np.repeat(starts, sizes) + np.repeat(table[:, 0], sizes)
    row = torch.from_numpy(rows[span])
    where = torch.from_numpy(place)
    return {"row": row, "place": where - 1, "ids": ids[row, where], "span": torch.from_numpy(span), "first": torch.from_numpy(starts)}
