"""`ItemTable`: per-item scores of one model, as an Arrow table in one fixed shape.

Key columns are dictionary-encoded, so that ten million rows cost a few hundred megabytes; optional columns that hold
nothing are dropped, so that a file with an empty column and one without it are the same table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdgov.errors import InputError
from kdgov.items.arrays import booleans, codes_or, floats, integers, number_column, one_array, row_numbers
from kdgov.items.canonical import canonical_order, table_digest

KEY_COLUMNS = ("suite", "task", "item_id", "metric")
OPTIONAL_COLUMNS = ("cluster", "group", "prompt_digest", "item_digest", "prediction", "label", "confidence", "text")
COLUMNS = ("suite", "task", "item_id", "metric", "score", *OPTIONAL_COLUMNS)
REVIEW_COLUMNS = frozenset({"text"})
"""Columns that only help a reader; they are no part of the content digest."""

GROUP_MEND = 'Write group as {"gender": "female"}.'
_ENCODED = pa.dictionary(pa.int32(), pa.string())
_TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(("suite", "task", "metric", "cluster", "group"), _ENCODED),
    **dict.fromkeys(("item_id", "prompt_digest", "item_digest", "prediction", "label", "text"), pa.large_string()),
    **dict.fromkeys(("score", "confidence"), pa.float64()),
}
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
        from_python = [_plain(row) for row in rows]
        names = [name for name in COLUMNS if any(name in row for row in from_python)]
        columns = {name: _column(name, [row.get(name) for row in from_python], source) for name in names}
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
                column = _cast(name, data.column(name), source)
                if name == "score" and column.null_count:
                    column = pa.chunked_array([number_column(floats(column))])
                if name in KEY_COLUMNS or name == "score" or column.null_count < len(column):
                    columns[name] = column
        for name in KEY_COLUMNS:
            _refuse_nulls(name, columns[name], source)
        if "group" in columns:
            columns["group"] = _canonical_groups(columns["group"], source)
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


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = dict(row)
    if isinstance(plain.get("group"), Mapping):
        plain["group"] = json.dumps(plain["group"], sort_keys=True, ensure_ascii=False)
    for name in ("prediction", "label", "item_id", "cluster"):
        if name in plain and plain[name] is not None and not isinstance(plain[name], str):
            plain[name] = _as_text(plain[name])
    return plain


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _column(name: str, values: list[Any], source: str) -> pa.Array:
    kind = pa.float64() if name in ("score", "confidence") else pa.large_string()
    if kind == pa.float64():
        for row, value in enumerate(values):
            if isinstance(value, (bool, np.bool_)):
                values[row] = float(value)
            elif value is not None and not isinstance(value, (int, float, np.integer, np.floating)):
                raise InputError(
                    f"{name} in row {row + 1} is {value!r}, not a number",
                    where=source,
                    mend="Every score is one finite number; booleans count as 0 and 1.",
                )
    try:
        return pa.array(values, type=kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
        row = next((n for n, v in enumerate(values) if v is not None and not isinstance(v, str)), 0)
        raise InputError(
            f"{name} in row {row + 1} is {values[row]!r}, not text", where=source, mend=f"Write {name} as text in every row."
        ) from error


def _cast(name: str, column: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    wanted = _TYPES[name]
    if column.type == wanted:
        return column
    try:
        if wanted == _ENCODED:
            text = column if pa.types.is_dictionary(column.type) else _text(column)
            encoded = text if pa.types.is_dictionary(text.type) else pc.dictionary_encode(text)
            return encoded.cast(_ENCODED) if encoded.type != _ENCODED else encoded
        if wanted == pa.float64():
            return column.cast(pa.float64())
        return _text(column).cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise InputError(
            f"the column {name} has the type {column.type} and cannot be read as {'a number' if wanted == pa.float64() else 'text'}: "
            f"{str(error).splitlines()[0]}",
            where=source,
            mend=f"Write {name} as {'one number' if wanted == pa.float64() else 'text'} in every row.",
        ) from error


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_struct(kind) or pa.types.is_map(kind) or pa.types.is_nested(kind):
        rows = column.to_pylist()
        rows = [v if v is None else dict(v) for v in rows] if pa.types.is_map(kind) else rows
        values = [None if v is None else _as_text(_without_nulls(v)) for v in rows]
        return pa.chunked_array([pa.array(values, type=pa.string())])
    return column if pa.types.is_large_string(kind) or pa.types.is_dictionary(kind) else column.cast(pa.string())


def _without_nulls(value: Any) -> Any:
    # Arrow unifies JSON objects into one struct type: keys a row did not have come back as null.
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def _refuse_nulls(name: str, column: pa.ChunkedArray, source: str) -> None:
    if column.null_count:
        row = int(np.flatnonzero(booleans(pc.is_null(column)))[0])
        raise InputError(f"{name} is empty in row {row + 1}", where=source, mend="Every row names its suite, task, item_id and metric.")


def _canonical_groups(column: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    whole = one_array(column.unify_dictionaries())
    texts = whole.dictionary.to_pylist()
    canonical = []
    for code, text in enumerate(texts):
        found = canonical_group(text)
        if found is None:
            _refuse_group(whole, code, source)
        canonical.append(found)
    if canonical == texts:
        return pa.chunked_array([whole])
    distinct = sorted(set(canonical))
    place = {text: code for code, text in enumerate(distinct)}
    recode = pa.array([place[text] for text in canonical], type=pa.int32())
    return pa.chunked_array([pa.DictionaryArray.from_arrays(recode.take(whole.indices), pa.array(distinct, type=pa.string()))])


def _refuse_group(column: pa.DictionaryArray, code: int, source: str) -> NoReturn:
    row = int(np.argmax(codes_or(column.indices, -1) == code))
    text = column.dictionary[code].as_py()
    raise InputError(
        f"group {text[:60]!r} in row {row + 1} is not a JSON object of attribute and value",
        where=source,
        mend=GROUP_MEND,
    )


def canonical_group(text: str) -> str | None:
    """A group's JSON text in its one form; None where it is no object of attribute and value."""
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        value = None
    if not isinstance(value, dict) or any(isinstance(v, (dict, list)) for v in value.values()):
        return None
    return json.dumps({str(k): str(v) for k, v in value.items()}, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
