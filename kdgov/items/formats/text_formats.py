"""Item tables as text: JSON lines and CSV, read fast where they are whole and line by line where they are not.

Arrow reads millions of rows a second, yet says little about a broken one. So the fast way comes first, and a slow second
reading finds the line that is at fault and names it.
"""

from __future__ import annotations

import csv
import json
import mmap
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json

from kdgov.errors import DeclarationError, Fault, InputError
from kdgov.items.columns import COLUMNS, GROUP_MEND, KEY_COLUMNS, NUMBER_COLUMNS, canonical_group
from kdgov.items.table import ItemTable
from kdgov.safe_parse import MOST_DEPTH, json_lines

_NUMBERS = frozenset({*NUMBER_COLUMNS, "repeat"})
_REQUIRED = ("suite", "task", "item_id", "metric", "score")
_BLOCK_BYTES = 1 << 24
_LIST, _OBJECT, _NEWLINE = b"["[0], b"{"[0], b"\n"[0]
_LARGEST = sys.float_info.max
_NULL_LINE = re.compile(rb"\n\s*null")
_NULL_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*null")


def read_json_lines(file: Path) -> ItemTable:
    """The item table of a JSON-lines file.

    Raises:
        InputError: naming the line that is cut short, not UTF-8, no object, or of the wrong type.
    """
    try:
        if _holds_null_lines(file) or _may_nest_deeply(file):
            # Arrow's reader ends the whole process with a segmentation fault where a block of lines starts with null, and where
            # one is nested deeply.
            return ItemTable.from_rows(_slow_rows(file), source=str(file))
        data = pa_json.read_json(file, read_options=pa_json.ReadOptions(block_size=_BLOCK_BYTES))
        if all(name in data.column_names and not data.column(name).null_count for name in _REQUIRED) and _is_plain(data):
            data.validate(full=True)
            if not _overflows(data):
                return ItemTable.from_arrow(data, source=str(file))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError, InputError):
        # Read again, slowly, by what can name the line.
        pass
    return ItemTable.from_rows(_slow_rows(file), source=str(file))


def read_csv(file: Path) -> ItemTable:
    """The item table of a CSV file with a header line; empty optional cells are absent values.

    Raises:
        InputError: naming the row whose cells are too few, too many or of the wrong type.
    """
    kinds = {name: pa.float64() if name in _NUMBERS else pa.string() for name in COLUMNS}
    try:
        data = pa_csv.read_csv(
            file,
            read_options=pa_csv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=kinds, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
            ),
        )
        data.column_names  # noqa: B018 - a name that is not UTF-8 shows itself here
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
        raise _csv_fault(file, error) from error
    return ItemTable.from_arrow(data, source=str(file))


def text_lines(file: Path) -> list[str]:
    """The lines of a UTF-8 text file.

    Raises:
        InputError: naming the line that is not UTF-8.
    """
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        what = f"is not UTF-8 text (line {line}, byte {error.start})"
        raise _line_fault(file, line, what, mend="Save the file as UTF-8.") from error


