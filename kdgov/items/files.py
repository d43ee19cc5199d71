"""Reading and writing item tables: Parquet, JSON lines, CSV, `lm_eval --log_samples` folders, Inspect logs, shell globs."""

from __future__ import annotations

import glob
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kdgov.digest import write_atomic
from kdgov.errors import InputError
from kdgov.items.columns import COLUMN_TYPES, COLUMNS, REVIEW_COLUMNS
from kdgov.items.metric import MetricDeclaration
from kdgov.items.readers.inspect_log import read_inspect_log
from kdgov.items.readers.lm_eval import is_samples_file, read_results_declarations, read_samples_files
from kdgov.items.table import ItemTable
from kdgov.items.text_formats import read_csv, read_json_lines

_REPEATING = frozenset({"suite", "task", "metric", "cluster", "group"})
ITEMS_FILE, EVIDENCE_FILE = "items.parquet", "evidence.json"
"""What an evaluation calls its table and its account of itself: the names of `kdgov.evidence.bundle_layout`, which lies above."""
_MEND_FORMAT = "Name a .parquet, .jsonl or .csv item table, a folder of `lm_eval --output_path DIR --log_samples`, or an Inspect .eval log."


def read_items(path: str | Path, *paths: str | Path, with_text: bool = True) -> ItemTable:
    """The item table a path stands for; several paths are read as one table.

    Args:
        path: an item table file, a folder of such files or of lm_eval samples, an Inspect log, or a glob of them.
        paths: further ones, as a shell expands an unquoted glob.
        with_text: False leaves out the review texts, which the decision never reads.

    Raises:
        InputError: if nothing is there, or a file is empty, cut short, wrongly encoded or of mixed types, with its row.
    """
    source = str(path) if not paths else f"{path} and {len(paths)} more"
    files = [file for given in (path, *paths) for file in _files_of(str(given))]
    samples = [file for file in files if is_samples_file(file)]
    tables = [_read_file(file, with_text=with_text) for file in files if file not in set(samples)]
    if samples:
        tables.append(read_samples_files(samples))
    if not tables:
        raise InputError("holds no item table", where=source, mend=_MEND_FORMAT)
    whole = tables[0] if len(tables) == 1 else _join(tables, source)
    if len(whole) == 0:
        raise InputError("holds no rows", where=source, mend="An empty table proves nothing: write one row per item and metric.")
    return whole


def read_declarations(path: str | Path, *paths: str | Path) -> tuple[MetricDeclaration, ...]:
    """What a folder says of its metrics' direction: kdgov's own ``evidence.json``, or lm_eval's results file.

    lm_eval's known errors of polarity are mended. Empty for bare item tables: there the policy has to say which way is
    better.

    Raises:
        InputError: if such a file cannot be read.
    """
    folders: list[Path] = []
    for given in (path, *paths):
        place = Path(given)
        folders += [place] if place.is_dir() else [file.parent for file in _files_of(str(given)) if is_samples_file(file)]
    stated = [declared for folder in sorted(set(folders)) for declared in _evidence_declarations(folder / EVIDENCE_FILE)]
    return (*stated, *read_results_declarations(sorted(set(folders))))


