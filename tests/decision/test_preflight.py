"""Whether a policy can pass on the suites at hand is known before anything is trained."""

from __future__ import annotations

import math

import pytest

from kdgov.decision.preflight import PlannedTask, power_at_hand, unfillable_criteria
from kdgov.declarations.policy_file import load_policy

TASK = PlannedTask(
    suite="capability",
    task="qa",
    metrics=("acc",),
    items=400,
    clusters=100,
    groups={"topic": {"law": 250, "music": 150}, "age": {}},
)


def policy_of(tmp_path, **change):
    keys = {
        "id": "kept",
        "kind": "non_inferiority",
        "suite": "capability",
        "direction": "higher",
        "margin": 0.03,
        "min_items": 300,
    } | change
    text = "schema: kdgov.policy/1\nname: own\nversion: '1'\ncriteria:\n  - " + "\n    ".join(f"{k}: {v}" for k, v in keys.items())
    path = tmp_path / "policy.yaml"
    path.write_text(text + "\n")
    return load_policy(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"suite": "safety"}, "the suites give capability/qa/acc"),
        ({"metric": "f1"}, "asks for `capability/*/f1`"),
        ({"tasks": "[qa, sums]"}, "names the task sums"),
        ({"by": "[gender]"}, "judges every gender on its own"),
        ({"groups": "{gender: [a, b]}", "by": "[gender]"}, "judges every gender"),
        ({"min_items": 401}, "asks for 401 items, and capability/qa/acc has 400"),
        ({"by": "[topic]", "min_group_items": 200}, "topic=music has 150"),
        ({"by": '["*"]', "min_group_items": 200}, "topic=music has 150"),
    ],
)
def test_what_cannot_pass_is_told_with_its_reason(tmp_path, change, says):
    (found,) = unfillable_criteria(policy_of(tmp_path, **change), [TASK])
    assert found.criterion == "kept"
    assert says in found.reason
    assert found.mend


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"by": "[age]"},
        {"when": "measured", "suite": "safety"},
        {"advisory": "true", "suite": "safety"},
        {"min_items": 700, "pooled": "true"},
        {"by": "[topic]", "min_group_items": 150},
    ],
)
def test_what_can_pass_is_not_complained_of(tmp_path, change):
    other = PlannedTask(suite="capability", task="sums", metrics=("acc",), items=300, groups=TASK.groups)
    assert unfillable_criteria(policy_of(tmp_path, **change), [TASK, other]) == ()


def test_a_condition_that_does_not_hold_asks_for_nothing_and_unknown_counts_are_not_guessed(tmp_path):
    policy = policy_of(tmp_path, when="production_inputs", suite="production-replay")
    assert unfillable_criteria(policy, [TASK], absent={"production_inputs"}) == ()
    assert unfillable_criteria(policy, [TASK])
    unknown = PlannedTask(suite="capability", task="qa", metrics=("acc",))
    assert unfillable_criteria(policy_of(tmp_path), [unknown]) == ()


def test_power_is_that_of_the_normal_approximation_between_clusters_and_items(tmp_path):
    (power,) = power_at_hand(policy_of(tmp_path, plan="{disagreement: 0.04}"), [TASK])
    assert (power.items, power.clusters) == (400, 100)
    # Phi(0.03 sqrt(400 / 0.04) - 1.645) = Phi(1.355) and Phi(0.03 sqrt(100 / 0.04) - 1.645) = Phi(-0.145)
    assert math.isclose(power.highest, 0.9123, abs_tol=2e-4)
    assert math.isclose(power.lowest, 0.4424, abs_tol=2e-4)
    assert power.needed is not None
    assert power.needed > 200
