"""Data made ready for one task: items, their lengths, and how batches are made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdgov.checkpoints.fit.padding import pad_id
from kdgov.checkpoints.identity import read_config
from kdgov.checkpoints.loading import Task, load_processor, load_tokenizer
from kdgov.checkpoints.media.sound_readers import blank_of, frames_of, listener
from kdgov.checkpoints.tokenizer_mapping import KnownIds, known_ids
from kdgov.declarations.distillation import Distillation, HardLabels, MarginError
from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.distillation.data.conversation import opened_when_asked
from kdgov.distillation.data.examples import Example, stretches
from kdgov.distillation.data.labelled.class_labels import Labels, Problem, labels_of
from kdgov.distillation.data.labelled.classification_data import (
    ClassExample,
    FileClassCollator,
    TextClassCollator,
    class_examples,
    refuse_other_sounds,
)
from kdgov.distillation.data.labelled.encoder_tasks import (
    EncoderCollator,
    MaskingCollator,
    ReaderCollator,
    masked_examples,
    reader_examples,
    token_examples,
)
from kdgov.distillation.data.sequence_pairs import PairCollator, pair_examples
from kdgov.distillation.data.spoken.transcribed_sounds import FrameCollator, SpokenCollator, sound_examples
from kdgov.distillation.data.tokenization import TokenCollator, tokenized
from kdgov.errors import InputError
from kdgov.quantities import quantity

Collate = Callable[[Sequence[tuple[int, Any]]], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What the trainer is fed from."""

    items: Sequence[Any]
    """Examples, each with an ``item_id``."""
    lengths: NDArray[np.int64]
    """(items,) tokens, for batches of similar length."""
    collate: Collate
    """Makes a batch of (row, item) pairs."""
    left_out: tuple[str, ...] = ()
    """Item ids that leave nothing to learn."""
    truncated: int = 0
    """How many were cut short."""
    pad_id: int = 0
    """Id put behind shorter examples."""
    end_id: int | None = None
    """Id that ends a text."""
    problem: Problem = "single_label"
    """What a classifier's outputs are."""
    notes: tuple[str, ...] = ()
    """What is unusual about the examples, in plain sentences."""
    known: KnownIds | None = None
    """Ids the tokenizer has a token for, where the outputs are distributions over tokens."""
    is_read_twice: bool = False
    """Whether the teacher has a reading of its own of every item."""


def prepare(
    task: Task, examples: Sequence[Example], model_path: Path, recipe: Distillation, *, classes: Mapping[str, Any] | None = None
) -> Prepared:
    """Examples for one task, with the tokenizer or processor of a model's folder.

    Args:
        task: what the models do.
        examples: the data.
        model_path: the folder.
        recipe: whose terms and lengths count.
        classes: the configuration that says what a head answers; absent: the folder's.

    Raises:
        InputError: if tokenizer or processor cannot be loaded, or examples do not fit the task.
    """
    match task:
        case "causal_lm":
            return _causal(examples, model_path, recipe)
        case "seq2seq_lm":
            return _pairs(examples, model_path, recipe)
        case "speech_to_text" | "ctc":
            return _spoken(task, examples, model_path, recipe)
        case "masked_lm" | "token_classification" | "question_answering":
            return _encoder(task, examples, model_path, recipe, classes or read_config(model_path))
        case _:
            return _classes(task, examples, model_path, recipe, classes or read_config(model_path))


def _causal(examples: Sequence[Example], model_path: Path, recipe: Distillation) -> Prepared:
    tokenizer = load_tokenizer(model_path)
    tokens = tokenized(examples, tokenizer, recipe)
    pad = pad_id(tokenizer)
    return Prepared(
        items=tokens.examples,
        lengths=np.array([len(example.ids) for example in tokens.examples], dtype=np.int64),
        collate=TokenCollator(pad_id=pad, by_example=recipe.weighting == "example"),
        left_out=tokens.left_out,
        truncated=tokens.truncated,
        pad_id=pad,
        end_id=tokenizer.eos_token_id,
        known=known_ids(tokenizer),
        notes=(*_asked_otherwise(examples, tokenizer), *_unwritten(((e.item_id, e.ids[e.counted]) for e in tokens.examples), tokenizer)),
    )


