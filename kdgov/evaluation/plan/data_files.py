r"""Rows of a file as it lies on disk: JSON lines, JSON, CSV, Parquet or text, plain or gzip; a file that is cut short is refused.

Example:
    >>> csv_rows("prompt,label\nTell me,safe\n", where="x.csv", delimiter=",")
    [{'prompt': 'Tell me', 'label': 'safe'}]
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from kdgov.errors import InputError
from kdgov.items.formats.file_kinds import text_lines
from kdgov.safe_parse import RepeatedKeyError, json_value, line_of_repeat, refuse_half, unique_object

Row = dict[str, Any]
_POINTER = b"version https://git-lfs.github.com/spec/"
_WHOLE = "The file is cut short or was edited: get it again from its authors."
csv.field_size_limit(1 << 26)


def read_rows(path: Path) -> list[Row]:
    """All rows of a file; its name tells its kind (``.jsonl``, ``.json``, ``.csv``, ``.tsv``, ``.parquet``, ``.txt``, also ``.gz``).

    Raises:
        InputError: naming the line that cannot be read.
    """
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes[-2:] in ([".txt", ".test"], [".txt", ".dev"]):
        suffixes = suffixes[:-1]  # WinoBias names its text files so
    kind = (suffixes[:-1] if suffixes[-1:] == [".gz"] else suffixes)[-1:] or [""]
    _refuse_pointer(path)
    match kind[0]:
        case ".parquet":
            return _parquet_rows(path)
        case ".jsonl" | ".ndjson":
            return _json_lines(text_of(path), path)
        case ".json":
            return _json_rows(text_of(path), path)
        case ".csv" | ".tsv":
            return csv_rows(text_of(path), where=str(path), delimiter="\t" if kind[0] == ".tsv" else ",")
        case ".txt":
            return [{"text": line} for line in text_lines(text_of(path))]
        case other:
            raise InputError(f"has an unknown kind {other!r}", where=str(path), mend="Use .jsonl, .json, .csv, .tsv, .parquet or .txt.")


def _refuse_pointer(path: Path) -> None:
    """A repository cloned without Git LFS holds three lines in the place of a large file, which read as a table of one column."""
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            mend = "Run `git lfs pull` in its repository, or download the file itself."
            raise InputError("is a pointer of Git LFS and not the file it stands for", where=str(path), mend=mend)


def text_of(path: Path) -> str:
    """A file's text, unpacked where it is gzip; a byte-order mark is no part of it.

    Raises:
        InputError: if it is not UTF-8, or its gzip is damaged.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
        return data.decode("utf-8-sig")
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"cannot be read as text: {error}", where=str(path), mend="Save the file as UTF-8, plain or gzip.") from error


def document_of(path: Path) -> Any:
    """The value of a file that is one JSON document.

    Raises:
        InputError: if it is none.
    """
    _refuse_pointer(path)
    try:
        return json_value(text_of(path), where=str(path))
    except InputError as error:
        raise InputError(error.what, where=error.where, mend=_WHOLE if "is not JSON" in error.what else error.mend) from error


def csv_rows(text: str, *, where: str, delimiter: str) -> list[Row]:
    """Rows of a CSV text with a header; cells may hold line breaks.

    Raises:
        InputError: naming the line at which a quote stays open, or a row has more or fewer cells than the header.
    """
    _refuse_open_quote(text, where, delimiter)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header: list[str] = []
    rows = []
    for cells in reader:
        if not cells:
            continue
        if not header:
            header = cells
            if twice := sorted({name for name in header if header.count(name) > 1}):
                raise InputError(f"has two columns {twice[0]!r}", where=where, mend="Give every column a name of its own.")
            continue
        if len(cells) != len(header):
            what = f"has {len(cells)} cells where the header has {len(header)}"
            raise InputError(what, where=f"{where}:{reader.line_num}", mend=_WHOLE)
        rows.append(dict(zip(header, cells, strict=True)))
    return rows


def _refuse_open_quote(text: str, where: str, delimiter: str) -> None:
    """A file cut within a quoted cell: without this its rest is one long cell, and nobody is told."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for _ in reader:
            pass
    except csv.Error as error:
        # Other strictness (a letter behind a closing quote) is the authors' own matter.
        if "unexpected end of data" in str(error) or "field larger" in str(error):
            raise InputError(f"is not CSV: {error}", where=f"{where}:{reader.line_num}", mend=_WHOLE) from error


def _parquet_rows(path: Path) -> list[Row]:
    try:
        unique_object([(name, None) for name in parquet.read_schema(path).names])
        return list(parquet.read_table(path).to_pylist())
    except RepeatedKeyError as error:
        raise error.fault(str(path)) from error
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise InputError(f"is not a whole Parquet file: {str(error).splitlines()[0]}", where=str(path), mend=_WHOLE) from error


def _json_lines(text: str, path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=unique_object)
            refuse_half(line, value)
        except RepeatedKeyError as error:
            raise error.fault(str(path), number) from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"is not JSON: {error}", where=f"{path}:{number}", mend="Write one JSON object per line.") from error
        if not isinstance(value, dict):
            raise InputError("holds no JSON object", where=f"{path}:{number}", mend="Write one JSON object per line.")
        rows.append(value)
    return rows


def _json_rows(text: str, path: Path) -> list[Row]:
    try:
        value = json.loads(text, object_pairs_hook=unique_object)
        refuse_half(text, value)
    except RepeatedKeyError as error:
        raise error.fault(str(path), line_of_repeat(text.encode())) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON: {error}", where=str(path), mend="Correct the file.") from error
    if isinstance(value, list) and all(isinstance(r, dict) for r in value):
        return value
    raise InputError("is not a list of JSON objects", where=str(path), mend="Write a list of objects, or one object per line as .jsonl.")
