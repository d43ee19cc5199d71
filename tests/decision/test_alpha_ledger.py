"""One error level over all students and releases on the same items: spent by a rule, and remembered in a ledger."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from kdgov.decision.judgement import judge
from kdgov.decision.multiple_comparisons import level_share
from kdgov.decision.policy_diff import policy_difference
from kdgov.declarations.policy_file import parse_policy
from kdgov.errors import DeclarationError
from kdgov.evidence.policy_history import PolicyHistory
from kdgov.report.policy_sentences import policy_text
from tests.command import kdgov
from tests.decision.conftest import gated

POLICY = """\
schema: kdgov.policy/1
name: spending
version: 1
criteria:
  - {id: ability, kind: non_inferiority, direction: higher, margin: 0.05, min_items: 100, assay: skip}
%s"""
RECIPROCAL = POLICY % "alpha: {spend: reciprocal, ledger: ledger.json}\n"


@pytest.mark.parametrize("rule", ["reciprocal", "halving"])
def test_all_shares_together_are_no_more_than_the_whole_level(policy, rule):
    shares = [level_share(policy(spend=rule), look) for look in range(1, 2000)]
    assert 0.999 < sum(shares) <= 1.0 + 1e-12
    assert shares == sorted(shares, reverse=True)


def test_the_decision_uses_and_names_the_level(table, policy):
    used = policy(margin=0.05, spend="reciprocal")
    scores = [1.0] * 850 + [0.0] * 150
    first, third = (judge(table(scores), table(scores), used, looks=k) for k in (1, 3))
    assert [d.criteria[0].confidence for d in (first, third)] == pytest.approx([0.975, 1 - 0.05 / 12])
    told = next(f for f in third.findings if f.rule == "evidence.looks")
    assert told.details["share"] == pytest.approx(1 / 12)
    assert judge(table(scores), table(scores), used, looks=10**6).criteria[0].confidence < 1


@pytest.mark.slow
def test_no_student_of_many_passes_more_often_than_the_level_says(table, policy):
    rng = np.random.default_rng(0)
    used, n, runs, students = policy(margin=0.05, spend="reciprocal"), 500, 120, 6
    ever = 0
    for _ in range(runs):
        for k in range(1, students + 1):
            lost, won = rng.multinomial(n, [0.10, 0.05, 0.85])[:2]
            teacher, student = np.ones(n), np.ones(n)
            student[:lost], teacher[lost : lost + won] = 0, 0
            if judge(table(teacher), table(student), used, looks=k).promotes:
                ever += 1
                break
    assert ever / runs <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / runs)


def test_the_store_counts_over_releases_and_policies(tmp_path, policy):
    first = PolicyHistory(
        store=tmp_path, release="one", evaluation="sha256:e", plan="sha256:p", student="a", policy=policy(spend="reciprocal")
    )
    other_policy = replace(first.policy, digest="sha256:" + "b" * 64)
    counted = []
    for history in (first, replace(first, release="two", student="b"), first, replace(first, student="b", policy=other_policy)):
        counted.append(history.looks())
        history.write()
    assert counted == [1, 2, 1, 3]
    rows = json.loads(next((tmp_path / "alpha-ledgers").iterdir()).read_bytes())["items"]["sha256:p"]
    assert [(row["look"], row["release"], row["levels"]["c"]) for row in rows] == [
        (1, "one", 0.025), (2, "two", pytest.approx(0.05 / 6)), (3, "one", pytest.approx(0.05 / 12)),
    ]  # fmt: skip
    assert replace(first, student="z", plan="sha256:other").looks() == 1


def test_a_release_is_judged_at_its_share(release):
    text = release.policy_path().read_text()
    release.policy_path().write_text(text + "alpha: {spend: halving}\n")
    found = json.loads((gated(release).folder / "decision.json").read_bytes())
    assert next(c for c in found["criteria"] if c["id"] == "ability")["confidence"] == 0.975


@pytest.mark.slow
def test_tables_are_counted_by_the_policys_ledger(tmp_path):
    (tmp_path / "policy.yaml").write_text(RECIPROCAL)
    common = {"suite": "capability", "task": "qa", "metric": "acc"}

    def write(name: str, wrong: int, start: int = 0) -> str:
        rows = [{**common, "item_id": f"i{n + start}", "score": float(n >= wrong)} for n in range(400)]
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
        return name

    def level(student: str, teacher: str = "t.jsonl") -> float:
        done = kdgov("gate", "--teacher", teacher, "--student", student, "--policy", "policy.yaml", "--format", "json", cwd=tmp_path)
        return round(1 - done.document["criteria"][0]["confidence"], 6)

    write("t.jsonl", 40)
    assert level(write("a.jsonl", 41)) == 0.025
    assert level(write("b.jsonl", 42)) == pytest.approx(0.05 / 6, abs=1e-6)
    assert level("a.jsonl") == 0.025
    assert level(write("c.jsonl", 40, 1000), write("t2.jsonl", 40, 1000)) == 0.025
    ledger = json.loads((tmp_path / "ledger.json").read_bytes())
    assert sorted(len(rows) for rows in ledger["items"].values()) == [1, 2]
    (tmp_path / "ledger.json").write_text("{}")
    kdgov("gate", "--teacher", "t.jsonl", "--student", "a.jsonl", "--policy", "policy.yaml", cwd=tmp_path).refuses(2, "is not a ledger")


def test_the_policys_difference_knows_the_rule():
    plain, spent = parse_policy(POLICY % ""), parse_policy(RECIPROCAL)
    assert {c.effect for c in policy_difference(plain, spent)} == {"stricter"}
    assert "looser" in {c.effect for c in policy_difference(spent, plain)}
    assert "spent by the reciprocal rule" in policy_text(spent)
    with pytest.raises(DeclarationError, match="looks: corrected"):
        parse_policy(RECIPROCAL + "looks: corrected\n")
