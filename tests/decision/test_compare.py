"""`kdgov.compare`: the gate's own bounds for two arrays of scores."""

from __future__ import annotations

import numpy as np
import pytest

import kdgov
from kdgov.decision.judgement import judge
from kdgov.errors import InputError


def test_compare_gives_the_numbers_of_the_gate(table, policy):
    rng = np.random.default_rng(0)
    teacher = (rng.random(600) < 0.8).astype(float)
    student = np.where(rng.random(600) < 0.1, 1 - teacher, teacher)
    clusters = np.arange(600) // 10
    (result,) = judge(*(table(s, cluster=[f"c{k}" for k in clusters]) for s in (teacher, student)), policy(margin=0.1)).criteria
    found = kdgov.compare(teacher, student, clusters=clusters, margin=0.1)
    assert (found.verdict, found.method, found.n, found.clusters) == (result.verdict, result.method, result.n, result.clusters)
    assert (found.lower, found.upper, found.difference) == pytest.approx((result.bound, result.upper, result.difference))


def test_labels_of_any_kind_are_clusters():
    scores = [1.0, 0.0, 1.0, 1.0] * 50
    numbers = kdgov.compare(scores, scores, clusters=[k // 4 for k in range(200)], margin=0.1)
    names = kdgov.compare(scores, scores, clusters=[f"t{k // 4}" for k in range(200)], margin=0.1)
    assert numbers == names
    assert numbers.clusters == 50


def test_numbers_without_a_range_never_pass_and_say_why():
    rng = np.random.default_rng(1)
    teacher = rng.normal(-2, 1, 400)
    found = kdgov.compare(teacher, teacher + 0.5, margin=0.1)
    assert found.verdict == "inconclusive"
    assert "no declared range" in found.reason


def test_scores_beyond_the_range_are_clipped_and_counted():
    rng = np.random.default_rng(2)
    teacher = rng.normal(-2, 0.3, 2000)
    student = teacher + rng.normal(0, 0.05, 2000)
    student[:3] = -500.0
    found = kdgov.compare(teacher, student, margin=0.1, score_range=(-5.0, 0.0))
    assert found.verdict == "pass"
    assert "3 scores beyond the range, clipped" in found.reason


def test_a_proven_loss_fails_with_or_without_a_range():
    teacher = np.random.default_rng(3).normal(0, 1, 500)
    assert kdgov.compare(teacher, teacher - 0.5 + np.linspace(-0.1, 0.1, 500), margin=0.1).verdict == "fail"


def test_a_third_of_the_items_in_one_cluster_proves_nothing_and_says_so():
    sizes = np.array([390, *[20] * 39])
    scores = np.ones(sizes.sum())
    found = kdgov.compare(scores, scores, clusters=np.repeat(np.arange(40), sizes), margin=0.2)
    assert found.verdict == "inconclusive"
    assert "holds 33 % of the items" in found.reason


def test_a_method_can_be_demanded_where_it_fits():
    scores = [1.0] * 80 + [0.0] * 20
    assert kdgov.compare(scores, scores, margin=0.1, method="newcombe").method == "newcombe"
    with pytest.raises(InputError, match="does not fit"):
        kdgov.compare(scores, scores, margin=0.1, method="newcombe", clusters=[k // 2 for k in range(100)])
    with pytest.raises(InputError, match="no method 'magic'"):
        kdgov.compare(scores, scores, margin=0.1, method="magic")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"student": [1.0]}, "2 scores of the teacher, 1 of the student"),
        ({"student": [1.0, float("nan")]}, "score 1 is nan"),
        ({"student": ["a", "b"]}, "no numbers"),
        ({"margin": -0.1}, "margin is -0.1"),
        ({"margin": 1.0}, "whole range"),
        ({"confidence": 0.3}, "confidence is 0.3"),
        ({"clusters": [1]}, "one cluster per item"),
        ({"score_range": (1.0, 0.0)}, "smallest and the largest"),
        ({"teacher": [], "student": []}, "one score per item"),
    ],
)
def test_bad_input_is_one_clear_message(wrong, words):
    given = {"teacher": [1.0, 0.0], "student": [1.0, 0.0], "margin": 0.1, **wrong}
    teacher, student = given.pop("teacher"), given.pop("student")
    with pytest.raises(InputError) as error:
        kdgov.compare(teacher, student, **given)
    assert words in str(error.value)


@pytest.mark.parametrize(("teacher", "declared"), [(0.0, None), (0.02, None), (0.0, (0.0, 1.0)), (-5.0, (-5.0, -4.0))])
def test_a_teacher_with_no_more_than_the_margin_to_lose_proves_nothing(teacher, declared):
    scores = np.full(1000, teacher) if teacher <= 0 else np.repeat([1.0, 0.0], [20, 980])
    answer = kdgov.compare(scores, scores, margin=0.02, score_range=declared)
    assert answer.verdict == "inconclusive"
    assert "to lose" in answer.reason
