"""A judge's error: gold on a random part corrects the difference, and a judge that errs on one model alone decides nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kdgov.decision.judgement import judge
from kdgov.decision.policy_diff import policy_difference
from kdgov.decision.statistics.prediction_powered import corrected
from kdgov.declarations.policy_file import parse_policy
from kdgov.errors import DeclarationError
from kdgov.items import ItemTable
from kdgov.report.policy_sentences import policy_text
from tests.command import kdgov

POLICY = """\
schema: kdgov.policy/1
name: judged
version: 1
criteria:
  - {id: quality, kind: non_inferiority, direction: higher, margin: 0.05, min_items: 200, range: [0, 1], assay: skip%s}
findings: {evidence.not-judged: warn}
"""


def truth(rng: np.random.Generator, n: int, *, loss: float, differ: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    teacher = (rng.random(n) < 0.8).astype(float)
    draw = rng.random(n)
    lost, won = (differ + loss) / 1.6, (differ - loss) / 0.4
    return teacher, np.where((teacher == 1) & (draw < lost), 0.0, np.where((teacher == 0) & (draw < won), 1.0, teacher))


def by_judge(rng: np.random.Generator, right: np.ndarray, *, lenient: float = 0.0, noise: float = 0.0) -> np.ndarray:
    noisy = np.where(rng.random(len(right)) < noise, 1 - right, right)
    return np.where(rng.random(len(right)) < lenient, 1.0, noisy)


def rows(scores: np.ndarray, gold: np.ndarray | None = None, known: np.ndarray | None = None) -> list[dict]:
    common = {"suite": "chat", "task": "answers", "metric": "judged"}
    made = [{**common, "item_id": f"i{n}", "score": float(s)} for n, s in enumerate(scores)]
    if gold is not None and known is not None:
        for n in np.flatnonzero(known):
            made[n]["gold"] = float(gold[n])
    return made


def part(rng: np.random.Generator, n: int, count: int) -> np.ndarray:
    known = np.zeros(n, dtype=bool)
    known[rng.permutation(n)[:count]] = True
    return known


def decided(teacher: list[dict], student: list[dict], gold: str = ""):
    policy = parse_policy(POLICY % gold)
    return judge(ItemTable.from_rows(teacher), ItemTable.from_rows(student), policy).criteria[0]


def test_a_judge_that_is_twenty_points_off_on_the_student_alone_does_not_decide():
    rng = np.random.default_rng(0)
    teacher, student = truth(rng, 2000, loss=0.1)
    lenient = by_judge(rng, student, lenient=0.2 / (1 - student.mean()))
    assert lenient.mean() - student.mean() == pytest.approx(0.2, abs=0.03)
    assert decided(rows(teacher), rows(lenient)).verdict == "pass"
    demanded = decided(rows(teacher), rows(lenient), ", gold: {min_items: 200}")
    assert demanded.verdict == "inconclusive"
    assert "judge not validated on these models: 0 items of 2,000 carry gold of both" in demanded.reason
    known = part(rng, 2000, 400)
    found = decided(rows(teacher, teacher, known), rows(lenient, student, known), ", gold: {min_items: 200}")
    assert (found.verdict, found.method) == ("fail", "ppi++")
    assert found.difference == pytest.approx(-0.1, abs=0.05)
    assert found.details["judge_difference"] > 0.05
    assert found.details["judge_bias_student"] == pytest.approx(0.2, abs=0.05)
    assert found.details["judge_bias_teacher"] == 0
    assert "the judge alone says +" in found.reason
    assert "corrected by gold on 400 of 2,000 items" in found.reason


def test_gold_of_one_model_alone_validates_nothing():
    rng = np.random.default_rng(1)
    teacher, student = truth(rng, 1000, loss=0.0)
    known = part(rng, 1000, 300)
    found = decided(rows(teacher), rows(student, student, known), ", gold: {min_items: 200}")
    assert found.verdict == "inconclusive"
    assert "0 items of 1,000 carry gold of both" in found.reason
    # Whoever states gold wants it counted: without the policy's word it is asked for as well.
    assert decided(rows(teacher), rows(student, student, known)).verdict == "inconclusive"


def test_a_judge_that_makes_an_equal_student_look_worse_does_not_block_it():
    rng = np.random.default_rng(2)
    teacher, student = truth(rng, 5000, loss=0.0, differ=0.06)
    harsh = np.where(rng.random(5000) < 0.12, 0.0, student)
    known = part(rng, 5000, 1500)
    assert decided(rows(teacher), rows(harsh)).verdict == "fail"
    assert decided(rows(teacher, teacher, known), rows(harsh, student, known)).verdict == "pass"


def test_items_that_were_picked_by_their_scores_are_no_random_part():
    rng = np.random.default_rng(3)
    teacher, student = truth(rng, 2000, loss=0.0)
    known = part(rng, 2000, 800) & (student == 1)
    found = decided(rows(teacher, teacher, known), rows(student, student, known))
    assert found.verdict == "inconclusive"
    assert "no random part" in found.reason


def test_lower_is_better_and_thresholds_turn_the_gold_alike():
    rng = np.random.default_rng(4)
    teacher, student = truth(rng, 2000, loss=0.1)
    lenient = by_judge(rng, student, lenient=0.9)
    known = part(rng, 2000, 500)
    policy = parse_policy((POLICY % "").replace("higher", "lower"))
    tables = [ItemTable.from_rows(rows(1 - s, 1 - g, known)) for s, g in ((teacher, teacher), (lenient, student))]
    turned = judge(*tables, policy).criteria[0]
    plain = decided(rows(teacher, teacher, known), rows(lenient, student, known))
    assert turned.verdict == plain.verdict == "fail"
    assert (turned.bound, turned.difference) == pytest.approx((plain.bound, plain.difference))
    halves = [rows(s * 0.6, g * 0.6, known) for s, g in ((teacher, teacher), (lenient, student))]
    rate = decided(*halves, ", threshold: 0.5")
    assert (rate.verdict, rate.bound) == ("fail", pytest.approx(plain.bound))


def passes_at_the_margin(runs: int, *, n: int, gold: int, noise: float, lenient: float, margin: float = 0.05) -> float:
    rng = np.random.default_rng([n, gold, int(100 * noise), int(100 * lenient)])
    passed = 0
    for _ in range(runs):
        teacher, student = truth(rng, n, loss=margin)
        judged = by_judge(rng, student, lenient=lenient, noise=noise) - by_judge(rng, teacher, noise=noise)
        found = corrected(judged, np.where(part(rng, n, gold), student - teacher, np.nan), reach=1.0).estimate
        passed += found.interval.bounds(0.05)[0] > -margin and not found.hindrance
    return passed / runs


CELLS = [(1000, 200, 0.0, 0.0), (2000, 300, 0.1, 0.0), (2000, 300, 0.0, 0.5), (5000, 500, 0.05, 0.5), (500, 300, 0.1, 0.0)]


@pytest.mark.parametrize(("n", "gold", "noise", "lenient"), CELLS[1:3])
def test_a_loss_of_the_margin_rarely_passes_whatever_the_judge(n, gold, noise, lenient):
    share = passes_at_the_margin(100, n=n, gold=gold, noise=noise, lenient=lenient)
    assert share <= 0.055 + 2.6 * np.sqrt(0.055 * 0.945 / 100)


@pytest.mark.nightly
@pytest.mark.parametrize(("n", "gold", "noise", "lenient"), CELLS)
def test_the_same_over_many_samples(n, gold, noise, lenient):
    share = passes_at_the_margin(2000, n=n, gold=gold, noise=noise, lenient=lenient)
    assert share <= 0.055 + 2.6 * np.sqrt(0.055 * 0.945 / 2000)


def test_a_good_judge_makes_the_bound_sharper_than_gold_alone():
    rng = np.random.default_rng(6)
    teacher, student = truth(rng, 4000, loss=0.0, differ=0.2)
    known = part(rng, 4000, 1000)
    gold = np.where(known, student - teacher, np.nan)
    judged = by_judge(rng, student, noise=0.02) - by_judge(rng, teacher, noise=0.02)
    helped, alone = (np.ptp(corrected(values, gold, reach=1.0).estimate.interval.bounds(0.05)) for values in (judged, judged * 0.0))
    assert helped < 0.8 * alone
    useless = np.random.default_rng(7).permutation(judged)
    assert np.ptp(corrected(useless, gold, reach=1.0).estimate.interval.bounds(0.05)) <= 1.05 * alone


@pytest.mark.slow
def test_the_command_reads_gold_from_files(tmp_path):
    rng = np.random.default_rng(7)
    teacher, student = truth(rng, 1000, loss=0.12)
    known = part(rng, 1000, 300)
    lenient = by_judge(rng, student, lenient=0.9)
    for name, scores, gold in (("t", teacher, teacher), ("s", lenient, student)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows(scores, gold, known))))
    (tmp_path / "policy.yaml").write_text(POLICY % ", gold: {min_items: 200}")
    asked = ["gate", "--teacher", "t.jsonl", "--student", "s.jsonl", "--policy", "policy.yaml", "--format", "json"]
    done = kdgov(*asked, cwd=tmp_path)
    assert done.code == 1
    found = done.document["criteria"][0]
    assert (found["method"], found["details"]["gold_items"]) == ("ppi++", 300)


def test_a_policy_that_asks_for_less_gold_is_looser():
    policies = [parse_policy(POLICY % text) for text in (", gold: {min_items: 200}", ", gold: {min_items: 100}", "")]
    assert [c.effect for c in policy_difference(policies[0], policies[1])] == ["looser"]
    assert [c.effect for c in policy_difference(policies[0], policies[2])] == ["looser"]
    assert [c.effect for c in policy_difference(policies[2], policies[0])] == ["stricter"]
    assert "with trusted scores of both models on at least 200 items" in policy_text(policies[0])
    with pytest.raises(DeclarationError, match="gold"):
        parse_policy(POLICY % ", gold: {min_items: 200}, statistic: mcc")
    with pytest.raises(DeclarationError, match="30"):
        parse_policy(POLICY % ", gold: {min_items: 5}")
