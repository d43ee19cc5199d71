"""Point values per group through fairlearn's `MetricFrame`, guarded where it would answer 0 without knowing.

fairlearn says a difference of 0.0 for one group, for a NaN group and for missing rates; here those are answers of their own, with
the reason. Intervals and verdicts are the gate's: these numbers are shown, they decide nothing.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from kdgov.items.table import ItemTable, MetricKey

MIN_GROUP = 10
"""Members below which a group's mean is shown but no gap is taken."""


def disaggregate(table: ItemTable) -> list[dict[str, Any]]:
    """For every metric and group attribute: mean and size per group, the largest gap, or why there is none.

    A gap is max − min over groups (neutral value 0); with small groups it is biased upwards, which is why the sizes stand beside it.
    """
    if not table.has("group"):
        return []
    found = []
    for key, rows in table.partitions.items():
        groups = [json.loads(text) if text else {} for text in table.column("group", rows).to_pylist()]
        scores = table.scores[rows]
        for attribute in sorted({name for group in groups for name in group}):
            found.append(_of_attribute(key, attribute, scores, [g.get(attribute) for g in groups]))
    return found


def _of_attribute(key: MetricKey, attribute: str, scores: np.ndarray, values: list[str | None]) -> dict[str, Any]:
    has_value = np.array([v is not None for v in values])
    base: dict[str, Any] = {"suite": key.suite, "task": key.task, "metric": key.metric, "attribute": attribute}
    base["without_value"] = int(np.sum(~has_value))
    chosen = scores[has_value]
    if len(chosen) == 0 or not np.isfinite(chosen).all():
        return {**base, "groups": {}, "difference": None, "because": "a score is missing or not finite"}
    # Here, not above: with scikit-learn it takes three seconds to load, and a suite without groups needs neither.
    fairlearn = importlib.import_module("fairlearn.metrics")
    frame = fairlearn.MetricFrame(
        metrics={"mean": fairlearn.mean_prediction, "n": fairlearn.count},
        y_true=chosen,
        y_pred=chosen,
        # A named column, not an array: of one item fairlearn makes an array without dimensions, and refuses it.
        sensitive_features={attribute: [v for v in values if v is not None]},
    )
    groups = {str(name): {"mean": float(row["mean"]), "n": int(row["n"])} for name, row in frame.by_group.iterrows()}
    small = sorted(name for name, group in groups.items() if group["n"] < MIN_GROUP)
    if len(groups) < 2:
        return {**base, "groups": groups, "difference": None, "because": "there is one group only"}
    if small:
        return {**base, "groups": groups, "difference": None, "because": f"fewer than {MIN_GROUP} items in {', '.join(small)}"}
    return {**base, "groups": groups, "difference": float(frame.difference()["mean"]), "because": ""}


def side_by_side(teacher: ItemTable, student: ItemTable) -> list[dict[str, Any]]:
    """Both models' groups per metric and attribute, and the change of the gap where both have one."""
    ours = {_name(row): row for row in disaggregate(teacher)}
    theirs = {_name(row): row for row in disaggregate(student)}
    found = []
    for name in sorted(set(ours) & set(theirs)):
        a, b = ours[name], theirs[name]
        change = None if a["difference"] is None or b["difference"] is None else b["difference"] - a["difference"]
        shown = {k: a[k] for k in ("suite", "task", "metric", "attribute")}
        parts = {
            who: {k: row[k] for k in ("groups", "difference", "because", "without_value")} for who, row in (("teacher", a), ("student", b))
        }
        found.append({**shown, **parts, "change": change})
    return found


def _name(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[k]) for k in ("suite", "task", "metric", "attribute"))
