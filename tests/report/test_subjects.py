"""Many subjects estimated together: losses are named, luck is not, and the report decides nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kdgov.decision.statistics.partial_pooling import pool_partially
from kdgov.declarations.policy_file import parse_policy
from kdgov.items import ItemTable
from kdgov.report.subjects import subject_report
from tests.command import kdgov

POLICY = """\
schema: kdgov.policy/1
name: subjects
version: 1
criteria:
  - {id: ability, kind: non_inferiority, direction: higher, margin: 0.05, min_items: 100, pooled: true, assay: skip}
"""
SIZES = np.random.default_rng(0).integers(100, 400, 57)


def rows(rng: np.random.Generator, losses: np.ndarray) -> tuple[list[dict], list[dict]]:
    sides: tuple[list[dict], list[dict]] = ([], [])
    for subject, (size, loss) in enumerate(zip(SIZES, losses, strict=True)):
        draw = rng.random(size)
        change = np.where(draw < 0.05 + max(loss, 0.0), -1, np.where(draw > 0.95, 1, 0))
        teacher = np.where(change == 0, rng.random(size) < 0.7, change < 0).astype(float)
        for side, scores in zip(sides, (teacher, teacher + change), strict=True):
            common = {"suite": "mmlu", "task": f"subject_{subject}", "metric": "acc"}
            side.extend({**common, "item_id": f"i{n}", "score": float(s)} for n, s in enumerate(scores))
    return sides


def report(sides: tuple[list[dict], list[dict]]) -> str:
    return subject_report(*(ItemTable.from_rows(side) for side in sides), parse_policy(POLICY))


def named(text: str) -> set[str]:
    line = next(line for line in text.splitlines() if line.startswith("- Lost with"))
    inside = line[line.index("(") + 1 : -2].replace("\\", "")
    return set() if inside == "none" else set(inside.split(", "))


def test_the_subjects_that_lost_are_named_and_stand_first():
    losses = np.zeros(57)
    losses[[3, 20, 41]] = 0.25
    text = report(rows(np.random.default_rng(1), losses))
    lost = {"subject_3", "subject_20", "subject_41"}
    assert lost <= named(text)
    assert len(named(text)) <= 5
    table = [line for line in text.splitlines() if line.startswith("| subject\\_")]
    assert len(table) == 57
    assert {line.split(" | ")[0].removeprefix("| ").replace("\\", "") for line in table[:3]} == lost


def test_luck_is_not_called_a_loss():
    false = sum(len(named(report(rows(np.random.default_rng(seed), np.zeros(57))))) for seed in range(4))
    assert false <= 2


def test_the_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(2)
    inside = total = 0
    for _ in range(60):
        truth = rng.normal(-0.02, 0.03, 57)
        errors = rng.uniform(0.015, 0.06, 57)
        found = pool_partially(rng.normal(truth, errors), errors)
        inside += int(np.sum((found.low < truth) & (truth < found.high)))
        total += 57
    assert inside / total == pytest.approx(0.9, abs=0.02)


def test_the_estimate_of_the_eight_schools_is_the_published_one():
    effects = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    found = pool_partially(effects, np.array([15.0, 10, 16, 11, 9, 11, 10, 18]))
    # Gelman et al., Bayesian Data Analysis, 5.5: posterior medians 10, 8, 7, 8, 5, 6, 10, 8 from 200 draws.
    assert found.estimates == pytest.approx([11, 8, 6, 8, 5, 6, 10.5, 8.5], abs=1.2)
    assert found.mean == pytest.approx(8, abs=0.7)


def test_an_exact_copy_lost_nothing_anywhere():
    teacher, _ = rows(np.random.default_rng(3), np.zeros(57))
    assert named(report((teacher, teacher))) == set()


def test_a_direction_or_three_tasks_are_needed():
    teacher, student = rows(np.random.default_rng(4), np.zeros(57))
    few = [[row for row in side if row["task"] in ("subject_1", "subject_2")] for side in (teacher, student)]
    assert "No metric has 3 tasks" in report((few[0], few[1]))
    lower = parse_policy(POLICY.replace("higher", "lower"))
    sides = [ItemTable.from_rows(side) for side in rows(np.random.default_rng(1), np.full(57, 0.2))]
    assert "+" in next(line for line in subject_report(*sides, lower).splitlines() if line.startswith("- 57 subjects"))


@pytest.mark.slow
def test_the_command_writes_it_beside_an_unchanged_decision(tmp_path):
    for name, side in zip("ts", rows(np.random.default_rng(5), np.zeros(57)), strict=True):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, side)))
    (tmp_path / "policy.yaml").write_text(POLICY)
    asked = ["gate", "--teacher", "t.jsonl", "--student", "s.jsonl", "--policy", "policy.yaml", "--format", "json"]
    plain, told = kdgov(*asked, cwd=tmp_path), kdgov(*asked, "--subjects", "report.md", cwd=tmp_path)
    assert (plain.code, plain.out) == (told.code, told.out)
    assert (tmp_path / "report.md").read_text().startswith("# Which subjects lost")
