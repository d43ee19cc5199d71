"""The value of a model on a suite's task and metric: the mean of its item table, overall and per group.

Every export (MLflow runs, card, Hugging Face README, bills of materials, audit) takes a model's value from here, so that one
(model, metric) has one value everywhere. What a criterion made of it (a rate of flips, a share kept, a bound) is the decision's.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kdgov.items.arrays import floats
from kdgov.items.table import Indices, ItemTable, MetricKey


class ModelValue(NamedTuple):
    """One value of one model."""

    suite: str
    task: str
    metric: str
    group: str
    """``gender=female``, several joined by `` & `` as decisions write them; empty for all items."""
    value: float
    """Mean score; weighted where the items carry weights."""
    n: int
    """Items."""
    lowest: float
    """Lowest score of an item."""
    highest: float
    """Highest score of an item."""

    @property
    def reads_as_share(self) -> bool:
        """Whether every score lies between 0 and 1, so that the mean reads as a percentage."""
        return self.lowest >= 0.0 and self.highest <= 1.0

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Suite, task, metric and group."""
        return self.suite, self.task, self.metric, self.group


def model_values(table: ItemTable, *, groups: Collection[str] = ()) -> dict[tuple[str, str, str, str], ModelValue]:
    """Every (suite, task, metric) of a table with its mean, and the named groups of each that has items in them.

    Args:
        table: one model's item table.
        groups: groups as decisions name them, such as ``gender=female & age=old``.

    Example:
        >>> rows = [{"suite": "s", "task": "t", "item_id": str(n), "metric": "acc", "score": n % 2} for n in range(4)]
        >>> model_values(ItemTable.from_rows(rows))[("s", "t", "acc", "")].value
        0.5
    """
    found: dict[tuple[str, str, str, str], ModelValue] = {}
    wanted = [(group, dict(_pair(part) for part in group.split(" & "))) for group in groups if group]
    for key, rows in table.partitions.items():
        _add(found, table, key, "", rows)
        if not (wanted and table.has("group")):
            continue
        stated = [json.loads(text) if text else {} for text in table.column("group", rows).to_pylist()]
        for group, values in wanted:
            chosen = np.array([all(str(item.get(a)) == v for a, v in values.items()) for item in stated], dtype=bool)
            if chosen.any():
                _add(found, table, key, group, rows[chosen])
    return found


def values_of_results(table: ItemTable, results: Collection[Mapping[str, object]]) -> dict[tuple[str, str, str, str], ModelValue]:
    """`model_values` with the groups that a decision's results name."""
    return model_values(table, groups={str(row.get("group") or "") for row in results})


def _add(found: dict[tuple[str, str, str, str], ModelValue], table: ItemTable, key: MetricKey, group: str, rows: Indices) -> None:
    scores: npt.NDArray[np.float64] = table.scores[rows]
    weights = floats(table.column("weight", rows)) if table.has("weight") else None
    if weights is not None:
        weights = np.where(np.isnan(weights), 1.0, weights)
    value = float(np.average(scores, weights=weights))
    made = ModelValue(*key, group, value, len(rows), float(scores.min()), float(scores.max()))
    found[made.key] = made


def _pair(part: str) -> tuple[str, str]:
    attribute, _, value = part.partition("=")
    return attribute, value
