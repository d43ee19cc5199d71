"""Examples as the student will see them, before any compute: what it is shown, and what of it is learnt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdgov.checkpoints.loading import Task, load_tokenizer, task_of
from kdgov.checkpoints.media.sound_readers import listener
from kdgov.checkpoints.tasks import OF_FILES, SPEECH
from kdgov.declarations.data_parts.data_use import DataUse
from kdgov.declarations.distillation import Distillation
from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.distillation.data.collation import prepare
from kdgov.distillation.data.examples import read_data
from kdgov.distillation.data.labelled.class_labels import Labels, labels_of
from kdgov.distillation.data.unread_content import fitting
from kdgov.distillation.starts.class_heads import said_of_classes
from kdgov.quantities import quantity

LEARNT, SHOWN = "learnt", "shown"
Pieces = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownExample:
    """One example, in pieces."""

    item_id: str
    """Its name."""
    pieces: Pieces
    """(``learnt`` or ``shown``, text) in order; together the whole as the model sees it, and what is learnt of it."""
    said: str
    """What is learnt of it, in words."""
    tokens: int = 0
    """Tokens of the whole; 0 for a file."""
    learnt: int = 0
    """Tokens that count; 0 where a label or an embedding is learnt."""


def shown_examples(
    recipe: Distillation,
    model_path: Path,
    data_files: Sequence[Path],
    count: int,
    *,
    uses: Sequence[DataUse] = (),
    teacher_path: Path | None = None,
) -> list[ShownExample]:
    """The first examples of the data as they are trained on.

    Args:
        recipe: for the task, ``loss_on`` and ``max_length``.
        model_path: folder of the model that the student starts from, or of the teacher where it starts from that.
        data_files: files to learn from.
        count: how many to show.
        uses: weight and columns per file; empty: as they are.
        teacher_path: folder of the teacher, whose task it is, and whose classes where the student has none of its own.

    Raises:
        InputError: if a file, an example or the tokenizer is at fault.
    """
    task: Task = task_of(teacher_path or model_path) if recipe.task == "auto" else recipe.task
    written = any(isinstance(term, TeacherText) for term in recipe.terms)
    # As the run reads them: a prompt stands alone only where the teacher is going to answer it.
    with_prompts = any(isinstance(term, TeacherText) and term.prompts is None for term in recipe.terms)
    read = fitting(task, read_data(data_files, as_prompts=with_prompts, uses=uses), answered=with_prompts)
    # A sound without a transcript is as a prompt: the teacher has not written to it yet.
    awaits = [one.awaits_answer or (task in SPEECH and written and not one.completion) for one in read.examples]
    examples = [example for example, waits in zip(read.examples, awaits, strict=True) if not waits][:count]
    if not examples:
        return []
    classes = said_of_classes(task, model_path, teacher_path)
    made = prepare(task, examples, model_path, recipe, classes=classes)
    if task in SPEECH:
        prefix = listener(model_path, task, language=recipe.language).prefix
        return [_spoken(item, len(prefix), load_tokenizer(model_path), task) for item in made.items]
    if task in OF_FILES:
        labels = labels_of(classes, examples)
        return [_with_label(item, item.file, labels) for item in made.items]
    tokenizer = load_tokenizer(model_path)
    if task == "text_classification":
        labels = labels_of(classes, examples)
        return [_with_label(item, _text(tokenizer, item.ids), labels) for item in made.items]
    return [_shown(task, item, tokenizer) for item in made.items]


def _spoken(item: Any, told: int, tokenizer: Any, task: Task) -> ShownExample:
    """A sound: what the decoder is told first is shown, what it is to write is learnt."""
    joined = {"group_tokens": False} if task == "ctc" else {}
    first, then = ((str(tokenizer.decode(part.tolist(), **joined))) for part in (item.ids[:told], item.ids[told:]))
    learnt = len(item.ids) - told
    said = f"{quantity(learnt, 'token')} {'that label its frames' if task == 'ctc' else 'that the decoder writes'} are learnt"
    pieces = ((SHOWN, f"{item.file} {first}"), (LEARNT, then))
    return ShownExample(item_id=item.item_id, pieces=pieces, said=said, tokens=len(item.ids), learnt=learnt)


def _with_label(item: Any, shown: str, labels: Labels) -> ShownExample:
    if isinstance(item.label, int):
        wanted = labels.names[item.label]
    else:
        wanted = ", ".join(f"{name} {value:g}" for name, value in zip(labels.names, item.label, strict=True))
    said, tokens = "its label is learnt, where a term learns labels", 0 if item.file else len(item.ids)
    return ShownExample(item_id=item.item_id, pieces=((SHOWN, f"{shown} "), (LEARNT, wanted)), said=said, tokens=tokens)


def _shown(task: Task, item: Any, tokenizer: Any) -> ShownExample:
    name, tokens, places = item.item_id, len(item.ids), np.arange(len(item.ids))
    if task == "seq2seq_lm":
        pieces: Pieces = ((SHOWN, f"{_text(tokenizer, item.ids)} "), (LEARNT, _text(tokenizer, item.target)))
        learnt = len(item.target)
        said = f"{quantity(learnt, 'token')} that the decoder writes are learnt"
        return ShownExample(item_id=name, pieces=pieces, said=said, tokens=tokens + learnt, learnt=learnt)
    if task == "embedding":
        said = "the embedding of the whole text is learnt"
        return ShownExample(item_id=name, pieces=((LEARNT, _text(tokenizer, item.ids)),), said=said, tokens=tokens)
    if task == "question_answering":
        counted, said = (places >= item.labels[0]) & (places <= item.labels[1]), "the answer's first and last token are learnt"
    else:
        counted = item.counted if task == "causal_lm" else item.asked
        wanted = {"masked_lm": "may be hidden, and are learnt where they are", "token_classification": "have a class that is learnt"}
        said = f"{int(counted.sum())} of {quantity(tokens, 'token')} {wanted.get(task, 'are learnt')}"
    pieces = tuple(_runs(item.ids, counted, tokenizer))
    return ShownExample(item_id=name, pieces=pieces, said=said, tokens=tokens, learnt=int(counted.sum()))


def _runs(ids: NDArray[np.int32], counted: NDArray[np.bool_], tokenizer: Any) -> Iterator[tuple[str, str]]:
    runs: list[tuple[str, list[int]]] = []
    for token, is_counted in zip(ids.tolist(), counted.tolist(), strict=True):
        kind = LEARNT if is_counted else SHOWN
        if not runs or runs[-1][0] != kind:
            runs.append((kind, []))
        runs[-1][1].append(token)
    return ((kind, str(tokenizer.decode(run))) for kind, run in runs)


def _text(tokenizer: Any, ids: NDArray[np.int32]) -> str:
    return str(tokenizer.decode(ids.tolist()))
