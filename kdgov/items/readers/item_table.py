"""kdgov's own item tables: Parquet, JSON lines and CSV with the columns of docs/gate.md."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from kdgov.errors import InputError
from kdgov.items.columns import COLUMNS, KEY_COLUMNS, joined
from kdgov.items.formats.source import Source
from kdgov.items.formats.text_formats import read_csv, read_json_lines
from kdgov.items.reader import Claim, Reader, Reading
from kdgov.items.table import ItemTable

ENDINGS = (".parquet", ".jsonl", ".csv")
MOST_ROWS = 50_000_000
"""Largest table that is read."""
_MOST_TEXT_BYTES = 4 << 30
_MOST_PARTS = 64
_REPEATING = frozenset({"suite", "task", "metric", "cluster", "group"})
_REQUIRED = frozenset({*KEY_COLUMNS, "score"})


def _claims(source: Source) -> Claim:
    if source.path.suffix not in ENDINGS:
        return ""
    return "scores" if set(source.columns or source.first) >= _REQUIRED else ""


def _read(scores: Sequence[Source], beside: Sequence[Source]) -> Reading:
    tables = [read_table(source) for source in scores]
    return Reading(table=tables[0] if len(tables) == 1 else joined_tables(tables, str(scores[0].path.parent)))


def read_table(source: Source) -> ItemTable:
    """The item table of one file.

    Raises:
        InputError: naming file and row of whatever is wrong.
    """
    source.head  # noqa: B018 - an empty file, a Git-LFS pointer or a gzip says so
    match source.path.suffix:
        case ".parquet":
            return _read_parquet(source)
        case ".jsonl":
            return read_json_lines(source.path)
        case _:
            return read_csv(source.path)


def joined_tables(tables: Sequence[ItemTable], source: str) -> ItemTable:
    """Several tables as one."""
    return ItemTable.from_arrow(joined([table.data for table in tables]), source=source)


def _read_parquet(source: Source) -> ItemTable:
    file = source.path
    try:
        parquet = pq.ParquetFile(file)
        if parquet.metadata.num_rows > MOST_ROWS:
            what = f"holds {parquet.metadata.num_rows:,} rows; at most {MOST_ROWS:,} are read"
            raise InputError(what, where=str(file), mend="Judge the tasks in parts.")
        types = {column.name: column.type for column in parquet.schema_arrow}
        names = [name for name in types if name in COLUMNS]
        # Arrow knows no dictionary of objects or lists: a group may be a struct or a map, as it is an object in JSON lines.
        text = [n for n in names if n in _REPEATING and not pa.types.is_nested(types[n])]
        _refuse_swollen(parquet, file)
        data = pq.ParquetFile(file, read_dictionary=text).read(columns=names)
        data.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, PermissionError):
            raise
        raise InputError(
            f"is not a whole Parquet file: {str(error).splitlines()[0]}", where=str(file), mend="Write the file again; it may be cut short."
        ) from error
    return ItemTable.from_arrow(data, source=str(file))


def _refuse_swollen(parquet: pq.ParquetFile, file: object) -> None:
    """Refuse a text that repeats a large dictionary entry in millions of rows: megabytes that unpack to terabytes.

    The first texts of each part are looked at, never the metadata of its columns: on damaged metadata Arrow ends the process.
    """
    rows = parquet.metadata.num_rows
    fields = [f for f in parquet.schema_arrow if f.name in COLUMNS and f.name not in _REPEATING and _is_text(f.type)]
    for group in range(min(parquet.metadata.num_row_groups, _MOST_PARTS) if fields else 0):
        for batch in islice(parquet.iter_batches(batch_size=64, row_groups=[group], columns=[f.name for f in fields]), 1):
            for name in batch.schema.names:
                usual = _usual_bytes(batch.column(batch.schema.names.index(name)))
                if usual * rows > _MOST_TEXT_BYTES:
                    what = f"repeats texts of about {usual:,.0f} bytes in {rows:,} rows of {name}"
                    raise InputError(what, where=str(file), mend="Leave the texts out; the decision does not read them.")


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_binary(inner))


def _usual_bytes(column: pa.Array) -> float:
    """Mean length of texts: what the whole column would take, where an entry is repeated."""
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    lengths = [len(v) for v in plain.cast(pa.large_binary()).to_pylist() if v is not None]
    return sum(lengths) / len(lengths) if lengths else 0.0


READER = Reader(name="item_table", tool="kdgov item table", seen="kdgov's own", claims=_claims, read=_read)
