"""Examples and batches of classifiers: texts, pairs of texts, images, sounds; one class, several labels, or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from kdgov.checkpoints.media.media_files import read_image, read_sound, sound_length
from kdgov.checks.scan.media_items import opens
from kdgov.distillation.data.examples import Example, stretches
from kdgov.distillation.data.labelled.class_labels import Labels, label_of
from kdgov.distillation.data.sequence_pairs import padded, was_cut
from kdgov.errors import DeclarationError, Fault, InputError

_FAULTS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassExample:
    """One example of a classifier."""

    item_id: str
    """Its name in messages."""
    ids: NDArray[np.int32]
    """(time,) token ids of a text or a pair of texts; one nought for anything else."""
    types: NDArray[np.int32] | None
    """(time,) which text of a pair a token belongs to, where the model reads that."""
    file: str
    """Image or audio file; empty for a text."""
    label: int | tuple[float, ...]
    """Its class, or a probability per class; one number per output for several labels or scores. Noughts where only the teacher counts."""
    weight: float
    """Factor of its weight."""
    is_cut: bool = False
    """Whether only a beginning of its text is read."""
    lower: tuple[NDArray[np.int32], NDArray[np.int32] | None] | None = None
    """Ids and types of the same query with a passage that should score lower."""


def class_examples(
    examples: Sequence[Example], *, labels: Labels, needs_labels: bool, tokenizer: Any | None, max_length: int
) -> tuple[ClassExample, ...]:
    """Examples of a classifier; texts and pairs of texts as token ids.

    Raises:
        DeclarationError: naming every example whose label or file is missing or does not fit.
    """
    known: list[int | tuple[float, ...]] = []
    faults: list[Fault] = []
    for example in examples:
        label = label_of(example, labels, needed=needs_labels)
        fault = label if isinstance(label, Fault) else _fault(example, tokenizer is not None)
        if fault is not None:
            faults.append(fault)
        elif not isinstance(label, Fault):
            known.append(label)
    if faults:
        raise DeclarationError(_told_once(faults)[:_FAULTS_SHOWN])
    if labels.problem == "single_label" and any(isinstance(label, tuple) for label in known):
        # A class among probabilities is the certainty of that class.
        known = [label if isinstance(label, tuple) else tuple(float(n == label) for n in range(labels.count)) for label in known]
    ids: list[Any] = [[0]] * len(examples)
    types: list[Any] = [None] * len(examples)
    cut = [False] * len(examples)
    lower: dict[str, tuple[NDArray[np.int32], NDArray[np.int32] | None]] = {}
    if tokenizer is not None:
        ids, types, cut = _texts(examples, tokenizer, max_length)
        lower = _lower(examples, tokenizer, max_length)
    return tuple(
        ClassExample(
            item_id=example.item_id,
            ids=np.asarray(row, dtype=np.int32),
            types=None if kind is None else np.asarray(kind, dtype=np.int32),
            file=example.file,
            label=label,
            weight=example.weight,
            lower=lower.get(example.item_id),
            is_cut=is_cut,
        )
        for example, row, kind, label, is_cut in zip(examples, ids, types, known, cut, strict=True)
    )


def _texts(examples: Sequence[Example], tokenizer: Any, max_length: int) -> tuple[list[Any], list[Any], list[bool]]:
    """Ids and segment ids; pairs are encoded as pairs, so that the second text is part of what both models read."""
    options: dict[str, Any] = {"truncation": True, "max_length": max_length, "return_attention_mask": False}
    ids: list[Any] = [[]] * len(examples)
    types: list[Any] = [None] * len(examples)
    cut = [False] * len(examples)
    for is_pair in (False, True):
        for places in stretches([n for n, example in enumerate(examples) if bool(example.second) is is_pair]):
            first = [examples[n].prompt + examples[n].completion for n in places]
            made = tokenizer(first, [examples[n].second for n in places], **options) if is_pair else tokenizer(first, **options)
            for row, place in enumerate(places):
                cut[place] = was_cut(made, row)
                ids[place] = np.asarray(made["input_ids"][row], dtype=np.int32)
                types[place] = np.asarray(made["token_type_ids"][row], dtype=np.int32) if "token_type_ids" in made else None
    return ids, types, cut


def _lower(examples: Sequence[Example], tokenizer: Any, max_length: int) -> dict[str, tuple[NDArray[np.int32], NDArray[np.int32] | None]]:
    """Item → ids and types of its query with the passage that should score lower."""
    asked = [example for example in examples if example.third]
    if not asked:
        return {}
    made = tokenizer(
        [e.prompt for e in asked], [e.third for e in asked], truncation=True, max_length=max_length, return_attention_mask=False
    )
    types = made["token_type_ids"] if "token_type_ids" in made else [None] * len(asked)
    rows = zip(asked, made["input_ids"], types, strict=True)
    return {e.item_id: (np.asarray(i, dtype=np.int32), None if t is None else np.asarray(t, dtype=np.int32)) for e, i, t in rows}


def _fault(example: Example, is_text: bool) -> Fault | None:
    if is_text and not (example.prompt or example.completion):
        return Fault(file="data", key=example.item_id, what="has no text", mend="Write `text`.")
    if not is_text and example.second:
        return Fault(file="data", key=example.item_id, what="has a second text beside a file", mend="Remove it: the model reads files.")
    if not is_text and not Path(example.file).is_file():
        return Fault(file="data", key=example.item_id, what=f"names no existing file: {example.file!r}", mend="Correct its path.")
    if not is_text and not opens(Path(example.file)):
        mend = "Replace the file, or remove it."
        return Fault(file="data", key=example.item_id, what=f"names a file that cannot be opened: {example.file!r}", mend=mend)
    return None


def refuse_other_sounds(items: Sequence[ClassExample], rate: int) -> None:
    """Nothing, if every sound is what the model wants.

    Raises:
        DeclarationError: naming every one that is of another rate or width, or is cut short.
    """
    faults = []
    for item in items:
        try:
            sound_length(Path(item.file), rate)
        except InputError as error:
            faults.append(Fault(file="data", key=item.item_id, what=f"{item.file} {error.what}", mend=error.mend))
    if faults:
        raise DeclarationError(faults[:_FAULTS_SHOWN])


def _told_once(faults: Sequence[Fault]) -> list[Fault]:
    """Faults of many examples in one line: a class that the model does not know is one fault, however many files it has."""
    alike: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        alike.setdefault((fault.what, fault.mend), []).append(fault)
    return [replace(same[0], what=f"{what} (and {len(same) - 1:,} more)" if len(same) > 1 else what) for (what, _), same in alike.items()]


def _shared(items: Sequence[tuple[int, Any]]) -> dict[str, Any]:
    return {
        "labels": torch.tensor([example.label for _, example in items]),
        "weights": torch.tensor([example.weight for _, example in items]),
        "rows": torch.tensor([row for row, _ in items]),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class TextClassCollator:
    """Padded batches of texts with a class."""

    pad_id: int
    """Id behind shorter texts, hidden by the attention mask."""

    def __call__(self, items: Sequence[tuple[int, ClassExample]]) -> dict[str, Any]:
        """``inputs``, ``labels`` and ``weights`` (batch,), ``lengths``, ``rows``."""
        texts = [(example.ids, example.types) for _, example in items]
        lower = [example.lower for _, example in items if example.lower is not None]
        ids, lengths = padded([row for row, _ in (*texts, *lower)], self.pad_id)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        inputs = {"input_ids": ids, "attention_mask": mask}
        if all(kinds is not None for _, kinds in texts):
            inputs["token_type_ids"] = padded([kinds for _, kinds in (*texts, *lower) if kinds is not None], 0)[0]
        shared = _shared(items)
        if lower:
            # Preferred passages first, then the others in the same order; both share their example's weight.
            shared |= {
                "labels": shared["labels"].repeat(2, *[1] * (shared["labels"].dim() - 1)),
                "weights": shared["weights"].repeat(2) / 2,
            }
        return {"inputs": inputs, "lengths": lengths, **shared}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileClassCollator:
    """Batches of images or sounds with a class; files are read when their batch is made."""

    processor: Any
    """The teacher's image processor or feature extractor."""
    kind: Literal["image", "audio"]
    """What the files hold."""

    def __call__(self, items: Sequence[tuple[int, ClassExample]]) -> dict[str, Any]:
        """``inputs``, ``labels`` and ``weights`` (batch,), ``rows``."""
        if self.kind == "image":
            made = self.processor(images=[read_image(Path(example.file)) for _, example in items], return_tensors="pt")
        else:
            rate = int(self.processor.sampling_rate)
            # Whisper's encoder takes sounds of one length alone.
            padding = "max_length" if hasattr(self.processor, "n_samples") else True
            sounds = [read_sound(Path(example.file), rate) for _, example in items]
            made = self.processor(sounds, sampling_rate=rate, padding=padding, return_tensors="pt")
        return {"inputs": dict(made), **_shared(items)}
