"""The classes a student answers over: its own, or its teacher's where it starts from a checkpoint that has no such head, or names none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdgov.checkpoints.class_names import are_named, names_of
from kdgov.checkpoints.fit.pair_fit import HEADED, lacks_head
from kdgov.checkpoints.identity import read_config
from kdgov.checkpoints.loading import Task
from kdgov.errors import InputError

_SAID = ("id2label", "label2id", "problem_type")
"""Keys of a configuration that say what a head answers."""
_TRAINS_HEAD = ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS")
"""Task types for which PEFT trains the head beside an adapter."""


def said_of_classes(task: Task, student: Path, teacher: Path | None) -> Mapping[str, Any]:
    """The configuration that says what the outputs are: the student's, or its teacher's where the student has no head or names no class."""
    own = read_config(student)
    if teacher is None or teacher == student or task not in HEADED:
        return own
    theirs = read_config(teacher)
    if lacks_head(task, student):
        return theirs
    names, taught = names_of(own), names_of(theirs)
    unnamed = not are_named(names) and are_named(taught) and len(names) == len(taught)
    return {**own, "id2label": theirs["id2label"]} if unnamed and isinstance(theirs.get("id2label"), Mapping) else own


def new_head(task: Task, student: Path, teacher: Any) -> dict[str, Any]:
    """What a checkpoint without a head is loaded with to get its teacher's; empty where it has one."""
    if teacher is None or not lacks_head(task, student):
        return {}
    config = teacher.config
    return {key: value for key in _SAID if (value := getattr(config, key, None)) is not None}


def refuse_resting_head(task: Task, checkpoint: Path, adapter: Mapping[str, Any] | None, *, four_bits: bool) -> None:
    """Nothing, unless a head that is new would never learn: an adapter leaves everything but itself as it is.

    Raises:
        InputError: if the head would stay random.
    """
    if adapter is None or not lacks_head(task, checkpoint):
        return
    if four_bits:
        told = f"has no head for {task}, and none is added to a base of four bits"
        raise InputError(told, where="student.model", mend="Name a checkpoint of that task, or remove `base:` from the adapter.")
    if not adapter.get("modules_to_save") and str(adapter.get("task_type")) not in _TRAINS_HEAD:
        told = f"{checkpoint.name} has no head for {task}, and an adapter leaves a new one random"
        mend = "Add `task_type: SEQ_CLS` (TOKEN_CLS, QUESTION_ANS) or `modules_to_save: [classifier]` to the adapter, by the head's name."
        raise InputError(told, where="student.adapter", mend=mend)


def named_as_taught(student: Any, teacher: Any, problem: str) -> None:
    """Write into a student's configuration what it learns to answer, where it says nothing: its teacher's names, and several labels."""
    inner = student.get_base_model() if hasattr(student, "get_base_model") else student
    mine, theirs = (names_of(one.config.to_dict()) for one in (inner, teacher))
    if len(mine) == len(theirs) and not are_named(mine) and are_named(theirs):
        inner.config.id2label = dict(enumerate(theirs))
        inner.config.label2id = {name: number for number, name in enumerate(theirs)}
    if inner.config.problem_type is None and problem == "multi_label":
        inner.config.problem_type = "multi_label_classification"