def _asked_otherwise(examples: Sequence[Example], tokenizer: Any) -> Iterator[str]:
    """A sentence where a conversation is asked otherwise than it is learnt; the first one speaks for all."""
    first = next((example for example in examples if example.messages), None)
    if first is not None and (opened := opened_when_asked(first, tokenizer)):
        yield (
            f"the chat template writes {opened!r} before an answer that is asked for, and not before the one that is learnt (example "
            f"{first.item_id}): the student is trained on another beginning than it will be asked with"
        )


def _pairs(examples: Sequence[Example], model_path: Path, recipe: Distillation) -> Prepared:
    tokenizer = load_tokenizer(model_path)
    items = [item for stretch in stretches(examples) for item in pair_examples(stretch, tokenizer, recipe.max_length)]
    pad = pad_id(tokenizer)
    return Prepared(
        items=_some(items),
        lengths=np.array([len(item.ids) + len(item.target) for item in items], dtype=np.int64),
        collate=PairCollator(pad_id=pad, start_id=_start_id(model_path, pad), by_example=recipe.weighting == "example"),
        left_out=_left_out(examples, items),
        truncated=sum(item.is_cut for item in items),
        notes=tuple(_unwritten(((item.item_id, item.target) for item in items), tokenizer)),
    )


def _start_id(path: Path, pad: int) -> int:
    """Id that the decoder of a folder's model starts from."""
    start = read_config(path).get("decoder_start_token_id")
    return pad if start is None else int(start)


def begun_by_teacher(prepared: Prepared, teacher_path: Path | None) -> Prepared:
    """The same, with the teacher's decoder started as the teacher was trained to start; anything but pairs as it is."""
    if teacher_path is None or not isinstance(prepared.collate, PairCollator):
        return prepared
    start = _start_id(teacher_path, prepared.collate.pad_id)
    return replace(prepared, collate=replace(prepared.collate, teacher_start=start))


def _unwritten(learnt: Iterable[tuple[str, NDArray[np.int32]]], tokenizer: Any) -> Iterator[str]:
    """A sentence where examples teach what the tokenizer has no token for (T5: braces): the student learns to write that mark."""
    unknown = tokenizer.unk_token_id
    # Where one token has both tasks, its mark cannot be told from an end of text (GPT-2).
    if unknown is None or unknown == tokenizer.eos_token_id:
        return
    if found := [name for name, ids in learnt if unknown in ids]:
        yield (
            f"the tokenizer has no token for a part of what is taught by {quantity(len(found), 'example')} (the first: {found[0]}): the "
            f"student learns to write {tokenizer.unk_token} there"
        )


def _spoken(task: Task, examples: Sequence[Example], model_path: Path, recipe: Distillation) -> Prepared:
    reader = listener(model_path, task, language=recipe.language)
    frames = frames_of(model_path) if task == "ctc" else None
    learns_text = any(isinstance(term, HardLabels | TeacherText) for term in recipe.terms)
    needs_text = task == "speech_to_text" or learns_text
    items = list(sound_examples(examples, reader, needs_text=needs_text, max_length=recipe.max_length, frames=frames))
    pad, by_example = pad_id(reader.tokenizer), recipe.weighting == "example"
    collate: Collate = SpokenCollator(reader=reader, pad_id=pad, by_example=by_example)
    if task == "ctc":
        collate = FrameCollator(reader=reader, blank_id=blank_of(model_path, reader.tokenizer), by_example=by_example)
    return Prepared(
        items=_some(items),
        lengths=np.array([item.frames or len(item.ids) for item in items], dtype=np.int64),
        collate=collate,
        left_out=_left_out(examples, items),
        pad_id=pad,
        known=known_ids(reader.tokenizer) if task == "speech_to_text" else None,
    )


def _some(items: list[Any]) -> list[Any]:
    if not items:
        raise InputError("no example leaves a token to learn", where="data", mend="Raise `max_length`, or look at the data.")
    return items


