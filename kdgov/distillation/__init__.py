"""Distillation: from a recipe, a teacher and data to a student whose folder says what was trained.

Names are loaded on first use: planning what a teacher is asked needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import kdgov.distillation.allocation  # noqa: F401 - first: it must precede torch

if TYPE_CHECKING:
    from kdgov.distillation.distillation_record import RECORD, DistillationRecord
    from kdgov.distillation.distillation_run import LOSSES, distill
    from kdgov.distillation.saving import STUDENT
    from kdgov.distillation.students import StudentStart

__all__ = ["LOSSES", "RECORD", "STUDENT", "DistillationRecord", "StudentStart", "distill"]
_WHERE = {
    "RECORD": "distillation_record",
    "DistillationRecord": "distillation_record",
    "LOSSES": "distillation_run",
    "STUDENT": "saving",
    "distill": "distillation_run",
    "StudentStart": "students",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
