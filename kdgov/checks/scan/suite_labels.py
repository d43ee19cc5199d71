"""Labels of classification suites: each a class of both models, and the same class to both, before anything is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kdgov.checkpoints.class_names import ORDER_MEND, ClassNames, first_difference, is_numbered, label_fault, order_fault, positive_fault
from kdgov.checks.cards.release_inputs import SuiteFile
from kdgov.checks.scan.suite_items import item_rows
from kdgov.declarations.data_parts.feature_names import classes_in
from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.errors import Fault
from kdgov.hub.suite_data_path import data_path


def label_faults(suites: Sequence[SuiteFile], models: Mapping[str, ClassNames]) -> list[Fault]:
    """What is wrong with the labels of the suites.

    Args:
        suites: the suites; tasks whose items are not at hand are left to the evaluation, which refuses the same.
        models: role → its classes, where they are known.
    """
    tasks = [(file, task) for file in suites for task in file.suite.tasks if task.kind == "classification"]
    return [fault for file, task in tasks for fault in _task_faults(file, task, models)] if models else []


def order_faults(teacher: ClassNames, student: ClassNames, *, file: str) -> list[Fault]:
    """What is wrong with a student that starts from a checkpoint whose classes stand in another order than the teacher's."""
    number = first_difference(teacher, student)
    if number is None or not order_fault(teacher, student):
        return []
    what = f"class {number} is {student[number]!r}, and {teacher[number]!r} to the teacher: outputs are compared by number"
    return [Fault(file=file, key="student.model", what=what, mend=ORDER_MEND)]


def _task_faults(file: SuiteFile, task: TaskInSuite, models: Mapping[str, ClassNames]) -> Iterator[Fault]:
    key = f"tasks.{task.task}"
    rows = [(name, row.get(task.label or "label")) for name, row, _ in item_rows(task, file.path)]
    labels = [(name, str(label)) for name, label in rows if label is not None]
    for role, names in models.items():
        if (told := label_fault(labels, names, whose=f"the {role}")) is not None:
            yield Fault(file=str(file.path), key=key, what=told[0], mend=told[1])
    positive = str(task.options.get("positive", "1"))
    if (told := positive_fault((label for _, label in labels), positive, (metric.metric for metric in task.metrics))) is not None:
        yield Fault(file=str(file.path), key=key, what=told[0], mend=told[1])
    numbered = next((label for _, label in labels if is_numbered(label)), None)
    if numbered is not None:
        yield from _of_another_order(file, task, models)
    both = [models[role] for role in ("teacher", "student") if role in models]
    if numbered is not None and len(both) == 2 and (number := first_difference(*both)) is not None:
        said = f"{number} is {both[0][number]!r} to the teacher and {both[1][number]!r} to the student"
        what = f"labels are numbers, such as {numbered!r}, and {said}"
        yield Fault(file=str(file.path), key=key, what=what, mend="Write the labels by name.")


def _of_another_order(file: SuiteFile, task: TaskInSuite, models: Mapping[str, ClassNames]) -> Iterator[Fault]:
    """Numbers that the data's own file calls by other names than a model does."""
    if task.data is None:
        return
    column = task.label or "label"
    named = classes_in(data_path(task.data, suite_file=file.path)).get(task.data.columns.get(column, column), ())
    for role, names in models.items():
        if order_fault(named, names):
            number = first_difference(named, names)
            what = f"label {number} is {named[number or 0]!r} in {task.data.called} and {names[number or 0]!r} to the {role}"
            yield Fault(file=str(file.path), key=f"tasks.{task.task}", what=what, mend="Write the labels by name in a column of their own.")
