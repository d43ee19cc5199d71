"""The method follows from the shape of the scores, and its error rate is what it promises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kdgov.decision.statistics.method_table import GATE_METHODS
from kdgov.decision.statistics.methods import absolute, compare
from kdgov.decision.statistics.moments import effective_events, skewness


def clustered(rng: np.random.Generator, *, clusters: int, size: int, icc: float, drop: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs whose losses come in clusters: each cluster's loss rate is a beta variable of mean ``drop``."""
    codes = np.repeat(np.arange(clusters), size)
    strength = (1 - icc) / icc
    rates = rng.beta(drop * strength, (1 - drop) * strength, clusters)
    teacher = np.ones(clusters * size)
    student = (rng.random(clusters * size) >= rates[codes]).astype(float)
    return teacher, student, codes


def test_independent_zero_one_scores_take_tango_with_newcombe_beside_it():
    rng = np.random.default_rng(0)
    teacher = (rng.random(300) < 0.8).astype(float)
    estimate = compare(teacher, teacher)
    assert estimate.interval.method == "tango"
    assert estimate.cross_check is not None


def test_clusters_of_one_are_no_clusters():
    scores = np.array([1.0, 0.0] * 50)
    assert compare(scores, scores, clusters=np.arange(100)).interval.method == "tango"


def test_fewer_than_thirty_clusters_hinder_a_pass():
    scores = np.ones(200)
    few = compare(scores, scores, clusters=np.repeat(np.arange(20), 10))
    enough = compare(scores, scores, clusters=np.repeat(np.arange(40), 5))
    assert "20 clusters" in few.hindrance
    assert enough.hindrance == ""


def test_the_design_effect_is_that_of_the_cluster_variance():
    rng = np.random.default_rng(1)
    teacher, student, codes = clustered(rng, clusters=60, size=30, icc=0.3, drop=0.2)
    difference = student - teacher
    sums = np.bincount(codes, weights=difference - difference.mean())
    robust = np.sqrt(np.sum(sums**2) * 60 / 59) / len(difference)
    naive = difference.var() / len(difference)
    assert compare(teacher, student, clusters=codes).design_effect == pytest.approx(robust**2 / naive)


def test_copies_of_one_item_count_once_even_without_any_disagreement():
    scores = np.ones(1000)
    copied = compare(scores, scores, clusters=np.repeat(np.arange(100), 10))
    single = compare(np.ones(100), np.ones(100), clusters=None)
    assert copied.interval.bounds(0.05)[0] < single.interval.bounds(0.05)[0] + 0.002


def test_no_correlation_is_assumed_where_none_was_seen():
    """Sixty templates without one difference: a collapse of 4.9 % of them is not excluded, of 5 % it is."""
    scores = np.ones(480)
    estimate = compare(scores, scores, clusters=np.repeat(np.arange(60), 8))
    assert estimate.interval.method == "few-events"
    assert estimate.interval.bounds(0.05)[0] == pytest.approx(-(1 - 0.05 ** (1 / 60)))


def test_symmetric_numbers_take_the_paired_t_and_equal_scipy():
    rng = np.random.default_rng(2)
    teacher, noise = rng.normal(0, 1, 200), rng.normal(0.05, 0.4, 200)
    estimate = compare(teacher, teacher + noise)
    assert estimate.interval.method == "paired-t"
    expected = stats.ttest_rel(teacher + noise, teacher).confidence_interval(0.90)
    assert estimate.interval.bounds(0.05) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_skewed_numbers_take_bca():
    rng = np.random.default_rng(3)
    assert compare(np.zeros(200), -rng.exponential(1.0, 200)).interval.method == "bca"


def test_numbers_that_hardly_differ_take_the_exact_bound_on_few_events():
    student = np.zeros(500)
    student[:3] = -0.8
    estimate = compare(np.zeros(500), student, reach=1.0)
    assert estimate.interval.method == "few-events"
    assert estimate.interval.bounds(0.05)[0] == pytest.approx(-stats.binomtest(3, 500).proportion_ci(0.90).high)


def test_identical_numbers_are_no_certainty():
    scores = np.random.default_rng(4).normal(0, 1, 100)
    assert compare(scores, scores, reach=1.0).interval.bounds(0.05)[0] == pytest.approx(-(1 - 0.05 ** (1 / 100)))


def test_a_shift_of_all_items_is_seen_although_hardly_any_spread_is():
    """Every item loses 0.1, three lose less: no bound may call that open."""
    difference = np.full(1000, -0.1)
    difference[:3] = -0.02
    estimate = compare(np.zeros(1000), difference, reach=1.0)
    assert estimate.interval.method == "few-events"
    assert estimate.interval.bounds(0.05)[1] < -0.08


