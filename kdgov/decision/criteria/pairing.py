"""Teacher and student rows brought item to item; any difference between the two sets is named, never bridged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdgov.decision.statistics.clusters import Codes
from kdgov.decision.statistics.paired import Values
from kdgov.items import ItemTable, MetricKey
from kdgov.items.arrays import booleans, codes_or, integers
from kdgov.items.table import Indices

Groups = tuple[npt.NDArray[np.int64], tuple[str, ...]]
"""Code of every item, and the group text each code stands for."""

_NAMED = 3
_AGREE = ("prompt_digest", "item_digest", "label", "cluster", "group")
_SAYS = {
    "prompt_digest": "was asked differently",
    "item_digest": "is another source item",
    "label": "has another reference label",
    "cluster": "is in another cluster",
    "group": "is in another group",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Why two sets of rows cannot be compared."""

    reason: str
    """What differs, with file and row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Scores of both models on the same items, in the same order."""

    keys: tuple[MetricKey, ...]
    """What was paired; several where tasks are pooled."""
    teacher: Values
    """Teacher's scores, shape (n,)."""
    student: Values
    """Student's scores, shape (n,)."""
    clusters: Codes | None
    """Cluster number of every item; None where each item is its own."""
    copies: bool
    """Whether the clusters are copies of one source item."""
    groups: Groups | None
    """Code per item and the group texts they stand for; None where no row has a group."""
    teacher_rows: tuple[Indices, ...]
    """Rows of the teacher's table, per key."""
    student_rows: tuple[Indices, ...]
    """Rows of the student's table, per key."""

    def select(self, kept: npt.NDArray[np.bool_]) -> Pairs:
        """The pairs where ``kept`` is True; rows are dropped, as a selection has no table of its own."""
        return Pairs(
            keys=self.keys,
            teacher=self.teacher[kept],
            student=self.student[kept],
            clusters=None if self.clusters is None else self.clusters[kept],
            copies=self.copies,
            groups=None,
            teacher_rows=(),
            student_rows=(),
        )

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.teacher)


def match(
    teacher: ItemTable, student: ItemTable, key: MetricKey, *, low: float | None = None, high: float | None = None
) -> Pairs | Mismatch:
    """The pairs of one metric, or why there are none.

    Both sets must hold the same items, once each, with finite scores inside the declared range, and agree on prompt
    digest, item digest, label, cluster and group wherever both state them.
    """
    sides = (("teacher", teacher), ("student", student))
    for role, table in sides:
        if key not in table.partitions:
            return Mismatch(reason=f"the {role} has no rows for {key} ({table.source or 'item table'})")
    ids = [table.column("item_id", table.partitions[key]) for _, table in sides]
    teacher_rows = teacher.partitions[key]
    if (fault := _repeated(ids[0], teacher, teacher_rows, "teacher")) is not None:
        return fault
    # The teacher's ids are all different, so a student with as many rows that holds each of them repeats none.
    placed = _place(ids[0], ids[1], student.partitions[key])
    if isinstance(placed, tuple):
        twice = _repeated(ids[1], student, student.partitions[key], "student")
        return twice or _unequal_sets(teacher, student, key, *placed)
    for role, table, rows in (("teacher", teacher, teacher_rows), ("student", student, placed)):
        if (fault := _bad_scores(table, rows, role, low, high)) is not None:
            return fault
    for column in _AGREE:
        if (fault := _disagreement(teacher, student, teacher_rows, placed, column)) is not None:
            return fault
    clusters, copies = _clusters(teacher, student, teacher_rows, placed)
    return Pairs(
        keys=(key,),
        teacher=teacher.scores[teacher_rows],
        student=student.scores[placed],
        clusters=clusters,
        copies=copies,
        groups=_groups(teacher, student, teacher_rows, placed),
        teacher_rows=(teacher_rows,),
        student_rows=(placed,),
    )


def pool(parts: Sequence[Pairs]) -> Pairs:
    """Several tasks of one metric as one set of items; clusters of different tasks stay apart."""
    if len(parts) == 1:
        return parts[0]
    clusters: list[Codes] | None = None
    if any(part.clusters is not None for part in parts):
        clusters, start = [], 0
        for part in parts:
            codes = np.arange(part.n) if part.clusters is None else part.clusters
            clusters.append(codes + start)
            start += int(codes.max(initial=-1)) + 1
    return Pairs(
        keys=tuple(key for part in parts for key in part.keys),
        teacher=np.concatenate([part.teacher for part in parts]),
        student=np.concatenate([part.student for part in parts]),
        clusters=None if clusters is None else np.concatenate(clusters),
        copies=all(part.copies for part in parts),
        groups=_pool_groups(parts),
        teacher_rows=tuple(rows for part in parts for rows in part.teacher_rows),
        student_rows=tuple(rows for part in parts for rows in part.student_rows),
    )


def _repeated(items: pa.Array, table: ItemTable, rows: Indices, role: str) -> Mismatch | None:
    if pc.count_distinct(items).as_py() == len(items):
        return None
    seen: dict[str, int] = {}
    for place, item in enumerate(items.to_pylist()):
        if item in seen:
            first, again = (table.row_name(int(rows[at])) for at in (seen[item], place))
            return Mismatch(reason=f"the {role} has the item {item!r} more than once: {first} and {again}")
        seen[item] = place
    return None


