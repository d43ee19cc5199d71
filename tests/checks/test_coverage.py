"""Coverage: data of the same kind, repeated or broader is not complained of; an unseen topic is named, with its share."""

from __future__ import annotations

import json
import random

import pytest

from kdgov.checks.findings.coverage import data_texts, shown
from kdgov.checks.scan.coverage_score import Coverage
from kdgov.checks.scan.logged_inputs import LoggedInput
from kdgov.errors import InputError
from tests.benchmarks.coverage import drawn_scenario
from tests.benchmarks.labelled import sentence
from tests.checks.conftest import World
from tests.checks.test_violations import TODAY


def texts(seed: int, n: int) -> list[str]:
    rng = random.Random(seed)
    return [f"{sentence(rng)} {sentence(rng)}" for _ in range(n)]


def logged(found: list[str]) -> list[LoggedInput]:
    return [LoggedInput(text=text, row=n, times=1) for n, text in enumerate(found, 1)]


@pytest.mark.parametrize("scenario", ["same", "repeated", "broader", "whole texts"])
def test_data_that_covers_the_inputs_is_not_complained_of(scenario):
    """At most one alarm of ten: the published rate is below 5 % (`python -m tests.benchmarks.coverage`)."""
    alarms = 0
    for seed in range(10):
        data, inputs = drawn_scenario(scenario, seed=seed, n_data=400, n_inputs=200)
        alarms += Coverage(data).of(inputs).lower > 0
    assert alarms <= 1


def test_an_unseen_topic_of_a_tenth_of_the_inputs_is_caught():
    caught, shares = 0, []
    for seed in range(5):
        data, inputs = drawn_scenario("uncovered 10 %", seed=seed, n_data=1000, n_inputs=500)
        found = Coverage(data).of(inputs)
        caught += found.lower > 0
        shares.append(found.share)
    assert caught == 5
    assert 0.05 < sum(shares) / 5 < 0.16


def test_the_answer_does_not_depend_on_the_order_of_rows(tmp_path):
    rows = [json.dumps({"text": t}) for t in texts(5, 300)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    (tmp_path / "b.jsonl").write_text("\n".join(reversed(rows)))
    inputs = logged(texts(6, 40))
    assert data_texts([tmp_path / "a.jsonl"], inputs, size=50) == data_texts([tmp_path / "b.jsonl"], inputs, size=50)


def test_data_off_the_task_is_named_with_examples_and_data_on_it_passes(world: World):
    world.rows = [{"prompt": p, "completion": "no"} for p in texts(6, 80)]
    found = world.rules(today=TODAY)["coverage.uncovered"]
    assert found.verdict == "warn"
    assert found.details["uncovered_share"] > 0.9
    assert "“How many are" in found.reason
    world.rows = [{"prompt": f"How many are {n}?", "completion": "no"} for n in range(80)]
    world.data["files"] = [{"path": "data.jsonl"}]
    assert "coverage.covered" in {f.rule for f in world.findings(today=TODAY)}


def test_an_example_shows_no_address_number_or_name():
    said = shown("Please ask patient Maria Lopez at m.lopez@mail.example.org or +49 170 1234567 about room 12")
    assert "Maria" not in said
    assert "Lopez" not in said
    assert "mail.example" not in said
    assert "170" not in said


def test_too_few_texts_are_said_to_be_too_few(world: World):
    world.rows = world.rows[:10]
    found = world.rules(today=TODAY)["coverage.not-testable"]
    assert found.verdict == "warn"
    assert "Not looked for" in found.reason


def test_a_field_that_no_input_has_is_an_input_fault(world: World):
    world.release["production_inputs"]["field"] = "question"
    with pytest.raises(InputError, match=r"production_inputs\.field"):
        world.findings(today=TODAY)
