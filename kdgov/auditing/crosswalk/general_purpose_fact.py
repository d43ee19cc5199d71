"""The EU AI Act's question after training: the recorded compute of the student against what the cards declare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from kdgov.auditing.crosswalk.fact_source import Answer, Evidence
from kdgov.checks.regulation.general_purpose import GeneralPurpose
from kdgov.checks.regulation.release_compute import ReleaseFacts, release_question
from kdgov.checks.regulation.training_compute import recorded
from kdgov.evidence.bundle_layout import DISTILLATION, RELEASE
from kdgov.evidence.bundle_reader import BundleReader


def general_purpose_of(material: BundleReader) -> GeneralPurpose | None:
    """The answer from the evidence of a release; None where there is no release to ask about."""
    release, record = material.release, material.distillation
    student = release.get("student")
    if not isinstance(student, Mapping):
        return None
    parameters = material.identities["teacher"].get("parameters")
    own = recorded(record, teacher_parameters=parameters if isinstance(parameters, int) else None) if release.get("distillation") else None
    cards = {role: _card(material, release.get(role)) for role in ("teacher", "student")}
    return release_question(ReleaseFacts(student=student, own=own, student_card=cards["student"], teacher_card=cards["teacher"]))


def general_purpose(e: Evidence) -> Answer:
    """Whether it is worked out: shown where both readings agree, partly where one is open, absent where the answer is unknown."""
    found = general_purpose_of(e.material)
    if found is None:
        return "absent", "No release is recorded.", ""
    told = f"{found.sentence()} {' '.join(found.reasons)}"
    if found.missing:
        told += f" Missing: {'; '.join(found.missing)}."
    if found.answer == "unknown":
        return "absent", told, RELEASE
    return ("partly" if found.is_open else "shown"), told, DISTILLATION if e.material.has(DISTILLATION) else RELEASE


def _card(material: BundleReader, declared: Any) -> Mapping[str, Any]:
    named = declared.get("card") if isinstance(declared, Mapping) else None
    return material.cards.get(PurePosixPath(str(named)).name, {}) if named else {}
