"""Coverage: one distribution is not told apart, another task is, and the error rate is the stated one."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from kdgov.checks.findings.coverage import auc, sample_texts, two_sample_test
from kdgov.errors import InputError
from tests.benchmarks.labelled import sentence
from tests.checks.conftest import World
from tests.checks.test_violations import TODAY


def texts(seed: int, n: int, extra: str = "") -> list[str]:
    rng = random.Random(seed)
    return [f"{extra} {sentence(rng)} {sentence(rng)}".strip() for _ in range(n)]


def test_auc_is_the_share_of_ordered_pairs_with_ties_half():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 5, 60).astype(float), (rng.random(60) < 0.4).astype(float)
    pairs = [(a > b) + (a == b) / 2 for a, p in zip(scores, labels, strict=True) if p for b, q in zip(scores, labels, strict=True) if not q]
    assert auc(scores, labels) == pytest.approx(np.mean(pairs))


def test_one_distribution_is_not_told_apart_and_the_error_rate_holds():
    """Forty repetitions under the null: p below 0.05 in about two of them; never more than six (chance below 1 in 500)."""
    p_values = [two_sample_test(texts(2 * s, 120), texts(2 * s + 1, 120), seed=s).p_value for s in range(40)]
    assert sum(p < 0.05 for p in p_values) <= 6


def test_another_task_is_told_apart():
    shift = two_sample_test(texts(1, 200), [f"How do I reset the router of line {n}?" for n in range(200)])
    assert shift.lower > 0.9
    assert shift.p_value < 1e-6
    assert shift.unknown_words > 0.4


def test_a_few_foreign_words_are_a_small_shift():
    mixed = [f"zyx {t}" if n % 4 == 0 else t for n, t in enumerate(texts(3, 300))]
    shift = two_sample_test(texts(4, 300), mixed)
    assert 0.5 < shift.auc < 0.75


def test_samples_do_not_depend_on_the_order_of_rows(tmp_path):
    rows = [json.dumps({"text": t}) for t in texts(5, 300)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    (tmp_path / "b.jsonl").write_text("\n".join(reversed(rows)))
    assert sample_texts([tmp_path / "a.jsonl"], size=50) == sample_texts([tmp_path / "b.jsonl"], size=50)


def test_data_off_the_task_warns_and_data_on_it_passes(world: World):
    world.rows = [{"prompt": p, "completion": "no"} for p in texts(6, 80)]
    found = world.rules(today=TODAY)["coverage.shifted"]
    assert found.verdict == "warn"
    assert found.details["auc_lower_95"] > 0.75
    world.rows = [{"prompt": f"How many are {n}?", "completion": "no"} for n in range(40, 80)]
    world.data["files"] = [{"path": "data.jsonl"}]
    assert "coverage.alike" in {f.rule for f in world.findings(today=TODAY)}


def test_too_few_texts_are_said_to_be_too_few(world: World):
    world.rows = world.rows[:10]
    assert world.rules(today=TODAY)["coverage.not-testable"].verdict == "warn"


def test_a_field_that_no_input_has_is_an_input_fault(world: World):
    world.release["production_inputs"]["field"] = "question"
    with pytest.raises(InputError, match=r"production_inputs\.field"):
        world.findings(today=TODAY)