def _left_out(examples: Sequence[Example], kept: Sequence[Any]) -> tuple[str, ...]:
    named = {item.item_id for item in kept}
    return tuple(example.item_id for example in examples if example.item_id not in named)


def _encoder(task: Task, examples: Sequence[Example], model_path: Path, recipe: Distillation, classes: Mapping[str, Any]) -> Prepared:
    tokenizer = load_tokenizer(model_path)
    needs_labels = any(isinstance(term, HardLabels) for term in recipe.terms)
    pad, by_example, longest = pad_id(tokenizer), recipe.weighting == "example", recipe.max_length
    collate: Collate
    if task == "masked_lm":
        items = [item for stretch in stretches(examples) for item in masked_examples(stretch, tokenizer, longest)]
        collate = MaskingCollator(
            pad_id=pad, mask_id=tokenizer.mask_token_id, tokens=len(tokenizer), seed=recipe.seed, by_example=by_example
        )
    elif task == "token_classification":
        labels = labels_of(classes, examples)
        made = (token_examples(part, tokenizer, labels, needs_labels=needs_labels, max_length=longest) for part in stretches(examples))
        items = [item for part in made for item in part]
        collate = EncoderCollator(pad_id=pad, by_example=by_example)
    else:
        made = (reader_examples(part, tokenizer, needs_labels=needs_labels, max_length=longest) for part in stretches(examples))
        items = [item for part in made for item in part]
        collate = ReaderCollator(pad_id=pad)
    kept = _some([item for item in items if item.asked.any()])
    return Prepared(
        items=kept,
        lengths=np.array([len(item.ids) for item in kept], dtype=np.int64),
        collate=collate,
        left_out=_left_out(examples, kept),
        truncated=sum(item.is_cut for item in kept),
        pad_id=pad,
    )


def _classes(task: Task, examples: Sequence[Example], model_path: Path, recipe: Distillation, classes: Mapping[str, Any]) -> Prepared:
    is_text = task in ("text_classification", "embedding")
    tokenizer = load_tokenizer(model_path) if is_text else None
    labels = labels_of(classes, examples)
    items = class_examples(
        examples,
        labels=labels,
        needs_labels=any(isinstance(term, HardLabels) for term in recipe.terms),
        tokenizer=tokenizer,
        max_length=recipe.max_length,
    )
    _refuse_triples_or_none(task, items, labels, any(isinstance(term, MarginError) for term in recipe.terms))
    pad = pad_id(tokenizer) if is_text else 0
    collate: Collate = TextClassCollator(pad_id=pad) if is_text else file_collator(task, model_path)
    if isinstance(collate, FileClassCollator) and collate.kind == "audio":
        refuse_other_sounds(items, int(collate.processor.sampling_rate))
    lengths = np.array([len(item.ids) for item in items], dtype=np.int64)
    cut = sum(item.is_cut for item in items)
    return Prepared(items=items, lengths=lengths, collate=collate, problem=labels.problem, truncated=cut, pad_id=pad)


def _refuse_triples_or_none(task: Task, items: Sequence[ClassExample], labels: Labels, wants_margins: bool) -> None:
    if wants_margins and (task != "text_classification" or labels.count != 1):
        raise InputError("compares one score per pair", where="distillation.terms: margin_mse", mend="Use a reranker with one output.")
    wrong = [item.item_id for item in items if (item.lower is not None) is not wants_margins]
    if wrong:
        said = (
            "has no `query`, `positive` and `negative`, which margin_mse needs"
            if wants_margins
            else "has a `negative`, which no term reads"
        )
        raise InputError(f"example {wrong[0]} {said}", where="data", mend="Use `kind: margin_mse` with such lines, and with no others.")


def file_collator(task: Task, model_path: Path) -> FileClassCollator:
    """What makes batches of images or sounds for the model of a folder."""
    is_image = task == "image_classification"
    processor = load_processor(model_path, task)
    return FileClassCollator(processor=processor, kind="image" if is_image else "audio")
