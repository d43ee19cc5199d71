"""A mitigation that nothing tests on the student stops the release; one with a criterion that reads its suites does not."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kdgov.declarations.release_parts.mitigations import Mitigation
from kdgov.errors import DeclarationError
from tests.checks.conftest import POLICY, World
from tests.checks.test_violations import TODAY

RULE = "practice.mitigation-untested"
TRAINING = {"kind": "refusal_training", "guards_against": "harmful requests"}


def _with_criterion(world: World, **changes: Any) -> None:
    """The default policy and one criterion that reads the release's own suite."""
    policy = yaml.safe_load(POLICY.read_text())
    policy["criteria"].append({"id": "still-works", "kind": "non_inferiority", "suite": "suite", "margin": 0.05, **changes})
    (world.folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    world.release["policy"] = "policy.yaml"


@pytest.mark.parametrize(
    ("criteria", "why"),
    [
        ([], "names no criterion"),
        (["refusal-kept"], "no criterion refusal-kept"),
        (["refusal-retained"], "reads nothing of the release's suites"),
    ],
)
def test_a_mitigation_that_nothing_tests_blocks_by_default(world: World, criteria: list[str], why: str) -> None:
    world.release["mitigations"] = [{**TRAINING, "criteria": criteria}]
    world.release["policy"] = str(POLICY)
    found = world.rules(today=TODAY)[RULE]
    assert found.verdict == "block"
    assert why in found.reason


def test_a_criterion_that_reads_the_suites_tests_it_and_an_advisory_one_does_not(world: World) -> None:
    world.release["mitigations"] = [{**TRAINING, "criteria": ["still-works"]}]
    _with_criterion(world)
    assert RULE not in world.rules(today=TODAY)
    _with_criterion(world, advisory=True)
    assert "advisory" in world.rules(today=TODAY)[RULE].reason


def test_what_only_the_teachers_card_names_must_be_tested_too(world: World) -> None:
    world.teacher["mitigations"] = ["guard_model", "refusal_training"]
    _with_criterion(world)
    world.release["mitigations"] = [{**TRAINING, "criteria": ["still-works"]}]
    found = [f for f in world.findings(today=TODAY) if f.rule == RULE]
    assert [f.details["kind"] for f in found] == ["guard_model"]


def test_a_policy_may_make_it_a_review_and_a_release_without_mitigations_hears_nothing(world: World) -> None:
    assert RULE not in world.rules(today=TODAY)
    policy = yaml.safe_load(POLICY.read_text())
    (world.folder / "policy.yaml").write_text(yaml.safe_dump({**policy, "findings": {**policy.get("findings", {}), RULE: "review"}}))
    world.release |= {"policy": "policy.yaml", "mitigations": [TRAINING]}
    assert world.rules(today=TODAY)[RULE].verdict == "review"


@pytest.mark.parametrize(
    "keys",
    [
        {"kind": "system_prompt"},
        {"kind": "system_prompt", "text": "a", "file": "b"},
        {"kind": "guard_model", "model": "g"},
        {"kind": "output_filter"},
        {"kind": "output_filter", "patterns": ["("]},
        {"kind": "refusal_training", "text": "a"},
    ],
)
def test_a_mitigation_with_keys_of_another_kind_is_an_input_fault(world: World, keys: dict[str, Any]) -> None:
    world.release["mitigations"] = [{"guards_against": "harm", **keys}]
    with pytest.raises(DeclarationError):
        world.findings(today=TODAY)


def test_the_kinds_a_card_may_name_are_those_a_release_declares() -> None:
    from kdgov.declarations.cards import ModelCard

    assert str(Mitigation.model_fields["kind"].annotation) in str(ModelCard.model_fields["mitigations"].annotation)
