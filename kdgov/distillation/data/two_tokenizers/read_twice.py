"""Examples that teacher and student read each in their own way, with its own tokenizer or image processor; only answers are compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdgov.checkpoints.loading import Task
from kdgov.checkpoints.tasks import FEATURES
from kdgov.declarations.distillation import Distillation, HardLabels
from kdgov.distillation.data.collation import Prepared, file_collator, prepare
from kdgov.distillation.data.examples import Example
from kdgov.distillation.data.labelled.classification_data import ClassExample, FileClassCollator, refuse_other_sounds
from kdgov.distillation.data.labelled.encoder_tasks import EncoderExample
from kdgov.distillation.loop.senses_fit import has_same_processor
from kdgov.distillation.starts.class_heads import said_of_classes

APART = ("text_classification", "token_classification", "embedding", "image_classification", "audio_classification")
"""Tasks whose answers are about a whole text, a word or a file, and so mean the same however the models cut it up."""
OWN_READING = "each model reads with its own tokenizer or processor: answers are compared, and no tokens"


@dataclass(frozen=True)
class ReadTwice:
    """An example as the student reads it, with what its teacher makes of the same; everything else is asked of the student's reading."""

    own: Any
    """The student's reading."""
    theirs: Any
    """The teacher's."""
    spans: Any = None
    """Where the two end alike, if that is compared."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.own, name)


def as_read(items: Sequence[tuple[int, ReadTwice]]) -> tuple[list[tuple[int, Any]], list[tuple[int, Any]]]:
    """Numbered readings of the student, and of the teacher."""
    return [(row, item.own) for row, item in items], [(row, item.theirs) for row, item in items]


def read_twice(
    task: Task, examples: Sequence[Example], mine: Prepared, student_path: Path, teacher_path: Path | None, recipe: Distillation
) -> Prepared | None:
    """The examples with the teacher's own reading under ``teacher`` of every batch; None where both read alike, or layers are compared.

    Args:
        task: what both do.
        examples: the run's data.
        mine: them as the student reads them.
        student_path: folder of the student's tokenizer or processor.
        teacher_path: folder of the teacher; None for an endpoint.
        recipe: whose terms say what is compared.

    Raises:
        InputError: if the teacher cannot read them.
    """
    kinds = {term.kind for term in recipe.terms}
    if teacher_path is None or teacher_path == student_path or task not in APART or kinds & FEATURES or kinds <= {"hard_labels"}:
        return None
    if isinstance(mine.collate, FileClassCollator):
        return _files(task, mine, mine.collate, student_path, teacher_path)
    # Labels are the student's affair. By place, not by name: two examples may have one name.
    bare = [dataclasses.replace(one, item_id=str(n), label=None, tags=()) for n, one in enumerate(examples)]
    soft = recipe.model_copy(update={"terms": [term for term in recipe.terms if not isinstance(term, HardLabels)]})
    theirs = prepare(task, bare, teacher_path, soft)
    if len(theirs.items) == len(mine.items) == len(examples):
        pairs = list(zip(mine.items, theirs.items, strict=True))
    else:
        numbered = [dataclasses.replace(one, item_id=str(n)) for n, one in enumerate(examples)]
        other = {item.item_id: item for item in theirs.items}
        again = prepare(task, numbered, student_path, recipe, classes=said_of_classes(task, student_path, teacher_path))
        own = [item for item in again.items if item.item_id in other]
        pairs = [(dataclasses.replace(item, item_id=examples[int(item.item_id)].item_id), other[item.item_id]) for item in own]
    if _pad(mine.collate) == _pad(theirs.collate) and all(_are_alike(a, b) for a, b in pairs) and len(pairs) == len(mine.items):
        return None
    items = [ReadTwice(*_same_words(a, b)) for a, b in pairs]
    items = [item for item in items if not isinstance(item.own, EncoderExample) or item.own.asked.any()]
    return _with(mine, items, mine.collate, theirs.collate)


def _files(task: Task, mine: Prepared, collate: FileClassCollator, student_path: Path, teacher_path: Path) -> Prepared | None:
    if has_same_processor(student_path, teacher_path):
        return None
    theirs = file_collator(task, teacher_path)
    if theirs.kind == "audio":
        refuse_other_sounds(mine.items, int(theirs.processor.sampling_rate))
    return _with(mine, [ReadTwice(item, item) for item in mine.items], collate, theirs)


def _with(mine: Prepared, items: Sequence[ReadTwice], own: Callable[..., Any], theirs: Callable[..., Any]) -> Prepared:
    def both(numbered: Sequence[tuple[int, ReadTwice]]) -> dict[str, Any]:
        read, taught = as_read(numbered)
        other = theirs(taught)
        return {**own(read), "teacher": {"inputs": other["inputs"], "weights": other["weights"]}}

    lengths = mine.lengths if len(items) == len(mine.items) else np.array([len(item.ids) for item in items], dtype=np.int64)
    named = {item.item_id for item in items}
    lost = tuple(item.item_id for item in mine.items if item.item_id not in named)
    return dataclasses.replace(
        mine,
        items=items,
        lengths=lengths,
        collate=both,
        left_out=(*mine.left_out, *lost),
        notes=(*mine.notes, OWN_READING),
        is_read_twice=True,
    )


def _pad(collate: Any) -> int | None:
    return getattr(collate, "pad_id", None)


def _are_alike(a: ClassExample | EncoderExample, b: ClassExample | EncoderExample) -> bool:
    pairs = [(a.ids, b.ids), (a.types, b.types)]
    if isinstance(a, ClassExample) and isinstance(b, ClassExample):
        pairs += list(zip(a.lower or (None, None), b.lower or (None, None), strict=True))
    elif isinstance(a, EncoderExample) and isinstance(b, EncoderExample):
        pairs.append((a.words, b.words))
    return all(x is y or (x is not None and y is not None and np.array_equal(x, y)) for x, y in pairs)


def _same_words(a: Any, b: Any) -> tuple[Any, Any]:
    """Both readings with the words alone that both have a token of: one may be cut earlier, or drop a mark."""
    if not (isinstance(a, EncoderExample) and isinstance(b, EncoderExample)) or a.words is None or b.words is None:
        return a, b
    shared = np.intersect1d(a.words[a.asked], b.words[b.asked])
    own = dataclasses.replace(a, asked=a.asked & np.isin(a.words, shared))
    return own, dataclasses.replace(b, asked=b.asked & np.isin(b.words, shared))
