"""The largest gap between groups: known tables, fairlearn's values, and error rates of bound, change and ratio by simulation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kdgov.decision.decision import CriterionResult
from kdgov.decision.judgement import judge
from kdgov.decision.policy import Criterion
from kdgov.declarations.policy_file import parse_policy
from kdgov.errors import DeclarationError
from kdgov.items import ItemTable, MetricDeclaration

DECLARED = MetricDeclaration(suite="s", task="t", metric="correct", direction="higher", low=0, high=1)
GROUPS = ("a", "b", "c", "d")


def _policy(**keys: Any) -> Any:
    said = ", ".join(f"{name}: {value}" for name, value in {"by": "[group]", **keys}.items())
    return parse_policy(
        "schema: kdgov.policy/1\nname: p\nversion: '1'\ncriteria:\n"
        f"  - {{id: g, kind: gap, suite: s, min_items: 30, {said}}}\n"
    )  # fmt: skip


def _table(scores: np.ndarray, groups: list[str], *, clusters: list[str] | None = None, **columns: list[str]) -> ItemTable:
    rows = []
    for item, (score, group) in enumerate(zip(scores, groups, strict=True)):
        row: dict[str, Any] = {"suite": "s", "task": "t", "item_id": str(item), "metric": "correct", "score": float(score)}
        row |= {"group": {"group": group}, **{name: values[item] for name, values in columns.items()}}
        rows.append(row if clusters is None else {**row, "cluster": clusters[item]})
    return ItemTable.from_rows(rows)


def _results(policy: Any, teacher: ItemTable, student: ItemTable) -> list[CriterionResult]:
    return [r for r in judge(teacher, student, policy, metrics=(DECLARED,)).criteria if r.id == "g"]


def _drawn(rng: np.random.Generator, rates: dict[str, float], n: int) -> tuple[np.ndarray, list[str]]:
    groups = [name for name in rates for _ in range(n)]
    return np.concatenate([(rng.random(n) < rate) for rate in rates.values()]).astype(float), groups


def test_the_shown_gap_is_fairlearns_and_the_bound_lies_above_it() -> None:
    from fairlearn.metrics import equalized_odds_difference

    rng = np.random.default_rng(0)
    groups = [GROUPS[i % 3] for i in range(900)]
    label = ["yes" if rng.random() < 0.5 else "no" for _ in range(900)]
    said = ["yes" if rng.random() < (0.8 if y == "yes" else 0.2 + 0.1 * (g == "a")) else "no" for y, g in zip(label, groups, strict=True)]
    scores = np.array([float(a == b) for a, b in zip(label, said, strict=True)])
    table = _table(scores, groups, prediction=said, label=label)
    found = _results(_policy(of="equalized_odds", positive="'yes'", ceiling=0.5), table, table)
    assert [r.metric for r in found] == ["correct:true_positive_rate", "correct:false_positive_rate"]
    truth, answer = [int(y == "yes") for y in label], [int(y == "yes") for y in said]
    assert max(r.student for r in found) == pytest.approx(equalized_odds_difference(truth, answer, sensitive_features=groups))
    assert all(r.verdict == "pass" and r.details["upper_bound"] > r.student for r in found)


def test_groups_that_are_small_or_alone_never_pass() -> None:
    one = _table(np.ones(200), ["a"] * 200)
    assert [r.verdict for r in _results(_policy(ceiling=0.5), one, one)] == ["invalid"]
    few = _table(np.ones(220), ["a"] * 200 + ["b"] * 20)
    (found,) = _results(_policy(ceiling=0.5), few, few)
    assert found.verdict == "inconclusive"
    assert "fewer than 30 items in b (20)" in found.reason


def test_a_pattern_that_stands_for_no_attribute_is_no_pass_beside_another_criterion() -> None:
    rows = [{"suite": "s", "task": "t", "item_id": str(i), "metric": "correct", "score": float(i % 10 > 0)} for i in range(400)]
    bare, policy = ItemTable.from_rows(rows), _policy(ceiling=0.5, by="['*']")
    other = Criterion(id="kept", kind="non_inferiority", suite="s", direction="higher", margin=0.1)
    found = judge(bare, bare, replace(policy, criteria=(*policy.criteria, other)), metrics=(DECLARED,))
    assert {r.id: r.verdict for r in found.criteria} == {"g": "invalid", "kept": "pass"}
    assert found.verdict == "invalid"


def test_equalized_odds_need_predictions_labels_and_a_positive_one() -> None:
    bare = _table(np.ones(200), ["a", "b"] * 100)
    (found,) = _results(_policy(of="equalized_odds", positive="'yes'", ceiling=0.5), bare, bare)
    assert found.verdict == "invalid"
    assert "prediction" in found.reason
    for keys in ({"of": "equalized_odds", "ceiling": 0.1}, {"positive": "'x'", "ceiling": 0.1}, {}):
        with pytest.raises(DeclarationError):
            _policy(**keys)


def test_a_gap_that_opens_fails_and_one_that_stays_passes() -> None:
    rng = np.random.default_rng(1)
    scores, groups = _drawn(rng, {"a": 0.9, "b": 0.9}, 2000)
    lost = scores.copy()
    lost[2000:][rng.random(2000) < 0.25] = 0.0
    teacher, worse = _table(scores, groups), _table(lost, groups)
    assert [r.verdict for r in _results(_policy(margin=0.05), teacher, teacher)] == ["pass"]
    assert [r.verdict for r in _results(_policy(margin=0.05), teacher, worse)] == ["fail"]
    assert [r.verdict for r in _results(_policy(ceiling=0.1), teacher, worse)] == ["fail"]
    assert [r.verdict for r in _results(_policy(min_ratio=0.8), teacher, teacher)] == ["pass"]
    assert [r.verdict for r in _results(_policy(min_ratio=0.8), teacher, worse)] == ["fail"]


def _share_that_pass(policy: Any, make: Any, repeats: int) -> float:
    passed = 0
    for seed in range(repeats):
        teacher, student = make(np.random.default_rng(seed))
        passed += all(r.verdict == "pass" for r in _results(policy, teacher, student))
    return passed / repeats


def _at_the_ceiling(rng: np.random.Generator) -> tuple[ItemTable, ItemTable]:
    scores, groups = _drawn(rng, {"a": 0.9, "b": 0.85, "c": 0.8, "d": 0.85}, 400)
    table = _table(scores, groups)
    return table, table


def _at_the_margin(rng: np.random.Generator) -> tuple[ItemTable, ItemTable]:
    scores, groups = _drawn(rng, {"a": 0.9, "b": 0.9, "c": 0.9}, 400)
    student = scores.copy()
    student[400:800][rng.random(400) < 0.1 / 0.9] = 0.0
    return _table(scores, groups), _table(student, groups)


def _at_the_ratio(rng: np.random.Generator) -> tuple[ItemTable, ItemTable]:
    scores, groups = _drawn(rng, {"a": 0.5, "b": 0.4}, 400)
    table = _table(scores, groups)
    return table, table


def _clusters_in_both(rng: np.random.Generator) -> tuple[ItemTable, ItemTable]:
    """80 templates, each with items of both groups whose errors oppose each other."""
    lean = np.repeat(rng.normal(0, 0.25, 80), 5)
    first, second = rng.random(400) < np.clip(0.8 + lean, 0, 1), rng.random(400) < np.clip(0.7 - lean, 0, 1)
    names = [f"t{i // 5}" for i in range(400)]
    table = _table(np.concatenate([first, second]).astype(float), ["a"] * 400 + ["b"] * 400, clusters=names * 2)
    return table, table


@pytest.mark.parametrize(
    ("keys", "make"),
    [({"ceiling": 0.1}, _at_the_ceiling), ({"margin": 0.1}, _at_the_margin), ({"min_ratio": 0.8}, _at_the_ratio)],
)
@pytest.mark.slow
def test_at_the_limit_a_pass_is_rarer_than_the_error_level(keys: dict[str, float], make: Any) -> None:
    assert _share_that_pass(_policy(**keys), make, 60) <= 0.05 + 2 * (0.05 * 0.95 / 60) ** 0.5


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("keys", "make"),
    [
        ({"ceiling": 0.1}, _at_the_ceiling),
        ({"margin": 0.1}, _at_the_margin),
        ({"min_ratio": 0.8}, _at_the_ratio),
        ({"ceiling": 0.1}, _clusters_in_both),
    ],
)
def test_at_the_limit_a_pass_is_rarer_than_the_error_level_over_many_draws(keys: dict[str, float], make: Any) -> None:
    assert _share_that_pass(_policy(**keys), make, 1500) <= 0.05 + 2 * (0.05 * 0.95 / 1500) ** 0.5


def test_students_with_small_gaps_pass_at_practical_sizes() -> None:
    def even(rng: np.random.Generator) -> tuple[ItemTable, ItemTable]:
        scores, groups = _drawn(rng, {"a": 0.9, "b": 0.9, "c": 0.9}, 600)
        table = _table(scores, groups)
        return table, table

    assert _share_that_pass(_policy(ceiling=0.1), even, 20) >= 0.9


def test_calibration_holds_within_groups() -> None:
    rng = np.random.default_rng(3)
    scores, groups = _drawn(rng, {"a": 0.8, "b": 0.8}, 600)
    declared = {"prediction": ["x"] * 1200, "label": ["x"] * 1200}
    base = _table(scores, groups, **declared)

    def sure(extra: float) -> ItemTable:
        rows = base.to_rows()
        for item, row in enumerate(rows):
            row["confidence"] = 0.8 + (extra if item >= 600 else -extra)
        return ItemTable.from_rows(rows)

    policy = parse_policy(
        "schema: kdgov.policy/1\nname: p\nversion: '1'\ncriteria:\n"
        "  - {id: g, kind: calibration, suite: s, by: [group], margin: 0.05, brier_margin: 0.2, min_items: 100, assay: skip}\n"
    )
    calm, tilted = sure(0.0), sure(0.15)
    assert {r.verdict for r in _results(policy, calm, calm)} == {"pass"}
    found = {(r.metric, r.group): r.verdict for r in _results(policy, calm, tilted)}
    assert found["correct:overconfidence", ""] == "pass", "over all items the two groups cancel"
    assert found["correct:overconfidence", "group=b"] == "fail"
