"""Kinds of task that lm-eval lacks, by name: which metrics each can give, and how it asks and scores.

A kind is one module of this package, named as suites write it, whose ``KIND`` is the row; its name stands in
`suite_task.TASK_KINDS`. Packages add kinds through the entry points ``kdgov.task_kinds``. A suite declares which
of a kind's metrics it uses and which way each is better.
"""

from __future__ import annotations

import importlib

from kdgov.declarations.suite_parts.suite_task import LM_EVAL, TASK_KINDS
from kdgov.evaluation.task_kinds.base import Kind
from kdgov.extensions import ExtensionTable


def _own(name: str) -> Kind:
    kind: Kind = importlib.import_module(f"kdgov.evaluation.task_kinds.{name}").KIND
    return kind


KINDS: ExtensionTable[Kind] = ExtensionTable("kdgov.task_kinds", {name: _own(name) for name in TASK_KINDS if name != LM_EVAL})
"""Every kind but lm-eval's own tasks."""
