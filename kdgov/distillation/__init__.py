"""Distillation: from a recipe, a teacher and data to a student whose folder says what was trained."""

from __future__ import annotations

import kdgov.distillation.allocation  # noqa: F401 - first: it must precede torch
from kdgov.distillation.distillation_record import RECORD, DistillationRecord
from kdgov.distillation.distillation_run import LOSSES, STUDENT, distill
from kdgov.distillation.students import StudentStart

__all__ = ["LOSSES", "RECORD", "STUDENT", "DistillationRecord", "StudentStart", "distill"]
