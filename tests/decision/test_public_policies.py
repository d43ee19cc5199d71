"""Policies over public sets at the sets' real sizes: every criterion can pass an equally good student and cannot pass one that lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kdgov.decision.judgement import judge
from kdgov.decision.policy import Criterion
from kdgov.declarations.policy_file import load_named_policy
from kdgov.items import ItemTable

POLICIES = {name: load_named_policy(name) for name in ("public-safety", "public-core")}
CASES = [(name, criterion) for name, policy in POLICIES.items() for criterion in policy.criteria]
CLUSTERS = {"refuses-wrapped": 200, "refuses-in-languages": 315, "continuations-even": 79, "continuations-make-sense": 79}
"""Clusters of the sets whose items share a request or a term."""

JUDGED = [pytest.param(*case, id=case[1].id) for case in CASES if case[1].kind == "non_inferiority"]
QUICK = [case for case in JUDGED if case.id not in ("refuses-wrapped", "refuses-in-languages")]


def _rows(criterion: Criterion, scores: np.ndarray) -> list[dict[str, Any]]:
    groups = dict(criterion.plan_groups) or ({"gender": 3} if criterion.kind == "gap" else {})
    clusters = CLUSTERS.get(criterion.id)
    rows = []
    for item, score in enumerate(scores):
        row: dict[str, Any] = {
            "suite": "s" if criterion.suite == "*" else criterion.suite, "task": criterion.tasks[0].replace("*", "x"),
            "item_id": f"{item:05d}", "metric": "acc" if criterion.metric == "*" else criterion.metric, "score": float(score),
        }  # fmt: skip
        if groups:
            row["group"] = {name: f"{name}-{item % n}" for name, n in groups.items()}
        if clusters:
            row["cluster"] = str(item % clusters)
        rows.append(row)
    return rows


def _students(criterion: Criterion, loss: float, seed: int) -> tuple[ItemTable, ItemTable]:
    """Teacher and student of the size the criterion plans: as many items won as lost, and ``loss`` lost beyond that."""
    rng = np.random.default_rng(seed)
    n, differ = criterion.plan_items or criterion.min_items, criterion.plan_disagreement or 0.1
    level = criterion.plan_level or (0.5 if criterion.direction == "target" else 0.9)
    if criterion.low == -1:
        # A signed score around its ideal 0: as many items move up as down, and the loss moves up alone.
        good = rng.choice([-1.0, 0.0, 1.0], n, p=[0.1, 0.8, 0.1])
        moves = rng.random(n)
        student = np.where(moves < differ / 2, np.roll(good, 1), good)
        student = np.where((moves > 1 - loss / 0.9) & (student < 1), student + 1, student)
        return ItemTable.from_rows(_rows(criterion, good)), ItemTable.from_rows(_rows(criterion, student))
    good = (rng.random(n) < level).astype(float)
    student = good.copy()
    up, down = (differ / 2) / (1 - level), (differ / 2 + loss) / level
    student[(good == 0) & (rng.random(n) < up)] = 1.0
    student[(good == 1) & (rng.random(n) < down)] = 0.0
    if criterion.direction == "lower":
        good, student = 1 - good, 1 - student
    return ItemTable.from_rows(_rows(criterion, good)), ItemTable.from_rows(_rows(criterion, student))


def _passes(criterion: Criterion, policy: str, loss: float, seeds: int) -> float:
    done = 0
    for seed in range(seeds):
        teacher, student = _students(criterion, loss, seed)
        results = [r for r in judge(teacher, student, POLICIES[policy]).criteria if r.id == criterion.id]
        assert all(r.verdict != "invalid" for r in results), results[0].reason
        done += bool(results) and all(r.verdict == "pass" for r in results)
    return done / seeds


@pytest.mark.parametrize(("policy", "criterion"), QUICK)
def test_an_equal_student_passes_at_the_sets_real_size_and_one_that_lost_twice_the_margin_never(policy: str, criterion: Criterion) -> None:
    assert _passes(criterion, policy, 0.0, 3) > 0.5
    assert _passes(criterion, policy, 2 * criterion.margin, 2) == 0.0


def test_gap_and_ceiling_can_pass_and_can_fail() -> None:
    gap = next(c for _, c in CASES if c.kind == "gap")
    assert _passes(gap, "public-core", 0.0, 4) >= 0.5
    ceiling = next(c for _, c in CASES if c.kind == "ceiling")
    none = ItemTable.from_rows(_rows(ceiling, np.zeros(300)))
    some = ItemTable.from_rows(_rows(ceiling, np.r_[np.ones(12), np.zeros(288)]))
    for student, verdict in ((none, "pass"), (some, "fail")):
        results = [r for r in judge(none, student, POLICIES["public-safety"]).criteria if r.id == ceiling.id]
        assert [r.verdict for r in results] == [verdict]


@pytest.mark.nightly
@pytest.mark.parametrize(("policy", "criterion"), JUDGED)
def test_four_of_five_equal_students_pass_every_criterion(policy: str, criterion: Criterion) -> None:
    assert _passes(criterion, policy, 0.0, 60) >= 0.8
    assert _passes(criterion, policy, 2 * criterion.margin, 20) == 0.0
