"""Students that lost something on items that belong together: unequal clusters, collapsed templates, several samples of an item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdgov.decision.drill.plant import Builder, with_scores, with_text
from kdgov.decision.drill.simulation import Case, Shape, World, draw
from kdgov.decision.statistics.paired import Values
from kdgov.items import ItemTable

Members = npt.NDArray[np.int64]
Assigner = Callable[[Shape, np.random.Generator], Members]
Loser = Callable[[Shape, np.random.Generator, Members], tuple[Values, Values]]


def _loses(shape: Shape) -> bool:
    return bool(np.isfinite(shape.margin)) and shape.role != "privacy"


def _clustered_case(
    world: World, rng: np.random.Generator, members: Callable[[Shape, np.random.Generator], Members], lose: Loser
) -> Case | None:
    if not any(_loses(shape) for shape in world.shapes):
        return None
    pairs, names = [], []
    for index, shape in enumerate(world.shapes):
        codes = members(shape, rng) if _loses(shape) else np.arange(shape.n)
        pairs.append(lose(shape, rng, codes) if _loses(shape) else draw(shape, rng))
        names += [f"{index}-{code}" for code in codes]
    case = world.case_of(pairs)
    return replace(case, teacher=with_text(case.teacher, "cluster", names), student=with_text(case.student, "cluster", names))


def collapsed_templates(templates: int) -> Builder:
    """Whole templates collapse, each with such a chance that the expected loss is the margin; a few items change besides."""

    def members(shape: Shape, _rng: np.random.Generator) -> Members:
        return np.arange(shape.n) * templates // shape.n

    def lose(shape: Shape, rng: np.random.Generator, codes: Members) -> tuple[Values, Values]:
        teacher, student = draw(shape, rng, disagreement=min(0.04, shape.disagreement))
        worst = {"higher": 0.0, "lower": 1.0, "target": 1.0}[shape.direction]
        # A stereotype rate of 0.65 can rise by 0.35 at most.
        above = 0.5 - 0.15 if shape.direction == "target" else shape.level
        hit = rng.random(templates) < min(shape.margin / above, 0.9)
        return teacher, np.where(hit[codes], _harmful(shape) if worst else worst, student)

    return lambda world, rng: _clustered_case(world, rng, members, lose)


def _harmful(shape: Shape) -> float:
    return 1.0 if shape.threshold is None else max(shape.threshold, 0.0) + 0.3


def unequal_clusters(world: World, rng: np.random.Generator) -> Case | None:
    """A loss of the margin that differs from cluster to cluster, in clusters of very different size."""

    def members(shape: Shape, rng: np.random.Generator) -> Members:
        weights = rng.lognormal(0, 1, 60)
        return np.sort(rng.choice(60, shape.n, p=weights / weights.sum()))

    def lose(shape: Shape, rng: np.random.Generator, codes: Members) -> tuple[Values, Values]:
        spread = rng.normal(shape.margin, 0.08, 60)
        return draw(shape, rng, drop=spread[codes])

    return _clustered_case(world, rng, members, lose)


def samples(world: World, rng: np.random.Generator) -> Case | None:
    """Ten samples of every tenth item, true loss at the margin: the number of samples is no number of items."""

    def members(shape: Shape, _rng: np.random.Generator) -> Members:
        return np.arange(shape.n) // 10

    def lose(shape: Shape, rng: np.random.Generator, codes: Members) -> tuple[Values, Values]:
        teacher, student = draw(replace(shape, n=int(codes.max()) + 1), rng, drop=shape.margin)
        # Samples of one item agree nine times in ten.
        kept = rng.random((2, shape.n)) < 0.9
        fresh = draw(shape, rng, drop=shape.margin)
        return np.where(kept[0], teacher[codes], fresh[0]), np.where(kept[0], student[codes], fresh[1])

    if (case := _clustered_case(world, rng, members, lose)) is None:
        return None
    return replace(case, teacher=_sampled(case.teacher), student=_sampled(case.student))


def _sampled(table: ItemTable) -> ItemTable:
    """Ten rows of one item, told apart by the number of the sample: the item's name in the place of its cluster's."""
    names = table.column("cluster").to_pylist()
    data = table.data.drop_columns(["cluster"])
    order = dict.fromkeys(names, 0)
    numbers = []
    for name in names:
        numbers.append(order[name])
        order[name] += 1
    data = data.set_column(data.column_names.index("item_id"), "item_id", pa.array(names, type=pa.large_string()))
    return ItemTable(data.append_column("repeat", pa.array(numbers, type=pa.int64())), table.source)


def nothing_to_lose(world: World, rng: np.random.Generator) -> Case | None:
    """A teacher that has nothing right, and a student that has nothing right either."""
    if not any(_loses(shape) and shape.direction == "higher" for shape in world.shapes):
        return None
    case = world.case(rng, identical=True)
    failed = np.concatenate([np.full(s.n, _loses(s) and s.direction == "higher") for s in world.shapes])
    sides = [with_scores(table, np.where(failed, 0.0, table.scores)) for table in (case.teacher, case.student)]
    return replace(case, teacher=sides[0], student=sides[1])