def _evidence_declarations(file: Path) -> tuple[MetricDeclaration, ...]:
    if not file.is_file():
        return ()
    try:
        return tuple(MetricDeclaration(**row) for row in json.loads(file.read_bytes())["metrics"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"is no evidence of an evaluation: {error}", where=str(file), mend="Evaluate again, or move it away.") from error


def write_items(table: ItemTable, path: Path) -> None:
    """Write a table as canonical Parquet, atomically: the same rows give the same bytes."""
    buffer = io.BytesIO()
    # Plain text columns: a dictionary's own order would otherwise tell the order in which rows once came.
    data = table.canonical().data
    plain = {
        name: c.cast(pa.string()) if pa.types.is_dictionary(c.type) else c for name, c in zip(data.column_names, data.columns, strict=True)
    }
    pq.write_table(pa.table(plain), buffer, compression="zstd", version="2.6", store_schema=False)
    write_atomic(path, buffer.getvalue())


def _files_of(given: str) -> list[Path]:
    place = Path(given).expanduser()
    if place.is_dir():
        return _files_in(place)
    if place.exists():
        return [place]
    if glob.has_magic(given):
        found = [Path(name) for name in sorted(glob.glob(os.path.expanduser(given), recursive=True))]
        files = [file for name in found for file in (_files_in(name) if name.is_dir() else [name])]
        kept = [file for file in files if file.suffix in _READERS or is_samples_file(file)]
        if kept:
            return kept
        raise InputError("matches no file", where=given, mend="Check the glob, or quote it so that the shell leaves it alone.")
    raise InputError("there is no such file or folder", where=given, mend=_MEND_FORMAT)


def _files_in(folder: Path) -> list[Path]:
    samples = sorted(file for file in folder.rglob("samples_*.jsonl") if is_samples_file(file))
    if samples:
        return samples
    tables = sorted(file for file in folder.rglob("*") if file.suffix in _READERS and file.is_file() and not file.name.startswith("."))
    if not tables:
        raise InputError("holds neither an item table nor samples_*.jsonl files", where=str(folder), mend=_MEND_FORMAT)
    return tables


def _read_file(file: Path, *, with_text: bool) -> ItemTable:
    reader = _READERS.get(file.suffix)
    if reader is None:
        raise InputError(f"has the ending {file.suffix or '(none)'}, which is no item table", where=str(file), mend=_MEND_FORMAT)
    try:
        if file.stat().st_size == 0:
            raise InputError("is empty (0 bytes)", where=str(file), mend="The run that should have written it failed; run it again.")
        table = reader(file)
    except PermissionError as error:
        raise InputError("cannot be read: permission denied", where=str(file), mend="Check the file's permissions.") from error
    if with_text or not table.has("text"):
        return table
    return ItemTable(table.data.drop_columns(sorted(REVIEW_COLUMNS & set(table.data.column_names))), table.source)


def _read_parquet(file: Path) -> ItemTable:
    try:
        parquet = pq.ParquetFile(file)
        types = {column.name: column.type for column in parquet.schema_arrow}
        names = [name for name in types if name in COLUMNS]
        # Arrow knows no dictionary of objects or lists: a group may be a struct or a map, as it is an object in JSON lines.
        text = [n for n in names if n in _REPEATING and not pa.types.is_nested(types[n])]
        data = pq.ParquetFile(file, read_dictionary=text).read(columns=names)
        data.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        if isinstance(error, PermissionError):
            raise
        raise InputError(
            f"is not a whole Parquet file: {str(error).splitlines()[0]}", where=str(file), mend="Write the file again; it may be cut short."
        ) from error
    return ItemTable.from_arrow(data, source=str(file))


def _join(tables: Sequence[ItemTable], source: str) -> ItemTable:
    names = [name for name in COLUMNS if any(table.has(name) for table in tables)]
    parts = []
    for table in tables:
        columns = {n: table.data.column(n) if table.has(n) else pa.nulls(len(table), pa.string()) for n in names}
        parts.append({n: c.cast(_joined_type(n)) for n, c in columns.items()})
    whole = pa.table({n: pa.chunked_array([chunk for part in parts for chunk in _chunks(part[n])]) for n in names})
    return ItemTable.from_arrow(whole, source=source)


def _joined_type(name: str) -> pa.DataType:
    kind = COLUMN_TYPES[name]
    return kind if kind in (pa.float64(), pa.int64()) else pa.large_string()


def _chunks(column: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return list(column.chunks) if isinstance(column, pa.ChunkedArray) else [column]


_READERS: dict[str, Callable[[Path], ItemTable]] = {
    ".parquet": _read_parquet,
    ".jsonl": read_json_lines,
    ".csv": read_csv,
    ".eval": read_inspect_log,
}
