"""The number of items that "would decide it" does: as many items with the same rates are no longer open."""

from __future__ import annotations

import numpy as np
import pytest

from kdgov.decision.judgement import judge
from kdgov.decision.policy import Criterion
from kdgov.decision.statistics.methods import compare
from kdgov.decision.statistics.sizes.sample_size_projection import settling_items


def repeated(values: np.ndarray, n: int) -> np.ndarray:
    """At least ``n`` values with the very rates of those given."""
    return np.tile(values, -(-n // len(values)))


def few_losses() -> tuple[np.ndarray, np.ndarray]:
    """A fine continuous score, equal but for three large losses."""
    teacher = np.linspace(0.2, 0.8, 200)
    student = teacher.copy()
    student[:3] -= 0.2
    return teacher, student


def constant_loss() -> tuple[np.ndarray, np.ndarray]:
    teacher = np.linspace(0.2, 0.8, 200)
    return teacher, teacher - 0.015


@pytest.mark.parametrize("tables", [few_losses, constant_loss])
def test_hardly_any_odd_items_are_settled_by_as_many_as_named(table, policy, tables):
    teacher, student = tables()
    gate = policy(margin=0.02, low=0.0, high=1.0)
    (result,) = judge(table(teacher), table(student), gate).criteria
    assert (result.verdict, result.method) == ("inconclusive", "few-events")
    assert result.n_needed > result.n + 1
    needed = result.n_needed
    (settled,) = judge(table(repeated(teacher, needed)), table(repeated(student, needed)), gate).criteria
    assert settled.verdict == "pass"
    below = needed // 2
    (still,) = judge(table(repeated(teacher, below)[:below]), table(repeated(student, below)[:below]), gate).criteria
    assert still.verdict == "inconclusive"


def test_overconfidence_of_one_size_is_settled_by_as_many_items_as_named(table, policy):
    right = np.array([1.0, 1.0, 1.0, 0.0] * 25)
    sure = np.linspace(0.5, 0.7, 100)
    gate = policy(Criterion(id="c", kind="calibration", margin=0.05, brier_margin=0.5))

    def judged(times: int) -> tuple:
        columns = [np.tile(sure + more, times) for more in (0.0, 0.04)]
        tables = [table(np.tile(right, times), confidence=[float(c) for c in column]) for column in columns]
        return judge(*tables, gate).criteria[0]

    result = judged(1)
    assert result.verdict == "inconclusive"
    assert result.n_needed > 101
    assert judged(-(-result.n_needed // 100)).verdict == "pass"


def test_where_clusters_are_lacking_no_number_of_items_is_named(table, policy):
    clusters = [f"c{n // 50}" for n in range(1000)]
    scores = np.array([1.0, 1.0, 1.0, 0.0] * 250)
    (result,) = judge(table(scores, cluster=clusters), table(scores, cluster=clusters), policy(min_items=2000)).criteria
    assert (result.verdict, result.n_needed) == ("inconclusive", None)
    assert "the policy asks for 2000; 20 clusters; at least 30 are needed" in result.reason


def test_an_open_bound_over_clusters_is_settled_by_as_many_clusters_as_named(table, policy):
    teacher, student = np.ones(400), np.ones(400)
    student[:10] = 0.0
    gate = policy(margin=0.06)
    (result,) = judge(*(table(s, cluster=[f"c{n // 10}" for n in range(400)]) for s in (teacher, student)), gate).criteria
    assert result.verdict == "inconclusive"
    many = -(-result.n_needed // 400) * 400
    tables = [table(repeated(s, many), cluster=[f"c{n // 10}" for n in range(many)]) for s in (teacher, student)]
    assert judge(*tables, gate).criteria[0].verdict == "pass"


def test_a_floor_that_rests_on_few_items_names_how_many_more(table, policy):
    scores = np.full(300, 0.9)
    scores[:2] = 0.1
    gate = policy(Criterion(id="c", kind="floor", direction="higher", floor=0.5, low=0.0, high=1.0))
    (result,) = judge(table(scores), table(scores), gate).criteria
    assert result.verdict == "inconclusive"
    more = repeated(scores, result.n_needed)
    assert judge(table(more), table(more), gate).criteria[0].verdict == "pass"
    constant = np.full(300, 0.9)
    (result,) = judge(table(constant), table(constant), gate).criteria
    assert (result.verdict, result.n_needed) == ("inconclusive", None)
    assert "the mean rests on about 0 items" in result.reason


def test_canaries_under_a_ceiling_are_settled_by_as_many_as_named(table, policy):
    exposures = np.array([0.5, 1.0, 2.0, 0.1, 3.0, 1.2, 0.7, 0.2, 4.0, 1.5, 0.9, 0.3])
    gate = policy(Criterion(id="c", kind="exposure", ceiling=1.8, min_items=10, assay="skip"))
    (result,) = judge(table(exposures), table(exposures), gate).criteria
    assert result.verdict == "inconclusive"
    assert f"about {result.n_needed} canaries would decide it" in result.reason
    more = repeated(exposures, result.n_needed)
    assert judge(table(more), table(more), gate).criteria[0].verdict == "pass"


def test_a_difference_at_the_very_margin_is_never_settled():
    interval = compare(np.array([1.0] * 100), np.array([1.0] * 98 + [0.0] * 2)).interval

    def is_open(items: int) -> bool:
        low, high = interval.grown(items / 100).bounds(0.05)
        return low <= -0.02 <= high

    assert settling_items(is_open, 100) is None
