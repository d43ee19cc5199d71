"""A mitigation that nothing tests on the student stops the release; one with a criterion that reads its suites does not."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kdgov.checks.findings.mitigation_findings import unmeasured_mitigations
from kdgov.checks.findings.rules import Stances
from kdgov.decision.policy import Criterion, Policy
from kdgov.declarations.release_parts.mitigations import Mitigation
from kdgov.errors import DeclarationError
from kdgov.items import MetricKey
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


@pytest.mark.parametrize(
    ("second", "why"),
    [("still-worls", "no criterion still-worls"), ("shown", "advisory"), ("elsewhere", "reads nothing"), ("small", "no answers")],
)
def test_every_criterion_that_a_mitigation_names_must_test_it(world: World, second: str, why: str) -> None:
    _with_criterion(world)
    policy = yaml.safe_load((world.folder / "policy.yaml").read_text())
    policy["criteria"] += [
        {"id": "shown", "kind": "non_inferiority", "suite": "suite", "margin": 0.05, "advisory": True},
        {"id": "elsewhere", "kind": "non_inferiority", "suite": "another", "margin": 0.05, "when": "measured"},
        {"id": "small", "kind": "efficiency", "measure": "parameters", "max_ratio": 0.9},
    ]
    (world.folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    world.release["mitigations"] = [{**TRAINING, "criteria": ["still-works"]}]
    assert RULE not in world.rules(today=TODAY)
    world.release["mitigations"] = [{**TRAINING, "criteria": ["still-works", second]}]
    assert why in world.rules(today=TODAY)[RULE].reason


def test_a_metric_that_is_left_out_for_want_of_a_judging_model_tests_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.release["mitigations"] = [{**TRAINING, "criteria": ["still-works"]}]
    _with_criterion(world, metric="harmful", when="measured")
    world.metrics.append({"metric": "harmful", "source": "acc", "direction": "lower", "needs": "A_GUARD"})
    monkeypatch.delenv("A_GUARD", raising=False)
    assert "reads nothing" in world.rules(today=TODAY)[RULE].reason
    monkeypatch.setenv("A_GUARD", str(world.folder))
    assert RULE not in world.rules(today=TODAY)


@pytest.mark.parametrize("mitigation", [{"kind": "system_prompt", "text": "Be kind."}, {"kind": "output_filter", "patterns": ["sk-"]}])
def test_likelihoods_test_no_prompt_and_no_filter(world: World, mitigation: dict[str, Any]) -> None:
    world.release["mitigations"] = [{**mitigation, "guards_against": "harm", "criteria": ["still-works"]}]
    _with_criterion(world)
    assert "no model answers in writing" in world.rules(today=TODAY)[RULE].reason
    world.kind = "open_answer"
    assert RULE not in world.rules(today=TODAY)


def test_what_the_results_lack_is_told_by_the_gate_as_well() -> None:
    criterion = Criterion(id="kept", kind="non_inferiority", suite="s*", when="measured")
    policy = Policy(name="p", version="1", digest="", criteria=(criterion,))
    trained, prompted = (
        Mitigation(kind="refusal_training", guards_against="harm", criteria=["kept"]),
        Mitigation(kind="system_prompt", guards_against="harm", criteria=["kept"], text="Be kind."),
    )

    def told(measured: list[str], mitigated: set[tuple[str, str]]) -> list[str]:
        keys = [MetricKey(suite, "t", "refused") for suite in measured]
        found = unmeasured_mitigations([trained, prompted], policy, Stances(), keys=keys, mitigated=mitigated)
        assert all(one.verdict == "block" for one in found)
        return [one.subject for one in found]

    both = ["mitigations[0] (refusal_training)", "mitigations[1] (system_prompt)"]
    assert told(["another"], set()) == both
    assert told(["safety"], set()) == both[1:], "its questions were asked without the prompt"
    assert told(["safety"], {("safety", "t")}) == []


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
