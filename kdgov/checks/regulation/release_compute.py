"""The question of `general_purpose` for one release: which computes stand for its student, its start and its teacher."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kdgov.checks.regulation.general_purpose import GeneralPurpose, general_purpose
from kdgov.checks.regulation.training_compute import Compute, declared, unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFacts:
    """What a release says of its models' training, before it has run or afterwards."""

    student: Mapping[str, Any]
    """The release's ``student:`` with its defaults."""
    own: Compute | None
    """Compute of the distillation; None: the student was trained elsewhere."""
    student_card: Mapping[str, Any] = field(default_factory=dict)
    """Card of the student: of the weights it starts from, or of the finished student where it was trained elsewhere."""
    teacher_card: Mapping[str, Any] = field(default_factory=dict)
    """Card of the teacher."""


def release_question(facts: ReleaseFacts) -> GeneralPurpose:
    """Whether the student of a release is a new general-purpose model, as far as its facts tell."""
    teacher = declared(facts.teacher_card, whose="the teacher")
    own, original = _elsewhere(facts) if facts.own is None else (facts.own, _original(facts, teacher))
    return general_purpose(kind=str(facts.student.get("kind") or "generative"), own=own, original=original, teacher=teacher)


def _original(facts: ReleaseFacts, teacher: Compute) -> Compute | None:
    if facts.student.get("keep_layers") is not None:
        return teacher
    if facts.student.get("config") is not None:
        return None
    return declared(facts.student_card, whose="the weights the student starts from")


def _elsewhere(facts: ReleaseFacts) -> tuple[Compute, Compute | None]:
    """Own compute and the original's, of a student trained elsewhere: its card counts the whole training, its base included."""
    whole = declared(facts.student_card, whose="the student")
    lineage = facts.student_card.get("lineage") or []
    has_base = facts.student_card.get("base_model") or any(isinstance(e, Mapping) and e.get("use") == "weights_init" for e in lineage)
    if not facts.student_card or has_base:
        why = "it was trained elsewhere, and no card tells its own training from that of its base"
        most = Compute(low=0.0, high=whole.high, basis=f"at most the whole training: {whole.basis}")
        own = most if math.isfinite(whole.high) else unknown(why)
        return own, unknown("no card of the base is read for a student trained elsewhere")
    return whole, None
