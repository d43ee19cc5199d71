"""The EU AI Act's question before training: whether the student would be a new general-purpose model, where it leaves the house."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kdgov.checks.cards.release_inputs import ModelFacts, ReleaseInputs
from kdgov.checks.findings.rules import Stances
from kdgov.checks.regulation.release_compute import ReleaseFacts, release_question
from kdgov.checks.regulation.training_compute import Compute, at_most, unknown
from kdgov.finding import Finding


def general_purpose_findings(materials: ReleaseInputs, stances: Stances) -> Iterable[Finding]:
    """What the facts before training say of it; nothing where the student stays inside, or where they say no."""
    release = materials.release
    if release.release.distribution == "internal":
        return
    found = release_question(
        ReleaseFacts(
            student=release.student.model_dump(mode="json"),
            own=_own(materials) if release.distillation is not None else None,
            student_card=_card(materials.student),
            teacher_card=_card(materials.teacher),
        )
    )
    if found.answer == "no" and found.counting_teacher != "yes":
        return
    is_unknown = found.answer == "unknown" and found.counting_teacher != "yes"
    settle = f"Write {'; '.join(found.missing)}." if found.missing else "Have the duties of Article 53 answered for, and waive it by name."
    yield stances.finding(
        "practice.general-purpose-unknown" if is_unknown else "practice.general-purpose-model",
        f"student {release.student.name or release.name}",
        f"{found.sentence()} {' '.join(found.reasons)}",
        mend=settle,
        details=found.as_json(),
    )


def _card(model: ModelFacts) -> Mapping[str, Any]:
    return model.model_card.model_dump(mode="json") if model.model_card is not None else {}


def _own(materials: ReleaseInputs) -> Compute:
    recipe, declared = materials.release.distillation, materials.release.student
    if recipe is None:
        return unknown("there is no recipe")
    teacher = _parameters(materials.teacher)
    # A student of the teacher's own layers is no larger than the teacher.
    student = teacher if declared.keep_layers is not None else _parameters(materials.student)
    tokens = float(recipe.steps * recipe.batch_size * recipe.max_length)
    return at_most(tokens=tokens, student_parameters=student, teacher_parameters=teacher)


def _parameters(model: ModelFacts) -> int | None:
    known = model.identity.get("parameters") if model.identity else None
    card = model.model_card
    return int(known) if known else (card.parameters if card is not None else None)
