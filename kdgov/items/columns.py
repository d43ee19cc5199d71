"""Columns of the item table: their names, their types, and how whatever a file holds becomes them.

``repeat`` numbers the samples of one item, ``chance`` is what knowing nothing scores on the item, ``weight`` is how much the item
counts in a weighted mean. ``gold`` is what a trusted reading, such as a person's, scores where ``score`` is a judge's; ``batch`` numbers
the batches in which items were drawn. ``again`` is what the same item scored when it was asked a second time among other neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kdgov.errors import InputError
from kdgov.items.arrays import booleans, codes_or, one_array
from kdgov.safe_parse import RepeatedKeyError, unique_object

KEY_COLUMNS = ("suite", "task", "item_id", "metric")
NUMBER_COLUMNS = ("score", "confidence", "chance", "weight", "gold", "again")
WHOLE_COLUMNS = ("repeat", "batch")
OPTIONAL_COLUMNS = (
    "cluster", "group", "prompt_digest", "item_digest", "prediction", "label", "confidence", "chance", "weight", "gold", "again", "repeat",
    "batch", "text",
)  # fmt: skip
COLUMNS = ("suite", "task", "item_id", "metric", "score", *OPTIONAL_COLUMNS)
REVIEW_COLUMNS = frozenset({"text"})
"""Columns that only help a reader; they are no part of the content digest."""

GROUP_MEND = 'Write group as {"gender": "female"}.'
ENCODED = pa.dictionary(pa.int32(), pa.string())
COLUMN_TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(("suite", "task", "metric", "cluster", "group"), ENCODED),
    **dict.fromkeys(("item_id", "prompt_digest", "item_digest", "prediction", "label", "text"), pa.large_string()),
    **dict.fromkeys(NUMBER_COLUMNS, pa.float64()),
    **dict.fromkeys(WHOLE_COLUMNS, pa.int64()),
}


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its group and its texts as text."""
    plain = dict(row)
    if isinstance(plain.get("group"), Mapping):
        plain["group"] = json.dumps(plain["group"], sort_keys=True, ensure_ascii=False)
    for name in ("prediction", "label", "item_id", "cluster"):
        if name in plain and plain[name] is not None and not isinstance(plain[name], str):
            plain[name] = _as_text(plain[name])
    return plain


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def built_column(name: str, values: list[Any], source: str) -> pa.Array:
    """A column from Python values.

    Raises:
        InputError: naming the row of a value that is not of the column's kind.
    """
    kind = COLUMN_TYPES[name] if name in (*NUMBER_COLUMNS, *WHOLE_COLUMNS) else pa.large_string()
    if kind != pa.large_string():
        return pa.array([_number(name, row, value, source) for row, value in enumerate(values)], type=kind)
    try:
        return pa.array(values, type=kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
        row = next((n for n, v in enumerate(values) if v is not None and not _is_text(v)), 0)
        raise InputError(
            f"{name} in row {row + 1} is {values[row]!r}, not text", where=source, mend=f"Write {name} as text in every row."
        ) from error


def _number(name: str, row: int, value: Any, source: str) -> float | int | None:
    if value is None or type(value) is float:
        return value if name not in WHOLE_COLUMNS or value is None else _whole(name, row, value, source)
    if not isinstance(value, (bool, np.bool_, int, float, np.integer, np.floating)):
        raise InputError(
            f"{name} in row {row + 1} is {str(value)[:60]!r}, not a number",
            where=source,
            mend="Every score is one finite number; booleans count as 0 and 1.",
        )
    if name in WHOLE_COLUMNS:
        return _whole(name, row, value, source)
    try:
        return float(value)
    except OverflowError as error:
        raise InputError(
            f"{name} in row {row + 1} is too large a number", where=source, mend="Every score is one finite number."
        ) from error


def _whole(name: str, row: int, value: Any, source: str) -> int:
    if not (value == value and abs(value) < 1 << 53 and value == int(value)):
        raise InputError(
            f"{name} in row {row + 1} is {str(value)[:20]}, no whole number", where=source, mend="Number samples and batches 1, 2, 3."
        )
    return int(value)


def _is_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(value.encode("utf-8") or True)
    except UnicodeEncodeError:
        return False


def cast_column(name: str, column: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    """A column in its fixed type.

    Raises:
        InputError: if its own type cannot be read as that.
    """
    wanted = COLUMN_TYPES[name]
    is_text = wanted in (ENCODED, pa.large_string())
    if column.type == wanted:
        return column
    try:
        if wanted == ENCODED:
            text = column if pa.types.is_dictionary(column.type) else _text(column)
            encoded = text if pa.types.is_dictionary(text.type) else pc.dictionary_encode(text)
            return encoded.cast(ENCODED) if encoded.type != ENCODED else encoded
        if wanted in (pa.float64(), pa.int64()):
            return column.cast(wanted)
        return _text(column).cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise InputError(
            f"the column {name} has the type {column.type} and cannot be read as {'text' if is_text else 'a number'}: "
            f"{str(error).splitlines()[0]}",
            where=source,
            mend=f"Write {name} as {'text' if is_text else 'one number'} in every row.",
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


def refuse_nulls(name: str, column: pa.ChunkedArray, source: str) -> None:
    """An error that names the first row without a value; nothing where every row has one."""
    if column.null_count:
        row = int(np.flatnonzero(booleans(pc.is_null(column)))[0])
        raise InputError(f"{name} is empty in row {row + 1}", where=source, mend="Every row names its suite, task, item_id and metric.")


def canonical_groups(column: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    """The group column with every text in its one form."""
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
    """A group's JSON text in its one form; None where it is not an object of attribute and value."""
    try:
        value = json.loads(text, object_pairs_hook=unique_object) if text else {}
    except (ValueError, RepeatedKeyError):
        value = None
    if not isinstance(value, dict) or any(isinstance(v, (dict, list)) for v in value.values()):
        return None
    return json.dumps({str(k): str(v) for k, v in value.items()}, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Several tables as one, each column in one type; a column that a table lacks is empty there."""
    names = [name for name in COLUMNS if any(name in table.column_names for table in tables)]
    parts = [{n: _in_common_type(n, table) for n in names} for table in tables]
    return pa.table({n: pa.chunked_array([chunk for part in parts for chunk in part[n].chunks]) for n in names})


def _in_common_type(name: str, table: pa.Table) -> pa.ChunkedArray:
    kind = COLUMN_TYPES[name]
    common = kind if kind in (pa.float64(), pa.int64()) else pa.large_string()
    column = table.column(name) if name in table.column_names else pa.chunked_array([pa.nulls(table.num_rows, common)])
    return column.cast(common)
