"""Whether the models of a release can be compared, as far as their configurations say, before any is loaded; no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from kdgov.checkpoints.class_names import ORDER_MEND, first_difference, names_of, order_fault
from kdgov.checkpoints.identity import read_config
from kdgov.checkpoints.tasks import Task, refuse_adapter, task_of
from kdgov.checkpoints.text_pooling import pooling_of
from kdgov.declarations.release import Release
from kdgov.errors import InputError

Problem = Literal["single_label", "multi_label", "regression"]
"""What a classifier's outputs are: one class of several, any of several labels, or numbers."""
PROBLEMS: Mapping[str, Problem] = {
    "regression": "regression",
    "multi_label_classification": "multi_label",
    "single_label_classification": "single_label",
}
"""`problem_type` of a configuration → what it says."""
ANSWERS: Mapping[Problem, str] = {"single_label": "one class of several", "multi_label": "any of several labels", "regression": "numbers"}
"""The same in words."""
HEADED = ("text_classification", "token_classification", "question_answering", "image_classification", "audio_classification")
"""Tasks whose models have a small output layer on top, which can be replaced by a new one."""
_OVER_CLASSES = tuple(task for task in HEADED if task != "question_answering")


def lacks_head(task: Task, checkpoint: Path) -> bool:
    """Whether a checkpoint is the body of another task's model, such as a masked language model that is to tell classes."""
    if task not in HEADED:
        return False
    try:
        return task_of(checkpoint) != task
    except InputError:
        # A class that says nothing of a task (BertForPreTraining) has no head for this one either.
        return True


def refuse_other_classes(teacher: Mapping[str, Any], student: Mapping[str, Any], *, where: str = "student") -> None:
    """Nothing, if two configurations say that the outputs can be compared by number.

    Raises:
        InputError: if there are more on one side, they are of another kind, or a name that both have stands in another place.
    """
    theirs, mine = names_of(teacher), names_of(student)
    if len(theirs) != len(mine):
        raise InputError(
            f"the teacher answers over {len(theirs)} classes, the student over {len(mine)}",
            where=where,
            mend="Give the student's configuration the teacher's num_labels.",
        )
    kinds = [PROBLEMS.get(str(one.get("problem_type"))) for one in (teacher, student)]
    if kinds[0] is not None and kinds[1] is not None and kinds[0] != kinds[1]:
        told = f"the teacher answers {ANSWERS[kinds[0]]}, the student {ANSWERS[kinds[1]]}"
        raise InputError(told, where=where, mend="Set `problem_type` in the config.json of both models to what their outputs are.")
    if (number := first_difference(theirs, mine)) is not None and order_fault(theirs, mine):
        told = f"class {number} is {theirs[number]!r} to the teacher and {mine[number]!r} to the student: outputs are compared by number"
        raise InputError(told, where=where, mend=ORDER_MEND)


def refuse_unfit_pairs(release: Release, path_of: Callable[[str], Path]) -> None:
    """Refuse a release whose student cannot be compared with its teacher, as far as their files say.

    A model that is not on this machine (of the Hub, at an endpoint) is checked when training starts.

    Raises:
        InputError: naming what does not fit.
    """
    named = release.teacher.model
    if named is None or release.distillation is None:
        return
    refuse_adapter(teacher := path_of(named))
    if not (teacher / "config.json").is_file():
        return
    task: Task = task_of(teacher) if release.distillation.task == "auto" else release.distillation.task
    starts = [(key, path_of(name)) for key, name in _starts(release)]
    for _, folder in starts:
        if folder.is_dir():
            refuse_adapter(folder)
    if task == "embedding":
        for folder in (teacher, *(folder for key, folder in starts if key.endswith("model") and folder.is_dir())):
            pooling_of(folder)
    if task not in _OVER_CLASSES:
        return
    beside = release.distillation.further_teachers
    further = [(f"distillation.further_teachers: {one.model}", path_of(one.model)) for one in beside]
    for where, path in (*starts, *further):
        if (config := _said_of_classes(task, path)) is not None:
            refuse_other_classes(read_config(teacher), config, where=where)


def _starts(release: Release) -> Iterator[tuple[str, str]]:
    """Keys and paths of the checkpoints and configurations that a student of the release starts from."""
    stages = [(f"stages[{number}].student", stage.student) for number, stage in enumerate(release.stages)]
    named: Sequence[tuple[str, Any]] = (("student", release.student), *stages)
    for key, start in named:
        for kind in ("model", "config"):
            if start is not None and (name := getattr(start, kind)) is not None:
                yield f"{key}.{kind}", name


def _said_of_classes(task: Task, path: Path) -> Mapping[str, Any] | None:
    """The configuration of a checkpoint with a head, or of a file; None where it is not at hand, or the head will be made anew."""
    if path.is_file():
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return said if isinstance(said, Mapping) else None
    return read_config(path) if (path / "config.json").is_file() and not lacks_head(task, path) else None
