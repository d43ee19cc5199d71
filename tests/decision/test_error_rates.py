"""The error-rate table, by simulation: how often a student that lost exactly the margin is promoted, and an equal one blocked."""

from __future__ import annotations

import numpy as np
import pytest

import kdgov
from kdgov.decision.drill import promotion_rate
from kdgov.decision.statistics.paired import NewcombeInterval, TangoInterval, tango_scores
from tests.decision.simulated_cells import (
    Maker,
    equal,
    lognormal,
    mmlu,
    numbers,
    one_third,
    rare_large_losses,
    repeats,
    right_or_wrong,
    templates,
)

ACCURACY = 0.8
AGREEMENTS = (0.92, 0.85, 0.70)
# The facts' table, Tango, mean over agreements at accuracies .6/.8/.95: (margin, items) → (false promotion, power).
PUBLISHED = {
    (0.02, 100): (0.050, 0.135),
    (0.02, 300): (0.048, 0.245),
    (0.02, 1000): (0.049, 0.536),
    (0.02, 5000): (0.050, 0.944),
    (0.05, 100): (0.045, 0.373),
    (0.05, 300): (0.049, 0.725),
    (0.05, 1000): (0.050, 0.968),
    (0.05, 5000): (0.049, 1.000),
}


@pytest.mark.parametrize(("margin", "n"), PUBLISHED)
def test_promotion_at_the_margin_is_at_most_5_5_percent_at_every_size_and_agreement(margin, n):
    rng = np.random.default_rng([n, int(1000 * margin)])
    rates = [promotion_rate(n, margin, 1 - agreement, margin, 0.05, runs=20_000, rng=rng)[0] for agreement in AGREEMENTS]
    # 20,000 tables: one standard error is 0.15 points.
    assert max(rates) <= 0.055 + 0.003
    assert np.mean(rates) == pytest.approx(PUBLISHED[margin, n][0], abs=0.007)


@pytest.mark.parametrize(("margin", "n"), PUBLISHED)
def test_power_for_an_equal_student_is_the_tables(margin, n):
    rng = np.random.default_rng([n, int(1000 * margin), 1])
    rates = [promotion_rate(n, 0.0, 1 - agreement, margin, 0.05, runs=10_000, rng=rng)[0] for agreement in AGREEMENTS]
    assert np.mean(rates) == pytest.approx(PUBLISHED[margin, n][1], abs=0.06)


def test_many_scores_at_once_are_the_scores_one_by_one():
    rng = np.random.default_rng(4)
    counts = rng.multinomial(300, [0.06, 0.04, 0.90], size=200).astype(float)
    many = tango_scores(counts[:, 0], counts[:, 1], 300, 0.05)
    one = [TangoInterval(lost=int(b), won=int(c), n=300).score(0.05) for b, c, _ in counts]
    assert np.allclose(many, one, rtol=1e-12, atol=1e-12)


def test_a_point_threshold_promotes_half_of_the_students_that_lost_the_margin():
    rng = np.random.default_rng(2)
    assert promotion_rate(1000, 0.02, 0.15, 0.02, 0.05, runs=20_000, rng=rng)[1] == pytest.approx(0.52, abs=0.03)


def test_the_promotion_rate_counts_the_very_bound_that_decides():
    """The drill's shortcut (score below -z) and the bound itself agree on every table."""
    rng = np.random.default_rng(3)
    for _ in range(300):
        n = int(rng.integers(20, 400))
        b, c, _ = rng.multinomial(n, [0.06, 0.04, 0.90])
        interval = TangoInterval(lost=int(b), won=int(c), n=n)
        by_bound = interval.bounds(0.05)[0] > -0.05
        by_score = interval.score(0.05) < -1.6448536269514722
        assert by_bound == by_score


@pytest.mark.nightly
@pytest.mark.ci
@pytest.mark.parametrize("accuracy", [0.6, 0.8, 0.95])
@pytest.mark.parametrize("agreement", AGREEMENTS)
@pytest.mark.parametrize(("margin", "n"), PUBLISHED)
def test_the_whole_table_for_both_paired_bounds(accuracy, agreement, margin, n):
    """Tango at most .053, Newcombe at most .070, over all feasible cells (200,000 tables each)."""
    differing = 1 - agreement
    lost, won = (differing + margin) / 2, (differing - margin) / 2
    if won < 0 or lost > accuracy or won > 1 - accuracy:
        pytest.skip("no such pair of models exists: it would win or lose more items than there are")
    rng = np.random.default_rng([n, int(1000 * margin), int(100 * accuracy), int(100 * agreement)])
    counts = rng.multinomial(n, [lost, won, accuracy - lost, 1 - accuracy - won], size=200_000)
    scores = tango_scores(counts[:, 0].astype(float), counts[:, 1].astype(float), n, margin)
    assert float((scores < -1.6448536269514722).mean()) <= 0.055
    newcombe = _rate(
        counts[:20_000],
        lambda t: NewcombeInterval(both=int(t[2]), lost=int(t[0]), won=int(t[1]), neither=int(t[3])).bounds(0.05)[0] > -margin,
    )
    assert newcombe <= 0.075


