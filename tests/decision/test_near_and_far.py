"""Items like and unlike the distillation data side by side: good where it was trained and poor elsewhere is seen, and stopped."""

from __future__ import annotations

import json
import random

import pytest

import kdgov
from kdgov.decision.judgement import judge
from kdgov.decision.policy import Criterion, Policy
from kdgov.items import ItemTable

NEAR, FAR = 500, 150


def table(near: float, far: float, *, seed: int, marked: bool = True, n_far: int = FAR) -> ItemTable:
    rng = random.Random(seed)
    rows = []
    for n in range(NEAR + n_far):
        mark = "far" if n < n_far else "near"
        group = {"group": json.dumps({"coverage": mark, "gender": "female"})} if marked else {}
        score = float(rng.random() < (far if mark == "far" else near))
        rows.append({"suite": "capability", "task": "asked", "metric": "acc", "item_id": str(n), "score": score, **group})
    return ItemTable.from_rows(rows, source="test")


def criterion(**further) -> dict:
    return {"id": "kept", "kind": "non_inferiority", "suite": "capability", "direction": "higher", "margin": 0.1} | further


def policy(*criteria: dict) -> dict:
    return {"schema": "kdgov.policy/1", "name": "p", "version": "1", "criteria": list(criteria)}


def test_good_near_and_poor_far_is_told_beside_a_passing_mean():
    teacher, student = table(0.95, 0.95, seed=1), table(0.95, 0.8, seed=2)
    decision = kdgov.gate(teacher, student, policy(criterion()))
    assert decision.verdict == "pass"
    (found,) = [f for f in decision.findings if f.rule == "coverage.worse-far"]
    assert found.verdict == "warn"
    assert "near (n 500)" in found.reason
    assert "far (n 150)" in found.reason
    assert found.details["bounds"][0] > 0


def test_a_criterion_on_far_items_stops_it_and_one_on_near_items_does_not():
    teacher, student = table(0.95, 0.95, seed=1), table(0.95, 0.7, seed=2)
    both = [criterion(), *(criterion(id=name, where={"coverage": name}) for name in ("near", "far"))]
    decision = kdgov.gate(teacher, student, policy(*both))
    verdicts = {r.id: r.verdict for r in decision.criteria}
    assert verdicts["near"] == "pass"
    assert verdicts["far"] == "fail"
    assert decision.verdict == "fail"
    assert next(r for r in decision.criteria if r.id == "far").n == FAR


def test_far_items_that_nobody_marked_are_no_pass():
    teacher = table(0.95, 0.95, seed=1, marked=False)
    decision = kdgov.gate(teacher, teacher, policy(criterion(), criterion(id="far", where={"coverage": "far"})))
    assert decision.verdict == "invalid"


def test_equal_losses_are_shown_side_by_side_and_warn_of_nothing():
    teacher, student = table(0.95, 0.9, seed=3), table(0.92, 0.87, seed=4)
    (found,) = [f for f in kdgov.gate(teacher, student, policy(criterion())).findings if f.check == "coverage"]
    assert (found.rule, found.verdict) == ("coverage.near-and-far", "pass")
    (row,) = found.details["rows"]
    assert (row["near"]["n"], row["far"]["n"]) == (NEAR, FAR)


@pytest.mark.parametrize("n_far", [0, 1, 8])
def test_too_few_far_items_say_nothing(n_far):
    teacher, student = table(0.9, 0.9, seed=1, n_far=n_far), table(0.9, 0.1, seed=2, n_far=n_far)
    assert not [f for f in kdgov.gate(teacher, student, policy(criterion())).findings if f.check == "coverage"]


def test_equal_students_are_rarely_called_worse_far():
    """One in forty by its bound (two-sided 95 %); 24 draws of an equal loss give at most three."""
    own = Policy(
        name="p",
        version="1",
        digest="sha256:" + "0" * 64,
        criteria=(Criterion(id="kept", kind="non_inferiority", suite="*", direction="higher", margin=0.1),),
    )
    alarms = 0
    for seed in range(24):
        decision = judge(table(0.9, 0.8, seed=2 * seed), table(0.88, 0.78, seed=2 * seed + 1), own)
        alarms += any(f.rule == "coverage.worse-far" for f in decision.findings)
    assert alarms <= 3
