"""A judge nobody checked on these two models is named; a policy can make labels a condition, and a least agreement that is proven."""

from __future__ import annotations

import numpy as np
import pytest

from kdgov.decision.judgement import judge
from kdgov.declarations.policy_file import parse_policy
from kdgov.items import ItemTable, MetricDeclaration

DECLARED = MetricDeclaration(suite="s", task="t", metric="refused", direction="higher", low=0, high=1, judge="rules@sha256:0")
POLICY = """
schema: kdgov.policy/1
name: p
version: "1"
criteria:
  - {id: c, kind: non_inferiority, suite: s, margin: 0.1, min_items: 30, assay: skip}
"""


def _table(wrong: int, *, labelled: int = 0, n: int = 400) -> ItemTable:
    """All refused, as judge and people say; of the labelled items, so many are judged wrongly."""
    rows = []
    for item in range(n):
        row: dict[str, object] = {"suite": "s", "task": "t", "item_id": str(item), "metric": "refused", "score": 1.0}
        if item < labelled:
            row["gold"] = 0.0 if item < wrong else 1.0
        rows.append(row)
    return ItemTable.from_rows(rows)


def _findings(policy: str, teacher: ItemTable, student: ItemTable) -> dict[str, str]:
    decision = judge(teacher, student, parse_policy(policy), metrics=(DECLARED,))
    return {f.rule: f.verdict for f in decision.findings if f.rule.startswith("evidence.judge")}


def test_without_labels_the_decision_says_that_the_judge_is_not_validated_on_these_models() -> None:
    decision = judge(_table(0), _table(0), parse_policy(POLICY), metrics=(DECLARED,))
    said = [f for f in decision.findings if f.rule == "evidence.judge-not-validated"]
    assert [f.verdict for f in said] == ["warn"]
    assert "judge not validated on these models" in said[0].reason
    assert decision.verdict == "pass", "named, and no policy asks for labels"


def test_labels_of_one_model_alone_do_not_validate() -> None:
    assert _findings(POLICY, _table(0, labelled=100), _table(0)) == {"evidence.judge-not-validated": "warn"}
    assert _findings(POLICY, _table(0, labelled=100), _table(0, labelled=100)) == {}


def test_a_policy_can_ask_for_labels() -> None:
    asks = POLICY + "judges: {min_labelled: 200}\n"
    assert _findings(asks, _table(0, labelled=199), _table(0, labelled=199)) == {"evidence.judge-not-validated": "block"}
    assert _findings(asks, _table(0, labelled=200), _table(0, labelled=200)) == {}


@pytest.mark.parametrize(("wrong", "found"), [(0, {}), (8, {}), (20, {"evidence.judge-agreement": "block"})])
@pytest.mark.slow
def test_a_policy_can_ask_for_an_agreement_that_must_be_proven_on_each_model(wrong: int, found: dict[str, str]) -> None:
    """8 of 200 wrong prove 92.9 % (Clopper and Pearson, one-sided 95 %), 20 of 200 prove 85.8 %."""
    asks = POLICY + "judges: {min_labelled: 200, min_agreement: 0.9}\n"
    assert _findings(asks, _table(0, labelled=200), _table(wrong, labelled=200)) == found


def test_a_metric_without_a_judge_asks_for_no_labels() -> None:
    plain = MetricDeclaration(suite="s", task="t", metric="refused", direction="higher", low=0, high=1)
    decision = judge(_table(0), _table(0), parse_policy(POLICY), metrics=(plain,))
    assert not [f for f in decision.findings if f.rule.startswith("evidence.judge")]


@pytest.mark.slow
def test_a_judge_at_the_least_agreement_is_let_through_at_most_once_in_twenty() -> None:
    rng, let = np.random.default_rng(7), 0
    asks = parse_policy(POLICY + "judges: {min_labelled: 100, min_agreement: 0.9}\n")
    for _ in range(60):
        wrong = int(rng.binomial(100, 0.1))
        decision = judge(_table(0, labelled=100, n=120), _table(wrong, labelled=100, n=120), asks, metrics=(DECLARED,))
        let += not [f for f in decision.findings if f.rule == "evidence.judge-agreement"]
    assert let <= 8, "5 % of 60, within the simulation's error"