def test_effective_events_count_the_odd_items():
    difference = np.zeros(1000)
    difference[:7] = -1.0
    assert effective_events(difference) == pytest.approx(7.0)
    assert effective_events(np.zeros(10)) == 0.0
    assert effective_events(np.random.default_rng(5).normal(0, 1, 3000)) == pytest.approx(1000, rel=0.1)


def test_skewness_equals_scipy():
    values = np.random.default_rng(6).lognormal(0, 1, 300)
    assert skewness(values) == pytest.approx(stats.skew(values))


def test_one_proportion_is_exact():
    scores = np.array([1.0] * 12 + [0.0] * 188)
    expected = stats.binomtest(12, 200).proportion_ci(0.90, method="exact")
    assert absolute(scores).interval.bounds(0.05) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_clustered_binary_keeps_its_level_where_the_item_level_bound_does_not():
    """True loss at the margin, 40 clusters of 20, correlation 0.1: the clustered bound promotes at most 6 %, Tango far more."""
    rng = np.random.default_rng(7)
    runs, honest, naive = 400, 0, 0
    for _ in range(runs):
        teacher, student, codes = clustered(rng, clusters=40, size=20, icc=0.1, drop=0.10)
        honest += compare(teacher, student, clusters=codes).interval.bounds(0.05)[0] > -0.10
        naive += compare(teacher, student).interval.bounds(0.05)[0] > -0.10
    assert honest / runs <= 0.06
    assert naive / runs >= 0.12


def test_rare_harm_does_not_slip_through_as_it_does_with_a_t_test():
    """2 % of 300 items become very bad, mean loss exactly the margin: the t bound promotes above 8 %, the gate's at most 6 %."""
    rng = np.random.default_rng(8)
    runs, gate, student_t = 300, 0, 0
    for _ in range(runs):
        loss = np.where(rng.random(300) < 0.02, rng.uniform(0.5, 1.0, 300), 0.0)
        difference = -loss + rng.normal(0, 0.002, 300)
        gate += compare(np.zeros(300), difference, reach=1.0).interval.bounds(0.05)[0] > -0.015
        width = stats.t.ppf(0.95, 299) * difference.std(ddof=1) / np.sqrt(300)
        student_t += difference.mean() - width > -0.015
    assert student_t / runs > 0.08
    assert gate / runs <= 0.07


@pytest.mark.parametrize("odd", [0, 1])
@pytest.mark.parametrize("clusters", [None, np.arange(400) // 10])
def test_rounding_decides_no_method(odd, clusters):
    """A constant loss over uneven scores leaves differences that differ in their last bit; over even ones it does not."""
    rough = np.random.default_rng(0).normal(0, 1, 400)
    students = [scores - 0.2 for scores in (np.zeros(400), rough)]
    found = []
    for teacher, student in zip((np.zeros(400), rough), students, strict=True):
        student[:odd] = teacher[:odd]
        found.append(compare(teacher, student, clusters=clusters, reach=1.0).interval)
    assert [interval.method for interval in found] == ["few-events", "few-events"]
    assert found[0].bounds(0.05) == pytest.approx(found[1].bounds(0.05), abs=1e-12)
    assert found[0].bounds(0.05)[0] < -0.2


def test_every_method_has_its_row_in_the_documentation(project_root):
    text = (project_root / "docs" / "gate.md").read_text()
    assert [m.name for m in GATE_METHODS if f"| `{m.name}` | {m.shape} | {m.source} |" not in text] == []


def test_every_method_that_is_printed_has_a_row():
    rng = np.random.default_rng(9)
    binary, numbers, codes = (rng.random(300) < 0.8).astype(float), rng.normal(0, 1, 300), np.arange(300) // 5
    skewed = -rng.exponential(1.0, 300)
    found = {
        compare(binary, 1 - binary).interval.method,
        compare(binary, 1 - binary, clusters=codes).interval.method,
        compare(numbers, numbers + rng.normal(0, 1, 300), reach=9.0).interval.method,
        compare(numbers, numbers + rng.normal(0, 1, 60)[codes], clusters=codes, reach=9.0).interval.method,
        compare(np.zeros(300), skewed, reach=9.0).interval.method,
        compare(numbers, numbers, reach=9.0).interval.method,
        absolute(binary).interval.method,
        absolute(np.repeat(binary[:60], 5), clusters=codes).interval.method,
    }
    assert found <= {m.name for m in GATE_METHODS}