def json_objects(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """Line number and object of every non-empty line.

    Raises:
        InputError: naming the first line that is cut short, holds no object, or names a key twice.
    """
    found: list[tuple[int, dict[str, Any]]] = []
    for number, _, value in json_lines(file):
        if not isinstance(value, dict):
            mend = "Every line is one object with the columns as keys."
            raise _line_fault(file, number, f"line {number} is not a JSON object", mend=mend)
        found.append((number, value))
    return found


def _may_nest_deeply(file: Path) -> bool:
    """Whether a line opens more lists and objects than may be nested; an upper bound that needs no parser."""
    with file.open("rb") as stream:
        opened = 0
        while block := stream.read(_BLOCK_BYTES):
            codes = np.frombuffer(block, dtype=np.uint8)
            openers = ((codes == _LIST) | (codes == _OBJECT)).astype(np.int32)
            starts = np.flatnonzero(codes == _NEWLINE) + 1
            counts = np.add.reduceat(openers, [0, *starts[starts < len(codes)]])
            counts[0] += opened
            if int(counts.max()) > MOST_DEPTH:
                return True
            opened = 0 if block.endswith(b"\n") else int(counts[-1])
    return False


def _overflows(data: pa.Table) -> bool:
    """Whether a number was too large for a float: JSON has no infinity."""
    names = [name for name in _NUMBERS if name in data.column_names and pa.types.is_floating(data.schema.field(name).type)]
    return any(pc.any(pc.is_inf(data.column(name))).as_py() for name in names)


def _holds_null_lines(file: Path) -> bool:
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return bool(_NULL_START.match(content) or _NULL_LINE.search(content))


def _is_plain(data: pa.Table) -> bool:
    # Arrow turns date-like text into timestamps; only plain columns may take the fast way.
    return not any(pa.types.is_temporal(data.schema.field(name).type) for name in COLUMNS if name in data.column_names)


def _slow_rows(file: Path) -> list[dict[str, Any]]:
    rows = []
    for number, value in json_objects(file):
        missing = [name for name in _REQUIRED if name not in value]
        if missing:
            mend = "Every row names suite, task, item_id, metric and score."
            raise _line_fault(file, number, f"line {number} lacks {', '.join(missing)}", mend=mend)
        if empty := [name for name in KEY_COLUMNS if value[name] is None]:
            mend = "Every row names its suite, task, item_id and metric."
            raise _line_fault(file, number, f"line {number}: {', '.join(empty)} is empty", mend=mend)
        if isinstance(stated := value.get("group"), (str, dict)):
            text = stated if isinstance(stated, str) else json.dumps(stated)
            if canonical_group(text) is None:
                what = f"line {number}: group {text[:60]!r} is not a JSON object of attribute and value"
                raise _line_fault(file, number, what, mend=GROUP_MEND)
        for name in _NUMBERS & set(value):
            if not (value[name] is None or isinstance(value[name], (int, float))):
                what = f"line {number}: {name} is {str(value[name])[:60]!r}, not a number"
                raise _line_fault(file, number, what, mend=f"Write {name} as one number in every line.")
            if isinstance(value[name], int | float) and abs(value[name]) > _LARGEST:
                what = f"line {number}: {name} is beyond the largest number there is"
                raise _line_fault(file, number, what, mend=f"Write {name} as one finite number in every line.")
        rows.append({name: value[name] for name in COLUMNS if name in value})
    if not rows:
        raise InputError("holds no rows", where=str(file), mend="Write one line per item and metric.")
    return rows


def _csv_fault(file: Path, error: Exception) -> InputError:
    lines = text_lines(file)
    reader = csv.reader(lines)
    try:
        header = next(reader, [])
        for row in reader:
            if row and len(row) != len(header):
                what = f"line {reader.line_num} has {len(row)} cells where the header has {len(header)}"
                return _line_fault(file, reader.line_num, what, mend="The file may be cut short, or a text with commas lacks its quotes.")
            for name, cell in zip(header, row, strict=False):
                if name in _NUMBERS and cell and not _is_number(cell):
                    what = f"line {reader.line_num}: {name} is {cell!r}, not a number"
                    return _line_fault(file, reader.line_num, what, mend=f"Write {name} as one number in every row.")
    except csv.Error as fault:
        return _line_fault(file, reader.line_num, f"line {reader.line_num}: {fault}", mend="Quote texts that hold commas or line breaks.")
    return InputError(
        f"is not a CSV item table: {str(error).splitlines()[0]}", where=str(file), mend="Write a header line and one row per item."
    )


def _line_fault(file: Path, line: int, what: str, *, mend: str) -> InputError:
    return DeclarationError([Fault(file=str(file), key="", line=line, what=what, mend=mend)])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
