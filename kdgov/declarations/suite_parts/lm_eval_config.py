"""The definition of a suite's lm-eval task as its files state it, read without lm-eval: the base of it and what the suite changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdgov.declarations.suite_parts.task_file import read_task_file
from kdgov.declarations.suite_parts.task_index import builtin_task_file

if TYPE_CHECKING:
    from kdgov.declarations.suite_parts.suite_task import TaskInSuite


def task_file_of(task: TaskInSuite, path: Path) -> Path | None:
    """The file that defines a task; None where the suite or a group defines it in place.

    Raises:
        InputError: if lm-eval has no task of that name.
    """
    if task.config is not None:
        return None
    if task.file is not None:
        return path.parent / task.file
    return builtin_task_file(task.lm_eval or task.task, where=f"{path}: tasks.{task.task}")


def stated_config(task: TaskInSuite, path: Path) -> dict[str, Any]:
    """Every key of a task's definition; functions are names.

    Raises:
        InputError: if there is no such task, or its file cannot be read.
    """
    file = task_file_of(task, path)
    base = dict(task.config or {}) if file is None else read_task_file(file, where=f"{path}: tasks.{task.task}")
    return {**base, **task.overrides}
