"""Examples and batches of classifiers (text, images, audio) and of sequence-to-sequence models."""

from __future__ import annotations

import importlib
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdgov.distillation.data.examples import Example
from kdgov.errors import DeclarationError, Fault, InputError

_FAULTS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassExample:
    """One example of a classifier."""

    item_id: str
    """Its name in messages."""
    ids: NDArray[np.int32]
    """(time,) token ids of a text; one nought for anything else."""
    file: str
    """Image or audio file; empty for a text."""
    label: int
    """Its class; 0 where only the teacher's word counts."""
    weight: float
    """Factor of its weight."""


def class_examples(
    examples: Sequence[Example], *, classes: int, needs_labels: bool, tokenizer: Any | None, max_length: int
) -> tuple[ClassExample, ...]:
    """Examples of a classifier; texts as token ids.

    Raises:
        DeclarationError: naming every example whose label or file is missing.
    """
    faults = [fault for example in examples if (fault := _fault(example, classes, needs_labels, tokenizer is not None)) is not None]
    if faults:
        raise DeclarationError(faults[:_FAULTS_SHOWN])
    ids: list[list[int]] = [[0]] * len(examples)
    if tokenizer is not None:
        texts = [example.prompt + example.completion for example in examples]
        ids = tokenizer(texts, truncation=True, max_length=max_length, return_attention_mask=False)["input_ids"]
    return tuple(
        ClassExample(
            item_id=example.item_id,
            ids=np.asarray(row, dtype=np.int32),
            file=example.file,
            label=max(0, example.label),
            weight=example.weight,
        )
        for example, row in zip(examples, ids, strict=True)
    )


def _fault(example: Example, classes: int, needs_labels: bool, is_text: bool) -> Fault | None:
    if needs_labels and not 0 <= example.label < classes:
        what = "has no label" if example.label < 0 else f"has label {example.label}"
        mend = f"Write `label` from 0 to {classes - 1}, or leave out the hard_labels term."
        return Fault(file="data", key=example.item_id, what=what, mend=mend)
    if is_text and not (example.prompt or example.completion):
        return Fault(file="data", key=example.item_id, what="has no text", mend="Write `text`.")
    if not is_text and not Path(example.file).is_file():
        return Fault(file="data", key=example.item_id, what=f"names no existing file: {example.file!r}", mend="Correct its path.")
    return None


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
        ids, lengths = _padded([example.ids for _, example in items], self.pad_id)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        return {"inputs": {"input_ids": ids, "attention_mask": mask}, "lengths": lengths, **_shared(items)}


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
            made = self.processor(images=[_image(example) for _, example in items], return_tensors="pt")
        else:
            rate = int(self.processor.sampling_rate)
            made = self.processor([_sound(example, rate) for _, example in items], sampling_rate=rate, padding=True, return_tensors="pt")
        return {"inputs": dict(made), **_shared(items)}


def _image(example: ClassExample) -> Any:
    image = importlib.import_module("PIL.Image")
    try:
        with image.open(example.file) as opened:
            return opened.convert("RGB")
    except OSError as error:
        raise InputError(f"cannot be read as an image: {error}", where=example.file, mend="Replace the file or remove its line.") from error


def _sound(example: ClassExample, rate: int) -> NDArray[np.float32]:
    """(samples,) in -1 … 1, channels averaged."""
    try:
        with wave.open(example.file, "rb") as opened:
            found, width, channels = opened.getframerate(), opened.getsampwidth(), opened.getnchannels()
            frames = opened.readframes(opened.getnframes())
    except (OSError, wave.Error, EOFError) as error:
        raise InputError(f"cannot be read as WAV: {error}", where=example.file, mend="Save it as 16-bit PCM WAV.") from error
    if width != 2 or found != rate:
        raise InputError(
            f"holds {8 * width}-bit sound at {found} Hz; the model wants 16-bit PCM at {rate} Hz",
            where=example.file,
            mend="Convert the file, for example with ffmpeg -ar.",
        )
    samples = np.frombuffer(frames, dtype="<i2").astype(np.float32) / 32768
    mono: NDArray[np.float32] = samples.reshape(-1, channels).mean(axis=1)
    return mono


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


def pair_examples(examples: Sequence[Example], tokenizer: Any, max_length: int) -> tuple[PairExample, ...]:
    """Prompts and completions for encoder and decoder.

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
    options: dict[str, Any] = {"truncation": True, "max_length": max_length, "return_attention_mask": False}
    read = tokenizer([e.prompt for e in examples], **options)["input_ids"]
    written = tokenizer(text_target=[e.completion for e in examples], **options)["input_ids"]
    end = tokenizer.eos_token_id
    written = [ids if end is None or (ids and ids[-1] == end) else [*ids[: max_length - 1], end] for ids in written]
    return tuple(
        PairExample(item_id=e.item_id, ids=np.asarray(a, dtype=np.int32), target=np.asarray(b, dtype=np.int32), weight=e.weight)
        for e, a, b in zip(examples, read, written, strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCollator:
    """Padded batches for encoder and decoder."""

    pad_id: int
    """Id behind shorter sequences."""
    start_id: int
    """Id the decoder starts from."""
    by_example: bool
    """Whether every example weighs the same however long."""

    def __call__(self, items: Sequence[tuple[int, PairExample]]) -> dict[str, Any]:
        """``inputs``, ``labels`` and ``weights`` (batch, time of the decoder), its ``lengths``, ``rows``."""
        ids, lengths = _padded([example.ids for _, example in items], self.pad_id)
        labels, ends = _padded([example.target for _, example in items], self.pad_id)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        decoder = labels.roll(1, dims=1)
        decoder[:, 0] = self.start_id
        weights = (torch.arange(labels.shape[1]) < ends[:, None]).float() * torch.tensor([e.weight for _, e in items])[:, None]
        if self.by_example:
            weights = weights / ends[:, None]
        return {
            "inputs": {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": decoder},
            "labels": labels,
            "weights": weights,
            "lengths": ends,
            "rows": torch.tensor([row for row, _ in items]),
        }


def _padded(rows: Sequence[NDArray[np.int32]], pad_id: int) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.full((len(rows), int(lengths.max())), pad_id, dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.from_numpy(row)
    return ids, lengths
