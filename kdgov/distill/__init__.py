"""Distillation: from a recipe, a teacher and data to a student whose folder says what was trained."""

from __future__ import annotations

import kdgov.distill.allocation  # noqa: F401 - first: it must precede torch
from kdgov.distill.provenance import RECORD, DistillationRecord
from kdgov.distill.run import LOSSES, STUDENT, distill
from kdgov.distill.students import StudentStart

__all__ = ["LOSSES", "RECORD", "STUDENT", "DistillationRecord", "StudentStart", "distill"]
