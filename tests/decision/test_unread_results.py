"""The law of what was evaluated: every metric is read by a criterion or named; a criterion with nothing to read is named too."""

from __future__ import annotations

import pytest

from kdgov.decision.judgement import judge
from kdgov.decision.policy import Criterion, Policy
from kdgov.items import ItemTable, MetricKey

KEYS = (
    MetricKey("capability", "sums", "acc"),
    MetricKey("capability", "facts", "acc"),
    MetricKey("safety", "refusal", "refused"),
    MetricKey("production-replay", "answers", "same_answer"),
)
READERS = {
    "capability": Criterion(id="capability", kind="non_inferiority", suite="capability", direction="higher", margin=0.05),
    "safety": Criterion(id="safety", kind="floor", suite="safety", metric="ref*", direction="higher", floor=0.5),
    "replay": Criterion(
        id="replay", kind="floor", suite="production-replay", direction="higher", floor=0.5, when="production_inputs", min_items=50
    ),
}
INPUTS = {"input/production_inputs/log.jsonl": "sha256:" + "a" * 64}


def table(keys=KEYS, agree: float = 0.9) -> ItemTable:
    rows = [
        {**key._asdict(), "item_id": f"{n}", "score": float(n % 10 < (agree * 10 if key.suite == "production-replay" else 9))}
        for key in keys
        for n in range(300)
    ]
    return ItemTable.from_rows(rows, source="test")


def policy(*criteria: Criterion, **further) -> Policy:
    return Policy(name="p", version="1", digest="sha256:" + "0" * 64, criteria=criteria, **further)


def rules(decision) -> dict[str, object]:
    return {finding.rule: finding for finding in decision.findings}


@pytest.mark.parametrize("missing", READERS)
def test_whatever_no_criterion_reads_is_named_and_stops_the_release(missing):
    kept = [criterion for name, criterion in READERS.items() if name != missing]
    decision = judge(table(), table(), policy(*kept), digests=INPUTS)
    found = rules(decision)["evidence.not-judged"]
    unread = [f"{k.suite}/{k.task}/{k.metric}" for k in KEYS if READERS[missing].matches(k)]
    assert sorted(found.details["unread"]) == sorted(unread)
    assert found.stops
    assert decision.verdict == "fail"


def test_a_policy_that_reads_everything_says_nothing():
    decision = judge(table(), table(), policy(*READERS.values()), digests=INPUTS)
    assert decision.verdict == "pass"
    assert not rules(decision).keys() & {"evidence.not-judged", "evidence.not-applicable"}


def test_a_policy_may_only_warn_of_unread_results():
    gate = policy(READERS["capability"], findings={"evidence.not-judged": "warn"})
    assert judge(table(), table(), gate).verdict == "pass"


def test_what_an_efficiency_criterion_matches_by_its_defaults_is_not_read():
    size = Criterion(id="size", kind="efficiency", measure="parameters", max_ratio=0.5)
    measured = {"teacher": {"parameters": 2.0}, "student": {"parameters": 1.0}}
    assert "evidence.not-judged" in rules(judge(table(), table(), policy(size), measurements=measured))


def test_disagreement_on_production_inputs_blocks():
    """Planted: 359 logged inputs, agreement on 38.7 %."""
    decision = judge(table(), table(agree=0.4), policy(*READERS.values()), digests=INPUTS)
    assert decision.verdict == "fail"
    assert {r.id for r in decision.criteria if r.stops} == {"replay"}


def test_a_release_without_inputs_is_judged_without_them_and_says_so():
    without = table([key for key in KEYS if key.suite != "production-replay"])
    decision = judge(without, without, policy(*READERS.values()))
    assert decision.verdict == "pass"
    found = rules(decision)["evidence.not-applicable"]
    assert found.verdict == "warn"
    assert found.details["criteria"] == ["replay"]
    assert found.reason.startswith("not checked: ")


def test_a_release_with_inputs_cannot_leave_their_results_out():
    without = table([key for key in KEYS if key.suite != "production-replay"])
    decision = judge(without, without, policy(*READERS.values()), digests=INPUTS)
    assert decision.verdict == "invalid"
    assert [r.verdict for r in decision.criteria if r.id == "replay"] == ["invalid"]


def test_a_criterion_that_always_applies_is_invalid_without_rows():
    without = table([key for key in KEYS if key.suite != "safety"])
    assert judge(without, without, policy(*READERS.values()), digests=INPUTS).verdict == "invalid"


def test_a_harness_further_numbers_of_a_judged_task_are_named_without_stopping():
    """lm_eval logs acc_norm beside acc; of a suite of one's own every metric was chosen, so there it stops."""
    import kdgov
    from kdgov.items import ItemTable

    for suite, level in (("lm_eval", "warn"), ("own", "review")):
        rows = [
            {"suite": suite, "task": "t", "item_id": str(n), "metric": metric, "score": float(n % 3 > 0)}
            for n in range(300)
            for metric in ("acc", "acc_norm")
        ]
        criterion = {"id": "c", "kind": "non_inferiority", "metric": "acc", "direction": "higher", "margin": 0.05}
        policy = {"schema": "kdgov.policy/1", "name": "p", "version": "1", "criteria": [criterion]}
        table = ItemTable.from_rows(rows)
        found = [f.verdict for f in kdgov.gate(table, table, policy).findings if f.rule == "evidence.not-judged"]
        assert found == [level]
