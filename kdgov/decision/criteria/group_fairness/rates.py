"""What a gap is taken of: the scores themselves, or a classifier's rates, under the names of fairlearn's metrics.

| ``of`` | per group | fairlearn |
|---|---|---|
| mean | mean score | `MetricFrame.difference` |
| demographic_parity | share predicted positive | `demographic_parity_difference`, `_ratio` |
| equal_opportunity | true positive rate | `equal_opportunity_difference` |
| equalized_odds | true and false positive rate, each on its own | `equalized_odds_difference` (the larger of the two) |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kdgov.decision.criteria.comparison_cells import Cell, Tables
from kdgov.decision.statistics.paired import Values
from kdgov.items import ItemTable
from kdgov.items.table import Indices

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One number per item of both models, and the items it is taken over."""

    name: str
    """Suffix of the metric's name; empty for the scores themselves."""
    teacher: Values
    """Shape (n,)."""
    student: Values
    """Shape (n,)."""
    taken: Mask
    """Which items count."""


def rates_of(cell: Cell, tables: Tables) -> Iterator[Rate] | str:
    """The rates a criterion asks for, or why they cannot be had."""
    of, pairs = cell.criterion.gap_of, cell.pairs
    everything = np.ones(pairs.n, dtype=bool)
    if of == "mean":
        return iter([Rate(name="", teacher=pairs.teacher, student=pairs.student, taken=everything)])
    labels = _texts(tables.teacher, pairs.teacher_rows, "label")
    said = [
        _texts(table, rows, "prediction") for table, rows in ((tables.teacher, pairs.teacher_rows), (tables.student, pairs.student_rows))
    ]
    if labels is None or any(one is None for one in said):
        return f"{of} compares predictions with labels, and {cell.key} has no columns `prediction` and `label`"
    positive = cell.criterion.positive
    if not (labels == positive).any():
        return f"no item of {cell.key} has the label {positive!r}, which `positive` names"
    teacher, student = ((one == positive).astype(np.float64) for one in said if one is not None)
    truly = labels == positive
    wanted = {
        "demographic_parity": [("selected", everything)],
        "equal_opportunity": [("true_positive_rate", truly)],
        "equalized_odds": [("true_positive_rate", truly), ("false_positive_rate", ~truly)],
    }[of]
    return iter([Rate(name=name, teacher=teacher, student=student, taken=taken) for name, taken in wanted])


def _texts(table: ItemTable, rows: tuple[Indices, ...], column: str) -> npt.NDArray[np.object_] | None:
    if not table.has(column):
        return None
    values = [value for part in rows for value in table.column(column, part).to_pylist()]
    return None if any(value is None for value in values) else np.array([str(value) for value in values], dtype=object)
