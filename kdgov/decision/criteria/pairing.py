"""Teacher and student rows brought item to item; any difference between the two sets is named, never bridged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdgov.decision.criteria.paired_items import Groups, Mismatch, Pairs
from kdgov.decision.statistics.clusters import Codes
from kdgov.decision.statistics.paired import Values
from kdgov.items import ItemTable, MetricKey
from kdgov.items.arrays import booleans, codes_or, floats, integers
from kdgov.items.table import Indices
from kdgov.quantities import quantity

_NAMED = 3
_AGREE = ("prompt_digest", "item_digest", "label", "cluster", "group", "chance", "weight", "batch")
_SAYS = {
    "prompt_digest": "was asked differently",
    "item_digest": "is another source item",
    "label": "has another reference label",
    "cluster": "is in another cluster",
    "group": "is in another group",
    "chance": "has another chance level",
    "weight": "counts another time",
    "batch": "is in another batch",
}


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
    by_sample = teacher.has("repeat") or student.has("repeat")
    ids = [_ids(table, table.partitions[key], by_sample=by_sample) for _, table in sides]
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
    repeats = _repeats(teacher, student, teacher_rows, placed, by_sample=by_sample)
    clusters = _clusters(teacher, student, teacher_rows, placed)
    return Pairs(
        keys=(key,),
        teacher=teacher.scores[teacher_rows],
        student=student.scores[placed],
        clusters=repeats if clusters is None else clusters,
        repeats=repeats,
        chance=_numbers(teacher, student, teacher_rows, placed, "chance"),
        weights=_numbers(teacher, student, teacher_rows, placed, "weight"),
        gold_teacher=_own(teacher, teacher_rows),
        gold_student=_own(student, placed),
        batches=_batches(teacher, student, teacher_rows, placed),
        groups=_groups(teacher, student, teacher_rows, placed),
        teacher_rows=(teacher_rows,),
        student_rows=(placed,),
    )


def _ids(table: ItemTable, rows: Indices, *, by_sample: bool) -> pa.Array:
    items = table.column("item_id", rows)
    if not by_sample:
        return items
    samples = pc.fill_null(table.column("repeat", rows), 0) if table.has("repeat") else pa.array(np.zeros(len(rows), dtype=np.int64))
    return pc.binary_join_element_wise(items, samples.cast(pa.large_string()), pa.scalar(" sample ", type=pa.large_string()))


def _repeats(teacher: ItemTable, student: ItemTable, teacher_rows: Indices, student_rows: Indices, *, by_sample: bool) -> Codes | None:
    """Which rows are samples of one item: by the column `repeat`, or by equal digests of the source item."""
    if by_sample:
        codes = np.unique(teacher.column("item_id", teacher_rows).to_numpy(zero_copy_only=False), return_inverse=True)[1].astype(np.int64)
        if int(codes.max(initial=-1)) + 1 < len(codes):
            return codes
    return _shared(teacher, student, teacher_rows, student_rows, "item_digest")


def _numbers(teacher: ItemTable, student: ItemTable, teacher_rows: Indices, student_rows: Indices, column: str) -> Values | None:
    for table, rows in ((teacher, teacher_rows), (student, student_rows)):
        if table.has(column):
            values = floats(table.column(column, rows))
            if not np.isnan(values).all():
                return values
    return None


def _own(table: ItemTable, rows: Indices) -> Values | None:
    values = floats(table.column("gold", rows)) if table.has("gold") else None
    return None if values is None or np.isnan(values).all() else values


def _batches(teacher: ItemTable, student: ItemTable, teacher_rows: Indices, student_rows: Indices) -> Codes | None:
    for table, rows in ((teacher, teacher_rows), (student, student_rows)):
        if table.has("batch"):
            return integers(pc.fill_null(table.column("batch", rows), 0))
    return None


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
            parts.append(f"the {other} lacks {quantity(len(items), 'item')}: {named} ({whose.source or 'item table'})")
    return Mismatch(reason=f"{key}: the two models did not answer the same items: {'; '.join(parts)}")


def _bad_scores(table: ItemTable, rows: Indices, role: str, low: float | None, high: float | None) -> Mismatch | None:
    scores = table.scores[rows]
    bad = ~np.isfinite(scores)
    if bad.any():
        row = int(rows[int(np.argmax(bad))])
        return Mismatch(
            reason=f"the {role}'s score is not a finite number in {quantity(int(bad.sum()), 'row')}, first in {table.row_name(row)}"
        )
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
    return Mismatch(
        reason=f"the item {item!r} {_SAYS[column]} for the two models ({column}; {quantity(int(differs.sum()), 'item')}; {where})"
    )


def _decoded(array: pa.Array) -> pa.Array:
    return array.dictionary_decode().cast(pa.large_string()) if pa.types.is_dictionary(array.type) else array


def _codes(table: ItemTable, column: str, rows: Indices) -> tuple[npt.NDArray[np.int64], list[str | None]]:
    coded = table.column(column, rows)
    if not pa.types.is_dictionary(coded.type):
        coded = pc.dictionary_encode(coded)
    names: list[str | None] = coded.dictionary.to_pylist()
    codes = codes_or(coded.indices, len(names))
    return codes, [*names, None] if coded.null_count else names


def _clusters(teacher: ItemTable, student: ItemTable, teacher_rows: Indices, student_rows: Indices) -> Codes | None:
    return _shared(teacher, student, teacher_rows, student_rows, "cluster")


def _shared(teacher: ItemTable, student: ItemTable, teacher_rows: Indices, student_rows: Indices, column: str) -> Codes | None:
    """Which rows share a value of a column; None where none do."""
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
            return compact
    return None


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
