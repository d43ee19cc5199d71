"""Batches of results that came one after the other, joined with their numbers: what ``kdgov gate --more`` adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kdgov.decision.policy import Policy
from kdgov.errors import InputError
from kdgov.evaluation.results.compare_results import Compared, compare_results
from kdgov.finding import Finding
from kdgov.items import ItemTable
from kdgov.items.canonical import table_digest
from kdgov.items.columns import KEY_COLUMNS, joined
from kdgov.items.results import Results

ROLES = ("teacher", "student")


def batch_pairs(named: Sequence[str]) -> list[tuple[str, str]]:
    """Teacher's and student's path of every further batch: a folder with both parts, or two paths, the teacher's first.

    Raises:
        InputError: if a teacher's path has no student's beside it.
    """
    pairs: list[tuple[str, str]] = []
    waiting: str | None = None
    for name in named:
        folder = Path(name)
        if waiting is None and all((folder / role).is_dir() for role in ROLES):
            pairs.append((str(folder / "teacher"), str(folder / "student")))
        elif waiting is None:
            waiting = name
        else:
            pairs.append((waiting, name))
            waiting = None
    if waiting is not None:
        raise InputError(
            f"names {waiting!r} and no student's results beside it",
            where="kdgov gate --more",
            mend="Write --more TEACHER STUDENT for every batch, or a folder with the parts teacher/ and student/.",
        )
    return pairs


def with_batches(first: Compared, further: Sequence[tuple[Results, Results]], policy: Policy) -> Compared:
    """The first batch's results and the further ones' as one, each item with the number of its batch.

    Args:
        first: teacher's and student's results of the first batch.
        further: those of the others, in their order.
        policy: the policy that judges.

    Raises:
        InputError: if none is: items added after a look would raise the error of every criterion.
    """
    if not any(criterion.sequential for criterion in policy.criteria):
        raise InputError(
            f"adds batches, and no criterion of {policy.name} is judged batch by batch: each further look would raise its error",
            where="kdgov gate --more",
            mend="Write `sequential: true` on the criterion before looking at results, or judge all items once, as one table.",
        )
    parts = [first, *(compare_results(teacher, student, policy) for teacher, student in further)]
    findings: dict[str, Finding] = {}
    for part in parts:
        for finding in part.findings:
            findings.setdefault(repr(finding), finding)
    return replace(
        first,
        teacher=joined_batches([part.teacher for part in parts]),
        student=joined_batches([part.student for part in parts]),
        metrics=tuple(dict.fromkeys(metric for part in parts for metric in part.metrics)),
        findings=tuple(findings.values()),
    )


def joined_batches(tables: Sequence[ItemTable]) -> ItemTable:
    """One table of all batches, in their order; batches that a table numbers itself keep their order."""
    start, parts = 0, []
    for table in tables:
        numbers = table.data.column("batch") if table.has("batch") else pa.chunked_array([pa.array(np.ones(len(table), dtype=np.int64))])
        numbers = pc.fill_null(numbers, 0)
        least, most = (int(end) for end in (pc.min(numbers).as_py() or 0, pc.max(numbers).as_py() or 0))
        shifted = pc.add(numbers, start + 1 - least)
        data = table.data.drop_columns(["batch"]) if table.has("batch") else table.data
        parts.append(data.append_column("batch", shifted.cast(pa.int64())))
        start += most - least + 1
    return ItemTable.from_arrow(joined(parts), source=", ".join(table.source for table in tables if table.source))


def first_batch(table: ItemTable) -> ItemTable:
    """The rows of the first batch, without their batch number: a student stays the same one when batches follow."""
    if not table.has("batch"):
        return table
    numbers = pc.fill_null(table.data.column("batch"), 0)
    return ItemTable(table.data.filter(pc.equal(numbers, pc.min(numbers))).drop_columns(["batch"]), table.source)


def item_set(table: ItemTable) -> str:
    """Digest of which items of which metrics a table holds, whatever their scores."""
    return table_digest(table.canonical().data.select(list(KEY_COLUMNS)))
