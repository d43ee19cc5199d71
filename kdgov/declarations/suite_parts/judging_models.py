"""Metrics that need a model that judges, named by an environment variable: which are measured here, and slips in the variable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kdgov.errors import InputError

if TYPE_CHECKING:
    from kdgov.declarations.suite import Suite
    from kdgov.declarations.suite_parts.suite_metric import MetricInSuite
    from kdgov.declarations.suite_parts.suite_task import TaskInSuite


def measured_metrics(task: TaskInSuite) -> list[MetricInSuite]:
    """Metrics of a task but those whose model no variable names here."""
    return [m for m in task.metrics if m.needs is None or os.environ.get(m.needs)]


def named_models(suite: Suite) -> list[str]:
    """Variables that are set and without which a metric of the suite would be left out."""
    return sorted({m.needs for task in suite.tasks for m in measured_metrics(task) if m.needs})


def refuse_absent_models(suite: Suite, path: Path) -> None:
    """Refuse a suite whose metrics need a model that a variable names where there is none: a slip would leave the metrics out unsaid.

    Raises:
        InputError: naming the variable; what it holds is shown to nobody.
    """
    for variable in sorted({m.needs for task in suite.tasks for m in task.metrics if m.needs}):
        value = os.environ.get(variable)
        if value and not (Path(value).is_absolute() and Path(value).is_dir()):
            what = f"{variable} names no folder, and metrics of {suite.name} need the model in it"
            raise InputError(what, where=str(path), mend="Write the absolute path of the checkpoint's folder, or unset it to do without.")
