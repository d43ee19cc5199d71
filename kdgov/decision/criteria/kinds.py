"""Every kind of criterion, one row each: how it is judged, what it says, and whether a margin and the root teacher concern it.

A new kind is a module beside this one, a row here, and its keys as a class of `kdgov.declarations.criteria`; tests hold rows,
declared classes and documentation equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kdgov.decision.criteria.absolute import judge_churn, judge_exposure, judge_level
from kdgov.decision.criteria.assay_sensitivity import churn_room, with_assay
from kdgov.decision.criteria.calibration import judge_calibration
from kdgov.decision.criteria.comparison_cells import Cell, Tables
from kdgov.decision.criteria.cost_ratio import judge_efficiency
from kdgov.decision.criteria.group_fairness.gaps import judge_gaps
from kdgov.decision.criteria.retention import judge_retention
from kdgov.decision.criteria.whole_statistic import judge_difference
from kdgov.decision.decision import CriterionResult
from kdgov.decision.policy import Criterion
from kdgov.quantities import plain_number, quantity

Results = Iterator[CriterionResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One question that a criterion can ask."""

    judge: Callable[[Cell, Tables], Results] | None
    """Judges one cell; None where the kind reads no item tables."""
    words: Callable[[Criterion], str]
    """What such a criterion demands, in a few words, after the name of what it looks at."""
    whole: Callable[[Criterion, Tables], CriterionResult] | None = None
    """Judges what is measured of the models as a whole."""
    against_root: bool = False
    """Whether the root teacher's results are compared as well."""


def _non_inferiority(cell: Cell, tables: Tables) -> Results:
    yield from judge_difference(cell, tables)
    yield from _levels(cell)


def _levels(cell: Cell) -> Results:
    criterion = cell.criterion
    if criterion.floor is not None:
        yield judge_level(cell, cell.pairs.student, floor=criterion.floor)
    if criterion.ceiling is not None:
        yield judge_level(cell, cell.pairs.student, ceiling=criterion.ceiling)


def _floor(cell: Cell, _tables: Tables) -> Results:
    yield judge_level(cell, cell.pairs.student, floor=cell.criterion.floor)


def _ceiling(cell: Cell, _tables: Tables) -> Results:
    yield judge_level(cell, cell.pairs.student, ceiling=cell.criterion.ceiling)


def _churn(cell: Cell, _tables: Tables) -> Results:
    judged = judge_churn(cell)
    nothing = churn_room(cell) if judged.verdict == "pass" else None
    yield judged if nothing is None else nothing


def _exposure(cell: Cell, tables: Tables) -> Results:
    yield judge_exposure(cell, tables.student)


def _calibration(cell: Cell, tables: Tables) -> Results:
    if cell.criterion.by or not cell.group:
        # Who knows nothing is not over-confident in anything: right or wrong must tell skill from none first.
        yield from (with_assay(result, cell, tables, room=0.0) for result in judge_calibration(cell, tables))


def _gap(cell: Cell, tables: Tables) -> Results:
    # Groups are compared with each other here, and not judged one by one.
    if not cell.group:
        yield from judge_gaps(cell, tables)


def _retention(cell: Cell, tables: Tables) -> Results:
    room = (1.0 - cell.criterion.share) * abs(cell.pairs.mean(cell.pairs.teacher))
    yield with_assay(judge_retention(cell), cell, tables, room=room)
    yield from _levels(cell)


def _margins(criterion: Criterion) -> str:
    what = "" if criterion.statistic in (None, "mean") else f" as {criterion.statistic}"
    units = ", ".join(f"{plain_number(value)} in {unit}" for unit, value in criterion.margins.items())
    per_unit = f" (by the unit of the scores: {units})" if units else ""
    gold = (
        "" if criterion.gold_items is None else f", with trusted scores of both models on at least {quantity(criterion.gold_items, 'item')}"
    )
    batches = ", judged batch by batch" if criterion.sequential else ""
    return f"{what} may be at most {plain_number(criterion.margin)} worse than the teacher's{per_unit}{gold}{batches}"


def _ratio(criterion: Criterion) -> str:
    parts = [
        f"at most {plain_number(criterion.max_ratio)}" if criterion.max_ratio is not None else "",
        f"at least {plain_number(criterion.min_ratio)}" if criterion.min_ratio is not None else "",
    ]
    return f" must be {' and '.join(part for part in parts if part)} of the teacher's"


def _calibration_words(criterion: Criterion) -> str:
    where = " where confidences are stated" if criterion.confidences == "when_stated" else ""
    return f"{where}: overconfidence and Brier score may be at most {plain_number(criterion.margin)} worse than the teacher's"


def _gap_words(criterion: Criterion) -> str:
    over = " and ".join("*".join(entry) for entry in criterion.by)
    what = "" if criterion.gap_of == "mean" else f" ({criterion.gap_of})"
    limits = [
        f"below {plain_number(criterion.ceiling)}" if criterion.ceiling is not None else "",
        f"at most {plain_number(criterion.gap_margin)} wider than the teacher's" if criterion.gap_margin is not None else "",
        f"with no rate below {plain_number(criterion.min_ratio)} of another" if criterion.min_ratio is not None else "",
    ]
    return f"{what}: the largest gap over {over} must be {' and '.join(filter(None, limits))}"


KINDS: dict[str, Kind] = {
    "non_inferiority": Kind(judge=_non_inferiority, words=_margins, against_root=True),
    "retention": Kind(judge=_retention, words=lambda c: f" must keep at least {plain_number(100 * c.share)} % of the teacher's"),
    "floor": Kind(judge=_floor, words=lambda c: f" must lie above {plain_number(c.floor)}"),
    "ceiling": Kind(judge=_ceiling, words=lambda c: f" must lie below {plain_number(c.ceiling)}"),
    "exposure": Kind(judge=_exposure, words=lambda _: ": canaries (made-up secrets) must not rank better than guessing allows"),
    "calibration": Kind(judge=_calibration, words=_calibration_words),
    "gap": Kind(judge=_gap, words=_gap_words),
    "efficiency": Kind(judge=None, words=_ratio, whole=judge_efficiency),
    "churn": Kind(judge=_churn, words=lambda c: f": {c.of.replace('_', ' ')} must stay below {plain_number(c.ceiling)}"),
}
"""Kind → how it is judged, in the order of the documentation."""