def _rate(counts: np.ndarray, passes: object) -> float:
    tables, times = np.unique(counts, axis=0, return_counts=True)
    assert callable(passes)
    return float(times[[bool(passes(t)) for t in tables]].sum() / times.sum())


ALL, TEN = (0.0, 1.0), (-1.0, 1.0)
CELLS: dict[str, tuple[Maker, float, tuple[float, float] | None]] = {
    **{
        f"{name}, correlation {icc}": (right_or_wrong(sizes, icc), margin, None)
        for name, sizes in (
            ("57 subjects of MMLU", mmlu),
            *((f"{k} lognormal clusters", lognormal(k)) for k in (30, 40, 60)),
            *((f"{k} clusters, one with a third", one_third(k)) for k in (40, 60)),
            *((f"{k} equal clusters", equal(k)) for k in (30, 40, 60, 100)),
        )
        for icc, margin in ((0.05, 0.05), (0.2, 0.1))
    },
    **{
        f"numbers, {name}": (numbers(sizes), 0.02, TEN)
        for name, sizes in (
            ("57 subjects of MMLU", mmlu),
            *((f"{k} lognormal clusters", lognormal(k)) for k in (30, 60)),
            ("40 clusters, one with a third", one_third(40)),
            *((f"{k} equal clusters", equal(k)) for k in (30, 60)),
        )
    },
    **{
        f"{k} templates of {size}, {kind}{change}{shared}": (
            templates(k, size, background=bool(change), as_numbers=kind == "numbers", uniform=0.5 if shared else 0.0),
            margin,
            ALL,
        )
        for k, size, margin in ((30, 30, 0.03), (60, 30, 0.05), (100, 30, 0.03), (200, 15, 0.05))
        for kind in ("0/1", "numbers")
        for change in ("", ", background")
        for shared in ("", ", half of the loss even")
    },
    **{f"{n} items x {k} samples": (repeats(n, k), margin, None) for n, k, margin in ((100, 5, 0.05), (300, 4, 0.03))},
    "300 log-likelihoods, 0.5 % lose 8 nats": (rare_large_losses(300), 0.04, (-20.0, 0.0)),
    "1,000 log-likelihoods, 0.5 % lose 8 nats": (rare_large_losses(1000), 0.04, (-20.0, 0.0)),
}
"""Kind of dependence → (maker, margin, declared range)."""


def promoted(cell: str, *, loss: float, runs: int) -> float:
    """Share of simulated pairs of a cell that `kdgov.compare` passes, with a true loss of ``loss`` margins."""
    make, margin, score_range = CELLS[cell]
    rng = np.random.default_rng([runs, *cell.encode()])
    passed = 0
    for _ in range(runs):
        teacher, student, clusters = make(rng, loss * margin)
        passed += kdgov.compare(teacher, student, clusters=clusters, score_range=score_range, margin=margin).verdict == "pass"
    return passed / runs


@pytest.mark.parametrize("cell", CELLS)
def test_a_loss_of_the_margin_passes_in_at_most_5_5_percent_of_every_cell(cell):
    """A quick look at every cell; 4,000 pairs each follow at night."""
    runs = 60
    # Above 5.5 % by three standard errors in a seeded run is no chance.
    assert promoted(cell, loss=1.0, runs=runs) <= 0.055 + 3 * np.sqrt(0.055 * 0.945 / runs)


@pytest.mark.nightly
@pytest.mark.parametrize("cell", CELLS)
def test_a_loss_of_the_margin_passes_in_at_most_5_5_percent_of_every_cell_of_many_pairs(cell):
    runs = 4000
    assert promoted(cell, loss=1.0, runs=runs) <= 0.055 + 2.6 * np.sqrt(0.055 * 0.945 / runs)


POWER = {
    "100 equal clusters, correlation 0.05": 0.97,
    "60 equal clusters, correlation 0.05": 0.95,
    "100 templates of 30, 0/1, background": 0.90,
    "200 templates of 15, 0/1, background": 0.97,
    "60 templates of 30, numbers": 1.0,
}
"""Cell → least share of equal students that must pass."""


@pytest.mark.parametrize("cell", POWER)
def test_equal_students_still_pass(cell):
    runs = 100
    assert promoted(cell, loss=0.0, runs=runs) >= POWER[cell] - 3 * np.sqrt(0.05 * 0.95 / runs)
