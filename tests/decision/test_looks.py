"""A student chosen as the best of many on the same items is named, and judged at a divided error level where the policy asks."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from kdgov.decision import judge
from kdgov.decision.decision import rounded
from kdgov.evidence.policy_history import PolicyHistory

TEACHER = [1.0] * 850 + [0.0] * 150
STUDENT = [0.0] * 18 + [1.0] * 832 + [1.0] * 8 + [0.0] * 142
"""18 lost, 8 won of 1,000: the bound lies at -1.9 points at 95 % and at -2.2 at 99 %."""


def test_the_first_student_is_not_spoken_of_and_a_later_one_is(table, policy):
    used = policy(margin=0.02)
    first = judge(table(TEACHER), table(STUDENT), used)
    third = judge(table(TEACHER), table(STUDENT), used, looks=3)
    assert not [f for f in first.findings if f.rule == "evidence.looks"]
    told = [f for f in third.findings if f.rule == "evidence.looks"]
    assert [(f.rule, f.verdict, f.details["looks"]) for f in told] == [("evidence.looks", "warn", 3)]
    assert (first.verdict, third.verdict) == ("pass", "pass")


def test_a_corrected_policy_divides_every_error_level_by_the_number_of_students(table, policy):
    used = policy(margin=0.02, looks="corrected")
    first = judge(table(TEACHER), table(STUDENT), used)
    fifth = judge(table(TEACHER), table(STUDENT), used, looks=5)
    assert (first.verdict, fifth.verdict) == ("pass", "inconclusive")
    assert fifth.criteria[0].confidence == pytest.approx(0.99)
    assert first.policy == fifth.policy


def test_a_policy_may_stop_a_second_look(table, policy):
    decision = judge(table(TEACHER), table(TEACHER), policy(findings={"evidence.looks": "block"}), looks=2)
    assert decision.verdict == "fail"


def test_the_best_of_five_students_at_the_margin_passes_no_more_often_than_one_where_looks_are_corrected(table, policy):
    """Simulated: five equal losses of exactly the margin, the luckiest is handed in."""
    rng = np.random.default_rng(5)
    margin, n, runs = 0.05, 500, 300
    promoted = {"named": 0, "corrected": 0}
    for _ in range(runs):
        lost, won = rng.multinomial(n, [0.10, 0.05, 0.85], size=5)[:, :2].T
        best = int(np.argmax(won - lost))
        teacher = np.ones(n)
        student = np.ones(n)
        student[: lost[best]] = 0
        teacher[lost[best] : lost[best] + won[best]] = 0
        for looks in promoted:
            promoted[looks] += judge(table(teacher), table(student), policy(margin=margin, looks=looks), looks=5).promotes
    assert promoted["corrected"] / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5
    assert promoted["named"] / runs > 0.15


def test_the_store_counts_students_once_each_and_apart_by_items_and_policy(tmp_path, policy):
    first = PolicyHistory(store=tmp_path, release="small", evaluation="sha256:e", plan="sha256:p", student="a", policy=policy())
    counted = []
    for student in ("a", "b", "a", "c", "b"):
        history = replace(first, student=student)
        counted.append(history.looks())
        history.write()
        assert history.looks() == counted[-1]
    assert counted == [1, 2, 1, 3, 2]
    assert replace(first, student="c", plan="sha256:other").looks() == 1
    assert replace(first, student="c", policy=replace(policy(), digest="sha256:" + "b" * 64)).looks() == 1
    assert all(json.loads(file.read_bytes())["release"] == "small" for file in (tmp_path / "looks").iterdir())


def test_asking_for_the_count_writes_nothing(tmp_path, policy):
    history = PolicyHistory(store=tmp_path, release="small", evaluation="sha256:e", plan="sha256:p", student="a", policy=policy())
    assert (history.looks(), history.earlier_policy(), list(tmp_path.iterdir())) == (1, "", [])


def test_results_are_the_first_policys_own_and_a_later_one_is_named(tmp_path, policy):
    first = PolicyHistory(store=tmp_path, release="small", evaluation="sha256:e", plan="sha256:p", student="a", policy=policy())
    first.write()
    later = replace(first, policy=replace(policy(), digest="sha256:" + "b" * 64))
    later.write()
    assert first.earlier_policy() == ""
    assert first.policy.digest[:19] in later.earlier_policy()


def test_the_corrected_level_is_printed_as_it_was_used():
    assert rounded(1.0 - (1.0 - 0.95) / 5) == 0.99
