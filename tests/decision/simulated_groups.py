"""How often the mean of a group of tasks passes a student that lies exactly at the margin; run as a module for the table in the docs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kdgov.decision.statistics.conclusion import conclude
from kdgov.decision.statistics.stratified import Strata, compare_strata

Values = npt.NDArray[np.float64]
MARGIN = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A group, and how its student loses exactly the margin."""

    name: str
    sizes: tuple[int, ...]
    weighted: bool
    draw: Callable[[np.random.Generator, Design], tuple[Values, Values, npt.NDArray[np.int64] | None]]

    @property
    def shares(self) -> Values:
        """What each task counts."""
        weights = np.array(self.sizes if self.weighted else [1] * len(self.sizes), dtype=np.float64)
        return weights / weights.sum()

    @property
    def codes(self) -> npt.NDArray[np.int64]:
        """Task of every item."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)


def _flips(rng: np.random.Generator, lost: Values, won: Values, level: float) -> tuple[Values, Values]:
    right = rng.random(len(lost)) < level
    moved = rng.random(len(lost)) < np.where(right, lost / level, won / (1.0 - level))
    return right.astype(np.float64), np.where(moved, ~right, right).astype(np.float64)


def _even(rng: np.random.Generator, design: Design) -> tuple[Values, Values, None]:
    """Every item may change, 10 % do, 5 points more are lost than won."""
    n = sum(design.sizes)
    return *_flips(rng, np.full(n, 0.075), np.full(n, 0.025), 0.6), None


def _only_losses(rng: np.random.Generator, design: Design) -> tuple[Values, Values, None]:
    """Nothing is won: the rarest losses there are."""
    n = sum(design.sizes)
    return *_flips(rng, np.full(n, MARGIN), np.zeros(n), 0.9), None


def _one_task(rng: np.random.Generator, design: Design) -> tuple[Values, Values, None]:
    """One task loses all that the mean may lose, the others do not change."""
    shares, codes = design.shares, design.codes
    worst = int(np.argmax(shares))
    lost = np.where(codes == worst, MARGIN / shares[worst], 0.0)
    return *_flips(rng, lost, np.zeros(len(codes)), 0.9), None


def _families(rng: np.random.Generator, design: Design) -> tuple[Values, Values, npt.NDArray[np.int64]]:
    """Items in fives that share a fate: one family in ten is lost whole, one in twenty won."""
    families = np.concatenate([np.arange(size) // 5 for size in design.sizes]) + 10_000 * design.codes
    names, clusters = np.unique(families, return_inverse=True)
    right = rng.random(len(names)) < 0.6
    moved = rng.random(len(names)) < np.where(right, 0.10 / 0.6, 0.05 / 0.4)
    return right[clusters].astype(np.float64), np.where(moved, ~right, right)[clusters].astype(np.float64), clusters.astype(np.int64)


def _numbers(rng: np.random.Generator, design: Design) -> tuple[Values, Values, None]:
    """Scores between 0 and 1 with rare large losses."""
    n = sum(design.sizes)
    teacher = rng.beta(6, 2, n)
    share = MARGIN / float(6 / 8)
    student = np.where(rng.random(n) < share, 0.0, teacher)
    return teacher, student, None


_UNEVEN = (400, 200, 100, 60, 60, 40, 40, 30, 30, 30)
DESIGNS: tuple[Design, ...] = (
    Design(name="67 tasks of 20, evenly", sizes=(20,) * 67, weighted=False, draw=_even),
    Design(name="57 tasks of 100, evenly", sizes=(100,) * 57, weighted=True, draw=_even),
    Design(name="10 uneven tasks, by items, evenly", sizes=_UNEVEN, weighted=True, draw=_even),
    Design(name="10 uneven tasks, by tasks, evenly", sizes=_UNEVEN, weighted=False, draw=_even),
    Design(name="4 tasks of 250, only losses", sizes=(250,) * 4, weighted=False, draw=_only_losses),
    Design(name="10 uneven tasks, by tasks, only losses", sizes=_UNEVEN, weighted=False, draw=_only_losses),
    Design(name="30 tasks of 12, only losses", sizes=(12,) * 30, weighted=False, draw=_only_losses),
    Design(name="3 tasks of 100, one loses all", sizes=(100,) * 3, weighted=False, draw=_one_task),
    Design(name="10 uneven tasks, by items, one loses all", sizes=_UNEVEN, weighted=True, draw=_one_task),
    Design(name="8 tasks of 150 in families of five", sizes=(150,) * 8, weighted=False, draw=_families),
    Design(name="10 uneven tasks by tasks, in families", sizes=_UNEVEN, weighted=False, draw=_families),
    Design(name="5 tasks of 80, numbers, rare losses", sizes=(80,) * 5, weighted=False, draw=_numbers),
)


def passes(design: Design, runs: int, seed: int = 0, *, margin: float = MARGIN) -> float:
    """Share of students that pass, each of which truly lost exactly `MARGIN`."""
    rng, codes, shares = np.random.default_rng(seed), design.codes, design.shares
    strata = Strata(codes=codes, shares=shares, linked=np.arange(len(shares)))
    passed = 0
    for _ in range(runs):
        teacher, student, clusters = design.draw(rng, design)
        estimate = compare_strata(teacher, student, strata, clusters=clusters, reach=1.0, worst=0.0)
        passed += conclude((estimate,), margin=margin, alpha=0.05).verdict == "pass"
    return passed / runs


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args(arguments).runs
    print("| group | false passes |\n|---|---|")  # noqa: T201 - a table for people
    for design in DESIGNS:
        print(f"| {design.name} | {100 * passes(design, runs):.1f} % |", flush=True)  # noqa: T201 - likewise


if __name__ == "__main__":
    main()
