"""The EU AI Act's question: computed where facts bound it, unknown where they do not, never a silent no."""

from __future__ import annotations

import math

import pytest

from kdgov.checks.regulation.general_purpose import general_purpose
from kdgov.checks.regulation.release_compute import ReleaseFacts, release_question
from kdgov.checks.regulation.training_compute import Compute, at_most, declared, recorded, unknown
from tests.checks.conftest import World
from tests.checks.test_violations import TODAY

NOTHING = unknown("nobody says")


def exactly(operations: float) -> Compute:
    return Compute(low=operations, high=operations, basis="given")


@pytest.mark.parametrize(
    ("own", "original", "answer"),
    [
        # From no weights: the threshold of 10^23 alone.
        (exactly(2e23), None, "yes"),
        (exactly(1e23), None, "no"),  # more than, not as much as
        (exactly(9e22), None, "no"),
        (NOTHING, None, "unknown"),
        # A change of a general-purpose model: more than a third of its compute.
        (exactly(4e23), exactly(9e23), "yes"),
        (exactly(2.99e23), exactly(9e23), "no"),
        (exactly(2e23), exactly(9e23), "no"),  # above the threshold, but no third of the original
        (NOTHING, exactly(9e23), "unknown"),
        # The original lies below the threshold: both together count.
        (exactly(5e22), exactly(6e22), "yes"),
        (exactly(3e22), exactly(6e22), "no"),
        # The original's compute is not known: a third of the threshold stands in.
        (exactly(3e22), NOTHING, "no"),
        (exactly(4e22), NOTHING, "yes"),
        (NOTHING, NOTHING, "unknown"),
        # The facts straddle the bound.
        (Compute(low=8e22, high=2e23, basis=""), None, "unknown"),
        (exactly(3e22), Compute(low=8e22, high=2e23, basis=""), "unknown"),
    ],
)
def test_the_two_rules_on_hand_made_numbers(own, original, answer):
    assert general_purpose(kind="generative", own=own, original=original, teacher=exactly(0.0)).answer == answer


def test_wider_facts_never_turn_an_unknown_into_an_answer():
    """Monotone: what a range answers, every range inside it answers alike."""
    for centre in (1e21, 3e22, 5e22, 1.2e23, 1e24):
        for original in (None, NOTHING, exactly(1e24), exactly(5e22)):
            narrow = general_purpose(kind="generative", own=exactly(centre), original=original, teacher=NOTHING).answer
            wide = Compute(low=centre / 3, high=centre * 3, basis="")
            found = general_purpose(kind="generative", own=wide, original=original, teacher=NOTHING).answer
            assert found in (narrow, "unknown")


def test_a_classifier_is_none_and_a_kind_that_nobody_knows_is_asked():
    assert general_purpose(kind="classifier", own=exactly(1e25), original=None, teacher=NOTHING).answer == "no"
    asked = general_purpose(kind="audio_generative", own=exactly(1e25), original=None, teacher=NOTHING)
    assert asked.answer == "unknown"
    assert any("student.kind" in key for key in asked.missing)


def test_both_readings_of_the_teachers_training_are_told():
    found = general_purpose(kind="generative", own=exactly(1e20), original=exactly(1e24), teacher=exactly(1e24))
    assert (found.answer, found.counting_teacher, found.is_open) == ("no", "yes", True)
    open_one = general_purpose(kind="generative", own=exactly(1e20), original=NOTHING, teacher=NOTHING)
    assert (open_one.answer, open_one.counting_teacher, open_one.is_open) == ("no", "unknown", True)
    assert "unknown" in open_one.sentence()
    assert len(open_one.missing) == 2


def test_an_estimate_is_a_range_and_silence_is_none():
    assert declared({"training_flops": 1.3e23}, whose="it").low == pytest.approx(1e23)
    sized = declared({"parameters": 10**9, "training_tokens": 10**12}, whose="it")
    assert sized.low < 6e21 < sized.high
    for card in ({}, {"training_flops": None}, {"training_flops": math.nan}, {"training_flops": True}, {"training_tokens": 5}):
        assert not declared(card, whose="it").is_known
    assert not recorded({"flops": 0, "tokens": 10}, teacher_parameters=1).is_known
    assert recorded({"flops": 10, "tokens": 10, "cache": {"x": 1}}, teacher_parameters=5).high == pytest.approx(1.3 * (10 + 2 * 5 * 10))
    assert not at_most(tokens=1, student_parameters=None, teacher_parameters=1).is_known


def test_a_student_trained_elsewhere_is_unknown_until_its_card_says():
    student = {"model": "s", "kind": "generative"}
    assert release_question(ReleaseFacts(student=student, own=None)).answer == "unknown"
    from_scratch = {"name": "s", "training_flops": 1e20}
    assert release_question(ReleaseFacts(student=student, own=None, student_card=from_scratch)).answer == "no"
    changed = {**from_scratch, "training_flops": 1e24, "base_model": ["b"]}
    assert release_question(ReleaseFacts(student=student, own=None, student_card=changed)).answer == "unknown"


@pytest.mark.parametrize(("flops", "rule"), [(None, None), (1e24, "practice.general-purpose-model")])
def test_check_tells_where_the_teachers_training_would_make_it_one(world: World, flops, rule):
    """A tiny distillation is no new model; with a teacher of 10^24 operations one reading says otherwise, and a person looks."""
    world.teacher["training_flops"] = flops
    world.release["release"]["distribution"] = "weights"
    found = {name for name in world.rules(today=TODAY) if name.startswith("practice.general-purpose")}
    assert found == ({rule} if rule else set())
