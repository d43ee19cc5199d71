"""Items from files: JSON lines, JSON, CSV and Parquet, plain or gzip, with columns renamed and rows chosen as a suite declares."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

from kdgov.declarations.suite import data_path
from kdgov.declarations.suite_data import DataInSuite
from kdgov.digest import digest_file, digest_json
from kdgov.errors import InputError
from kdgov.evaluation.plan.author_formats import leaves, records_of, shaped, side_by_side
from kdgov.safe_parse import json_value

Row = dict[str, Any]


def read_data(data: DataInSuite, *, suite_file: Path, key: str = "data") -> tuple[list[Row], str]:
    """The rows a suite's data declaration stands for, and the digest of the file they came from.

    Raises:
        InputError: if the file is absent, is not the pinned one, cannot be parsed, or keeps no row.
    """
    path = data_path(data, suite_file=suite_file, key=f"{key}.path")
    if not path.is_file():
        raise InputError(
            f"{key}.path: {data.path!r} does not exist",
            where=str(suite_file),
            # What a variable holds is shown to nobody: whoever writes a suite chooses which one is read.
            mend=f"Put your copy of the data at {data.path if '${' in data.path else path}, or correct the path.",
        )
    try:
        return _read(data, path, suite_file, key)
    except OSError as error:
        what = f"{key}.path: {data.path!r} cannot be read: {error.strerror}"
        raise InputError(what, where=str(suite_file), mend="Check the file's permissions.") from error
    except InputError as error:
        if "${" not in data.path:
            raise
        said = [part.replace(str(path), data.path) for part in (error.what, error.where, error.mend)]
        raise InputError(said[0], where=said[1], mend=said[2]) from None


def _read(data: DataInSuite, path: Path, suite_file: Path, key: str) -> tuple[list[Row], str]:
    found = digest_file(path)
    if data.digest is not None and found != data.digest:
        raise InputError(
            f"{key}: {data.path!r} is not the pinned file: it has {found}, the suite pins {data.digest}",
            where=str(suite_file),
            mend="Restore the pinned file, or review the change and pin it with `kdgov suites pin`.",
        )
    rows = _beside(_rows_in(path, data), data, suite_file, key)
    digests = [found] if data.beside is None else [found, digest_file(_second(data, suite_file, key))]
    rows = shaped(rows, data, where=data.path)
    if missing := sorted({c for c in (*data.columns.values(), *data.where, *data.above, *data.at_most) if rows and c not in rows[0]}):
        raise InputError(
            f"{key}: {data.path!r} has no column {', '.join(missing)}",
            where=str(suite_file),
            mend=f"Its columns are {', '.join(sorted(rows[0]))}.",
        )
    kept = [r for r in rows if all(r.get(c) in wanted for c, wanted in data.where.items()) and _in_range(r, data)]
    renamed = [{**row, **{new: row.get(old) for new, old in data.columns.items()}} for row in kept]
    if not renamed:
        raise InputError(f"{key}: {data.path!r} keeps no row", where=str(suite_file), mend="Check `where`; an empty suite proves nothing.")
    return renamed, digests[0] if len(digests) == 1 else digest_json(digests)


def _in_range(row: Row, data: DataInSuite) -> bool:
    def number(column: str) -> float:
        try:
            return float(row.get(column) or "nan")
        except (TypeError, ValueError):
            return math.nan

    return all(number(c) > limit for c, limit in data.above.items()) and all(number(c) <= limit for c, limit in data.at_most.items())


def _rows_in(path: Path, data: DataInSuite) -> list[Row]:
    if data.records is None and not data.nested:
        return read_rows(path)
    document = _document(path)
    part = document if data.records is None else records_of(document, data.records, where=str(path))
    if data.nested:
        return leaves(part, data.nested, where=str(path))
    if isinstance(part, list) and all(isinstance(row, dict) for row in part):
        return part
    raise InputError("records: there is no list of objects", where=str(path), mend="Name the keys that lead to the list.")


def _document(path: Path) -> Any:
    data = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    return json_value(data.decode("utf-8-sig", errors="replace"), where=str(path))


def _second(data: DataInSuite, suite_file: Path, key: str) -> Path:
    path = data_path(data.model_copy(update={"path": str(data.beside)}), suite_file=suite_file, key=f"{key}.beside")
    if not path.is_file():
        raise InputError(
            f"{key}.beside: {data.beside!r} does not exist", where=str(suite_file), mend="Put the second file there, or correct the path."
        )
    return path


def _beside(rows: list[Row], data: DataInSuite, suite_file: Path, key: str) -> list[Row]:
    if data.beside is None:
        return rows
    others = _rows_in(_second(data, suite_file, key), data)
    if data.pattern is not None or data.remove is not None:
        others = shaped(others, data.model_copy(update={"columns": {}, "pivot": None, "melt": None}), where=str(data.beside))
    return side_by_side(rows, others, "beside_", where=str(suite_file))


def read_rows(path: Path) -> list[Row]:
    """All rows of a file; its name tells its kind (``.jsonl``, ``.json``, ``.csv``, ``.tsv``, ``.parquet``, ``.txt``, also ``.gz``).

    Raises:
        InputError: naming the line that cannot be read.
    """
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes[-2:] in ([".txt", ".test"], [".txt", ".dev"]):
        suffixes = suffixes[:-1]  # WinoBias names its text files so
    is_zipped = suffixes[-1:] == [".gz"]
    kind = (suffixes[:-1] if is_zipped else suffixes)[-1:] or [""]
    if kind[0] == ".parquet":
        return list(parquet.read_table(path).to_pylist())
    try:
        data = gzip.decompress(path.read_bytes()) if is_zipped else path.read_bytes()
        text = data.decode("utf-8-sig")
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise InputError(f"cannot be read as text: {error}", where=str(path), mend="Save the file as UTF-8, plain or gzip.") from error
    match kind[0]:
        case ".jsonl" | ".ndjson":
            return _json_lines(text, path)
        case ".json":
            return _json_rows(text, path)
        case ".csv" | ".tsv":
            return [dict(r) for r in csv.DictReader(io.StringIO(text), delimiter="\t" if kind[0] == ".tsv" else ",")]
        case ".txt":
            return [{"text": line} for line in text.splitlines() if line.strip()]
        case other:
            raise InputError(f"has an unknown kind {other!r}", where=str(path), mend="Use .jsonl, .json, .csv, .tsv, .parquet or .txt.")


def _json_lines(text: str, path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"is not JSON: {error}", where=f"{path}:{number}", mend="Write one JSON object per line.") from error
        if not isinstance(value, dict):
            raise InputError("holds no JSON object", where=f"{path}:{number}", mend="Write one JSON object per line.")
        rows.append(value)
    return rows


def _json_rows(text: str, path: Path) -> list[Row]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON: {error}", where=str(path), mend="Correct the file.") from error
    if isinstance(value, list) and all(isinstance(r, dict) for r in value):
        return value
    raise InputError("is not a list of JSON objects", where=str(path), mend="Write a list of objects, or one object per line as .jsonl.")


def draw(keys: Sequence[str], *, limit: int | None, seed: int) -> list[int]:
    """Positions of ``limit`` items drawn by hash, in their own order; all of them where there is no limit.

    The draw depends on an item's own key only, so adding or removing other items never changes who is compared with whom
    by position, and it is never the first ones of a sorted file.
    """
    if limit is None or limit >= len(keys):
        return list(range(len(keys)))
    ranked = sorted(range(len(keys)), key=lambda i: (hashlib.sha256(f"{seed}:{keys[i]}".encode()).digest(), i))
    return sorted(ranked[:limit])


def group_of(doc: Mapping[str, Any], fields: Sequence[str], *, task: str) -> dict[str, str]:
    """Group attributes of an item.

    Raises:
        InputError: if the item lacks a declared attribute: a silently absent group would never be judged.
    """
    group = {}
    for name in fields:
        if doc.get(name) is None:
            raise InputError(
                f"groups: an item has no value for {name!r}", where=task, mend=f"Its fields are {', '.join(sorted(map(str, doc)))}."
            )
        group[name] = str(doc[name])
    return group
