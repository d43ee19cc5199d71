"""Teachers beside a release's own: identified, and held to the tokens (or classes) of the first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kdgov.checkpoints.identity import ModelIdentity, model_identity
from kdgov.checkpoints.loading import Task, freeze, load_model, task_of
from kdgov.checkpoints.tokenizer_mapping import KnownIds
from kdgov.declarations.distillation import Distillation
from kdgov.distillation.data.compared_ids import Vocabulary, vocabulary_of
from kdgov.distillation.data.examples import Example
from kdgov.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherTeacherAtHand:
    """One teacher beside the first."""

    path: Path
    """Its folder."""
    identity: ModelIdentity
    """What it is."""
    weight: float
    """Its weight; the first teacher's is 1."""


def further_at_hand(recipe: Distillation, task: Task, paths: Sequence[Path]) -> tuple[FurtherTeacherAtHand, ...]:
    """The recipe's further teachers, identified.

    Args:
        recipe: that names them.
        task: what all models do.
        paths: their folders, in the recipe's order.

    Raises:
        InputError: if one does something else.
    """
    found = []
    for one, path in zip(recipe.further_teachers, paths, strict=True):
        if recipe.task == "auto" and (other := task_of(path)) != task:
            where = "distillation.further_teachers"
            raise InputError(f"{one.model} is of the task {other}, the teacher of {task}", where=where, mend="Name a model of that task.")
        found.append(FurtherTeacherAtHand(path=path, identity=model_identity(path), weight=one.weight))
    return tuple(found)


def shared_by_all(
    vocabulary: Vocabulary,
    further: Sequence[FurtherTeacherAtHand],
    task: Task,
    recipe: Distillation,
    tokenizer_path: Path,
    examples: Sequence[Example],
) -> Vocabulary:
    """The vocabulary cut to the ids that mean one token to every teacher and to the student.

    Raises:
        InputError: if one of them maps text to other ids.
    """
    for one in further:
        other = vocabulary_of(task, recipe, tokenizer_path, one.path, one.identity, examples)
        differences = [*vocabulary.differences, *(f"{one.path.name}: {said}" for said in other.differences)]
        facts = {**vocabulary.facts, **({"differences": differences} if differences else {})}
        vocabulary = dataclasses.replace(vocabulary, facts=facts)
        if other.shared is not None:
            both = other.shared if vocabulary.shared is None else _common(vocabulary.shared, other.shared)
            vocabulary = dataclasses.replace(vocabulary, shared=both)
        if vocabulary.teacher is None or other.teacher is None:
            continue
        both = _common(vocabulary.teacher, other.teacher)
        vocabulary = dataclasses.replace(
            vocabulary, student=both, teacher=both, facts={**vocabulary.facts, "ids": both.count, "below": both.size}
        )
    return vocabulary


def _common(one: KnownIds, other: KnownIds) -> KnownIds:
    size = min(one.size, other.size)
    return KnownIds(size=size, holes=tuple(sorted(hole for hole in {*one.holes, *other.holes} if hole < size)))


def load_further(further: Sequence[FurtherTeacherAtHand], task: Task, *, dtype: torch.dtype | None) -> list[Any]:
    """Their models, frozen.

    Raises:
        InputError: if one cannot be loaded.
        UnavailableError: if memory runs out.
    """
    return [freeze(load_model(one.path, task, dtype=dtype)) for one in further]