def _place(teacher_ids: pa.Array, student_ids: pa.Array, rows: Indices) -> Indices | tuple[list[str], list[str]]:
    if teacher_ids.equals(student_ids):
        return rows
    at = pc.index_in(teacher_ids, value_set=student_ids)
    if at.null_count or len(teacher_ids) != len(student_ids):
        theirs = pc.is_in(student_ids, value_set=teacher_ids)
        return teacher_ids.filter(pc.is_null(at)).to_pylist(), student_ids.filter(pc.invert(theirs)).to_pylist()
    placed: Indices = rows[integers(at)]
    return placed


def _unequal_sets(teacher: ItemTable, student: ItemTable, key: MetricKey, lacking: list[str], extra: list[str]) -> Mismatch:
    parts = []
    for items, whose, other in ((lacking, student, "student"), (extra, teacher, "teacher")):
        if items:
            named = ", ".join(repr(item) for item in sorted(items)[:_NAMED]) + (" …" if len(items) > _NAMED else "")
            parts.append(f"the {other} lacks {len(items)} item(s): {named} ({whose.source or 'item table'})")
    return Mismatch(reason=f"{key}: the two models did not answer the same items: {'; '.join(parts)}")


def _bad_scores(table: ItemTable, rows: Indices, role: str, low: float | None, high: float | None) -> Mismatch | None:
    scores = table.scores[rows]
    bad = ~np.isfinite(scores)
    if bad.any():
        row = int(rows[int(np.argmax(bad))])
        return Mismatch(reason=f"the {role}'s score is not a finite number in {int(bad.sum())} row(s), first in {table.row_name(row)}")
    outside = np.zeros(len(scores), dtype=bool)
    if low is not None:
        outside |= scores < low
    if high is not None:
        outside |= scores > high
    if outside.any():
        row = int(rows[int(np.argmax(outside))])
        span = f"[{'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'}]"
        return Mismatch(reason=f"the {role}'s score {table.scores[row]:g} lies outside the declared range {span} in {table.row_name(row)}")
    return None


def _disagreement(teacher: ItemTable, student: ItemTable, teacher_rows: Indices, student_rows: Indices, column: str) -> Mismatch | None:
    if not (teacher.has(column) and student.has(column)):
        return None
    one, other = teacher.column(column, teacher_rows), student.column(column, student_rows)
    if one.equals(other):
        return None
    differs = booleans(pc.not_equal(_decoded(one), _decoded(other)))
    if not differs.any():
        return None
    place = int(np.argmax(differs))
    item = teacher.column("item_id", teacher_rows)[place].as_py()
    where = f"{teacher.row_name(int(teacher_rows[place]))} and {student.row_name(int(student_rows[place]))}"
    return Mismatch(reason=f"the item {item!r} {_SAYS[column]} for the two models ({column}; {int(differs.sum())} item(s); {where})")


def _decoded(array: pa.Array) -> pa.Array:
    return array.dictionary_decode().cast(pa.large_string()) if pa.types.is_dictionary(array.type) else array


def _codes(table: ItemTable, column: str, rows: Indices) -> tuple[npt.NDArray[np.int64], list[str | None]]:
    coded = table.column(column, rows)
    if not pa.types.is_dictionary(coded.type):
        coded = pc.dictionary_encode(coded)
    names: list[str | None] = coded.dictionary.to_pylist()
    codes = codes_or(coded.indices, len(names))
    return codes, [*names, None] if coded.null_count else names


def _clusters(teacher: ItemTable, student: ItemTable, teacher_rows: Indices, student_rows: Indices) -> tuple[Codes | None, bool]:
    for column, copies in (("cluster", False), ("item_digest", True)):
        for table, rows in ((teacher, teacher_rows), (student, student_rows)):
            if not table.has(column):
                continue
            codes, names = _codes(table, column, rows)
            if None in names:
                # An item without a cluster is a cluster of its own.
                alone = codes == names.index(None)
                codes = np.where(alone, len(names) + np.arange(len(codes)), codes)
            compact = np.unique(codes, return_inverse=True)[1].astype(np.int64)
            if int(compact.max(initial=-1)) + 1 < len(compact):
                return compact, copies
    return None, False


def _groups(teacher: ItemTable, student: ItemTable, teacher_rows: Indices, student_rows: Indices) -> Groups | None:
    for table, rows in ((teacher, teacher_rows), (student, student_rows)):
        if table.has("group"):
            codes, names = _codes(table, "group", rows)
            # The column's dictionary knows the groups of all metrics: only those of these rows are groups here.
            used = np.flatnonzero(np.bincount(codes, minlength=len(names)))
            place = np.zeros(len(names), dtype=np.int64)
            place[used] = np.arange(len(used))
            return place[codes], tuple(names[code] or "{}" for code in used)
    return None


def _pool_groups(parts: Sequence[Pairs]) -> Groups | None:
    if all(part.groups is None for part in parts):
        return None
    texts: dict[str, int] = {}
    codes = []
    for part in parts:
        own, names = part.groups if part.groups is not None else (np.zeros(part.n, dtype=np.int64), ("{}",))
        recode = np.array([texts.setdefault(name, len(texts)) for name in names], dtype=np.int64)
        codes.append(recode[own])
    return np.concatenate(codes), tuple(texts)
