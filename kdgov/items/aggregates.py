"""Aggregates that a tool wrote beside its items, held against the items: a free check for cut or edited samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from kdgov.finding import Finding
from kdgov.items.reader import evidence_finding

_RELATIVE = 2e-3
"""Tools round to three or four digits, and logs carry single precision."""


def aggregate_fault(task: str, metric: str, stated: float, found: float, *, items: int, file: str) -> Finding | None:
    """The finding that a stated aggregate and its items contradict each other; None where they agree.

    Args:
        task: the task, for the message.
        metric: the metric, as the tool names it.
        stated: the aggregate that was written.
        found: the same aggregate, computed from the items.
        items: how many items there are.
        file: where the aggregate stands.
    """
    if math.isnan(found) or abs(stated - found) <= max(_RELATIVE * abs(stated), 5e-4) or stated == found:
        return None
    reason = f"{file} says {metric} {stated:g}, the {items:,} items here give {found:g}: items were cut, added or edited."
    mend = "Use the items and the aggregates of one run, as the tool wrote them."
    return evidence_finding("aggregate", f"{task}/{metric}", reason, mend, stated=_finite(stated), found=_finite(found))


def count_fault(task: str, stated: int, found: int, *, file: str) -> Finding | None:
    """The finding that a stated number of items is not the number of items there are."""
    if stated == found:
        return None
    reason = f"{file} speaks of {stated:,} items of {task}, and {found:,} are here: a part of them, chosen by nobody knows whom."
    mend = "Use all items of one run, as the tool wrote them."
    return evidence_finding("items-incomplete", task, reason, mend, stated=stated, found=found)


def limited_part(task: str, asked: int, *, whole: int | None = None, limit: object = None, file: str) -> list[Finding]:
    """The finding that a limit of the tool had only some of a task's items asked; none where all were, or nothing says so.

    Args:
        task: the task, for the message.
        asked: how many items were asked.
        whole: how many there are, where the files say so; they then decide.
        limit: the limit that the files state, a number or a share below one; items that do not reach it are all there are.
        file: where it stands.
    """
    is_number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
    if whole is None and (not is_number or not 0 < limit <= asked):  # type: ignore[operator]
        return []
    if whole is not None and asked >= whole:
        return []
    told = f"A limit had {asked:,} of the {whole:,} items asked" if whole is not None else f"A limit of {limit:g} had {asked:,} items asked"
    reason = f"{told}, as {file} says: a look at a part of them, and no evaluation of the task."
    mend = "Evaluate all of them, without the tool's limit, before you release."
    return [evidence_finding("limited", task, reason, mend, items=asked, **({} if whole is None else {"of_suite": whole}))]


def mean_faults(
    rows: Iterable[Mapping[str, object]], stated: Mapping[tuple[str, str], float], *, file: str, scale: float = 1.0
) -> tuple[Finding, ...]:
    """Contradictions between stated means and the rows' own.

    Args:
        rows: rows of the item table.
        stated: (task, metric) → mean, as the tool wrote it.
        file: where the means stand.
        scale: what the tool's mean was multiplied with, such as 100 for per cent.
    """
    scores: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        scores.setdefault((str(row["task"]), str(row["metric"])), []).append(float(row["score"]))  # type: ignore[arg-type]
    faults = []
    for (task, metric), mean in sorted(stated.items()):
        if (values := scores.get((task, metric))) is not None:
            own = math.fsum(values) / len(values)
            faults.append(aggregate_fault(task, metric, mean / scale, own, items=len(values), file=file))
    return tuple(fault for fault in faults if fault is not None)


def _finite(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
