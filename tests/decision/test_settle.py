"""Waivers and approvals: bound to one decision, dated, owned, and never for what cannot be waived."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kdgov.decision.decision import Approval, Waiver
from kdgov.decision.judgement import judge
from kdgov.decision.policy import WaiverRules
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.report.verdict_header import verdict_header

TEACHER = np.array([1.0] * 800 + [0.0] * 200)
WORSE = np.array([1.0] * 600 + [0.0] * 400)


@pytest.fixture
def failing(table, policy):
    """A failing decision and a waiver that would lift it."""
    base = judge(table(TEACHER), table(WORSE), policy())
    waiver = Waiver(decision=base.digest, criterion="c", owner="risk", reason="known", issued="2026-01-01", expires="2026-02-01")

    def decide(changed: Waiver = waiver, as_of: str = "2026-01-15", **fields):
        return judge(table(TEACHER), table(WORSE), policy(**fields), waivers=[changed], as_of=as_of)

    return base, waiver, decide


def test_a_valid_waiver_promotes_and_is_listed(failing):
    base, _, decide = failing
    decision = decide()
    assert base.verdict == "fail"
    assert decision.verdict == "pass"
    assert decision.base == base.digest
    assert decision.waivers[0]["state"] == "applied"
    assert decision.criteria[0].verdict == "fail"
    assert decision.criteria[0].waived
    assert "waiver" in decision.reason


@pytest.mark.parametrize(
    ("changes", "as_of", "words"),
    [
        ({"expires": "2026-01-10"}, "2026-01-15", "expired"),
        ({}, "2026-02-02", "expired"),
        ({"decision": "sha256:" + "0" * 64}, "2026-01-15", "another decision"),
        ({"criterion": "other"}, "2026-01-15", "no such criterion"),
        ({"place": "elsewhere"}, "2026-01-15", "no such criterion"),
        ({"owner": " "}, "2026-01-15", "no owner"),
        ({"reason": ""}, "2026-01-15", "no reason"),
        ({"expires": "2027-01-01"}, "2026-01-15", "longer than the 90 days"),
        ({"issued": "2026-01-20"}, "2026-01-15", "future"),
        ({"expires": "soon"}, "2026-01-15", "not YYYY-MM-DD"),
    ],
)
def test_any_other_waiver_is_refused_with_its_reason(failing, changes, as_of, words):
    _, waiver, decide = failing
    decision = decide(replace(waiver, **changes), as_of)
    assert decision.verdict == "fail"
    assert words in decision.waivers[0]["state"]


def test_a_waiver_holds_through_its_last_day(failing):
    assert failing[2](as_of="2026-02-01").verdict == "pass"


def test_a_policy_may_forbid_waivers_or_some_of_them(table, policy, failing):
    _, waiver, _ = failing
    for rules in (WaiverRules(allowed=False), WaiverRules(never=("c*",))):
        gate = policy(waivers=rules)
        base = judge(table(TEACHER), table(WORSE), gate)
        decision = judge(table(TEACHER), table(WORSE), gate, waivers=[replace(waiver, decision=base.digest)], as_of="2026-01-15")
        assert decision.verdict == "fail"


def test_an_invalid_result_cannot_be_waived(table, policy, failing):
    _, waiver, _ = failing
    gate = policy(direction=None)
    base = judge(table(TEACHER), table(WORSE), gate)
    decision = judge(table(TEACHER), table(WORSE), gate, waivers=[replace(waiver, decision=base.digest)], as_of="2026-01-15")
    assert decision.verdict == "invalid"
    assert "invalid result" in decision.waivers[0]["state"]


@pytest.mark.parametrize(("verdict", "expected"), [("review", "pass"), ("block", "fail")])
def test_a_finding_under_review_may_be_waived_and_a_blocking_one_may_not(table, policy, failing, verdict, expected):
    _, waiver, _ = failing
    finding = Finding(check="licence", verdict=verdict, subject="data", reason="unclear", rule="licence.review")
    base = judge(table(TEACHER), table(TEACHER), policy(), findings=[finding])
    own = replace(waiver, decision=base.digest, criterion="licence.review")
    assert judge(table(TEACHER), table(TEACHER), policy(), findings=[finding], waivers=[own], as_of="2026-01-15").verdict == expected


def test_waivers_without_a_day_are_an_input_fault(table, policy, failing):
    with pytest.raises(InputError):
        failing[2](as_of="")


def test_demanded_approvals_are_awaited_and_then_given(table, policy):
    gate = policy(approvals=("model_owner", "risk"))
    base = judge(table(TEACHER), table(TEACHER), gate)
    assert base.verdict == "inconclusive"
    assert "approval of model_owner and risk is awaited" in base.reason
    owner, risk = (Approval(decision=base.digest, role=role, by="a person") for role in gate.approvals)
    assert judge(table(TEACHER), table(TEACHER), gate, approvals=[owner]).verdict == "inconclusive"
    settled = judge(table(TEACHER), table(TEACHER), gate, approvals=[owner, risk])
    assert settled.verdict == "pass"
    assert [row["state"] for row in settled.approvals] == ["given", "given"]


def test_an_approval_of_another_decision_does_not_count(table, policy):
    gate = policy(approvals=("risk",))
    other = Approval(decision="sha256:" + "0" * 64, role="risk", by="a person")
    decision = judge(table(TEACHER), table(TEACHER), gate, approvals=[other])
    assert decision.verdict == "inconclusive"
    assert "another decision" in decision.approvals[0]["state"]


def test_approvals_never_lift_a_failure(table, policy):
    gate = policy(approvals=("risk",))
    base = judge(table(TEACHER), table(WORSE), gate)
    approved = judge(table(TEACHER), table(WORSE), gate, approvals=[Approval(decision=base.digest, role="risk", by="a person")])
    assert approved.verdict == "fail"


@pytest.mark.parametrize("level", [{}, {"evidence.*": "warn"}])
def test_a_part_that_somebody_chose_never_passes_and_no_waiver_lifts_it(table, policy, level):
    part = Finding(
        check="evidence", verdict="warn", subject="capability/qa", rule="evidence.limited", reason="A limit.", mend="Ask all of them.",
        details={"items": 1000, "of_suite": 4000},
    )  # fmt: skip
    rules = policy(findings=level)
    looked = judge(table(TEACHER), table(TEACHER), rules, findings=[part])
    assert looked.verdict == "inconclusive"
    assert "capability/qa: 1,000 of 4,000 items" in looked.reason
    header = verdict_header(looked)
    assert "may be promoted" not in header.answer
    assert header.fix == "Ask all of them."
    waiver = Waiver(
        decision=looked.digest, criterion="evidence.limited", owner="r", reason="known", issued="2026-01-01", expires="2026-02-01"
    )
    again = judge(table(TEACHER), table(TEACHER), rules, findings=[part], waivers=[waiver], as_of="2026-01-15")
    assert again.verdict == "inconclusive"
    assert judge(table(TEACHER), table(WORSE), rules, findings=[part]).verdict == "fail"
