"""`ItemTable`: per-item scores of one model, as an Arrow table in one fixed shape.

Key columns are dictionary-encoded, so that ten million rows cost a few hundred megabytes; optional columns that hold
nothing are dropped, so that a file with an empty column and one without it are the same table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdgov.errors import InputError
from kdgov.items.arrays import floats, integers, number_column, one_array, row_numbers
from kdgov.items.canonical import canonical_order, table_digest
from kdgov.items.columns import (
    COLUMNS,
    KEY_COLUMNS,
    REVIEW_COLUMNS,
    built_column,
    canonical_groups,
    cast_column,
    plain_row,
    refuse_nulls,
)

Indices = npt.NDArray[np.int64]


class MetricKey(NamedTuple):
    """One metric of one task of one suite: the smallest thing a criterion can judge."""

    suite: str
    task: str
    metric: str

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(frozen=True, eq=False)
class ItemTable:
    """Per-item scores of one model.

    Rows keep the order they came in, so that messages can name a row; `content_digest` and the gate ignore the order.
    """

    data: pa.Table
    """Columns of `COLUMNS` in their fixed types; use `from_rows` or `from_arrow` to build one."""
    source: str = field(default="")
    """File or folder the rows came from, for messages."""

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]], *, source: str = "") -> ItemTable:
        """A table from dictionaries, one per (suite, task, item, metric).

        ``group`` may be a mapping; ``prediction`` and ``label`` are written as text.

        Raises:
            InputError: if a required column is missing or a value has the wrong type, with its row.
        """
        from_python = [plain_row(row) for row in rows]
        names = [name for name in COLUMNS if any(name in row for row in from_python)]
        columns = {name: built_column(name, [row.get(name) for row in from_python], source) for name in names}
        return cls.from_arrow(pa.table(columns), source=source)

    @classmethod
    def from_arrow(cls, data: pa.Table, *, source: str = "") -> ItemTable:
        """A table from Arrow columns; columns the contract does not know are left out.

        Raises:
            InputError: if a required column is missing, holds nulls where it must not, or has the wrong type.
        """
        missing = [name for name in (*KEY_COLUMNS, "score") if name not in data.column_names]
        if missing:
            has = ", ".join(data.column_names) or "none"
            raise InputError(
                f"the item table lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)} (it has: {has})",
                where=source,
                mend="An item table needs suite, task, item_id, metric and score; an lm_eval folder needs --log_samples.",
            )
        columns = {}
        for name in COLUMNS:
            if name in data.column_names:
                column = cast_column(name, data.column(name), source)
                if name == "score" and column.null_count:
                    column = pa.chunked_array([number_column(floats(column))])
                if name in KEY_COLUMNS or name == "score" or column.null_count < len(column):
                    columns[name] = column
        for name in KEY_COLUMNS:
            refuse_nulls(name, columns[name], source)
        if "group" in columns:
            columns["group"] = canonical_groups(columns["group"], source)
        return cls(pa.table(columns), source)

    def __len__(self) -> int:
        return int(self.data.num_rows)

    def has(self, column: str) -> bool:
        """Whether the table carries an optional column."""
        return column in self.data.column_names

    @cached_property
    def scores(self) -> npt.NDArray[np.float64]:
        """Score of every row, in row order; NaN where the file had none."""
        return floats(self.data.column("score"))

    @cached_property
    def partitions(self) -> Mapping[MetricKey, Indices]:
        """Row numbers of every (suite, task, metric), sorted by name; each in row order."""
        if len(self) == 0:
            return {}
        coded = [one_array(pc.dictionary_encode(self.data.column(name)).unify_dictionaries()) for name in ("suite", "task", "metric")]
        codes = [integers(column.indices) for column in coded]
        names = [column.dictionary.to_pylist() for column in coded]
        key = (codes[0] * len(names[1]) + codes[1]) * len(names[2]) + codes[2]
        is_sorted = bool(np.all(key[1:] >= key[:-1]))
        order = np.arange(len(key)) if is_sorted else np.argsort(key, kind="stable")
        ordered = key if is_sorted else key[order]
        starts = np.concatenate([[0], np.flatnonzero(np.diff(ordered)) + 1, [len(key)]])
        found = {}
        for begin, end in zip(starts[:-1], starts[1:], strict=True):
            first = order[begin]
            found[MetricKey(names[0][codes[0][first]], names[1][codes[1][first]], names[2][codes[2][first]])] = order[begin:end]
        return {k: found[k] for k in sorted(found)}

    def column(self, name: str, rows: Indices | None = None) -> pa.Array:
        """One column, or some of its rows, as a single Arrow array (text columns decoded)."""
        column = self.data.column(name)
        if rows is not None:
            is_run = len(rows) > 0 and int(rows[-1]) - int(rows[0]) + 1 == len(rows)
            column = column.slice(int(rows[0]), len(rows)) if is_run and _is_ascending(rows) else column.take(row_numbers(rows))
        return one_array(column)

    def canonical(self) -> ItemTable:
        """The same rows, sorted by suite, task, metric and item."""
        order = canonical_order(self.data)
        return self if order is None else ItemTable(self.data.take(row_numbers(order)), self.source)

    @cached_property
    def content_digest(self) -> str:
        """``sha256:…`` of what was measured: independent of row order, file format and the review text."""
        kept = [name for name in self.data.column_names if name not in REVIEW_COLUMNS]
        return table_digest(self.canonical().data.select(kept))

    def to_rows(self) -> list[dict[str, Any]]:
        """Every row as a dictionary; for tests and small tables."""
        rows: list[dict[str, Any]] = self.data.to_pylist()
        return rows

    def row_name(self, row: int) -> str:
        """``file, row 17`` for a message; rows count from 1, as an editor shows data rows."""
        return f"{self.source or 'item table'}, row {row + 1}"


def _is_ascending(rows: Indices) -> bool:
    return bool(np.all(rows[1:] > rows[:-1]))
