"""The bound that may be looked at after every item keeps its error at any stopping rule."""

from __future__ import annotations

import numpy as np
import pytest

import kdgov
from kdgov.decision.statistics.betting import BettingInterval


def pairs(rng: np.random.Generator, n: int, *, loss: float, differ: float = 0.1) -> np.ndarray:
    draw = rng.random(n)
    return np.where(draw < (differ + loss) / 2, -1.0, np.where(draw < differ, 1.0, 0.0))


def ever_passed(*, loss: float, runs: int, n: int, margin: float = 0.05) -> float:
    """Share of streams of which some beginning proves a loss below the margin: the worst that any stopping rule can do."""
    rng = np.random.default_rng([runs, n, int(1000 * loss)])
    found = (BettingInterval(values=pairs(rng, n, loss=loss), reach=1.0).enough(margin, 0.05) for _ in range(runs))
    return sum(one is not None for one in found) / runs


def test_a_loss_of_the_margin_passes_at_no_time_in_95_of_100_streams():
    runs = 600
    assert ever_passed(loss=0.05, runs=runs, n=1500) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


@pytest.mark.nightly
@pytest.mark.parametrize("differ", [0.05, 0.1, 0.3])
def test_the_same_over_many_and_longer_streams(differ):
    rng = np.random.default_rng(int(100 * differ))
    runs = 4000
    streams = (BettingInterval(values=pairs(rng, 5000, loss=0.05, differ=differ), reach=1.0) for _ in range(runs))
    assert sum(one.enough(0.05, 0.05) is not None for one in streams) / runs <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / runs)


def test_an_equal_student_is_settled_early():
    rng = np.random.default_rng(1)
    needed = [BettingInterval(values=pairs(rng, 3000, loss=0.0), reach=1.0).enough(0.05, 0.05) for _ in range(60)]
    assert all(needed)
    assert np.mean(needed) < 800


def test_the_bound_and_the_first_proof_agree():
    rng = np.random.default_rng(2)
    for _ in range(20):
        interval = BettingInterval(values=pairs(rng, 700, loss=0.02), reach=1.0)
        assert (interval.bounds(0.05)[0] > -0.05) == (interval.enough(0.05, 0.05) is not None)


def test_a_mirror_image_has_the_mirrored_bounds():
    values = pairs(np.random.default_rng(3), 500, loss=0.03)
    low, high = BettingInterval(values=values, reach=1.0).bounds(0.05)
    other = BettingInterval(values=-values, reach=1.0).bounds(0.05)
    assert (low, high) == pytest.approx((-other[1], -other[0]), abs=1e-9)
    assert low <= values.mean() <= high


def test_compare_says_how_many_items_were_enough():
    rng = np.random.default_rng(4)
    teacher = (rng.random(2000) < 0.8).astype(float)
    found = kdgov.compare(teacher, teacher, margin=0.05, method="betting")
    assert (found.verdict, found.method) == ("pass", "betting")
    assert "items were enough" in found.reason
    more = BettingInterval(values=np.zeros(2000), reach=1.0).enough(0.05, 0.05)
    assert f"{more:,} items were enough" in found.reason
