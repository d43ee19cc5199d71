"""Reading and writing item tables: `read_items` and `read_declarations` of any tool's results, `write_items` as canonical Parquet."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kdgov.digest import write_atomic
from kdgov.items.columns import REVIEW_COLUMNS
from kdgov.items.metric import MetricDeclaration
from kdgov.items.results import ITEMS_FILE, read_results
from kdgov.items.table import ItemTable

__all__ = ["ITEMS_FILE", "read_declarations", "read_items", "write_items"]


def read_items(path: str | Path, *paths: str | Path, with_text: bool = True) -> ItemTable:
    """The item table a path stands for; several paths are read as one table.

    Args:
        path: whatever `kdgov.items.results.read_results` reads.
        paths: further ones, as a shell expands an unquoted glob.
        with_text: False leaves out the review texts, which the decision never reads.

    Raises:
        InputError: if nothing is there, or a file is empty, cut short, wrongly encoded or of mixed types, with its row.
    """
    table = read_results(path, *paths).table
    if with_text or not table.has("text"):
        return table
    return ItemTable(table.data.drop_columns(sorted(REVIEW_COLUMNS & set(table.data.column_names))), table.source)


def read_declarations(path: str | Path, *paths: str | Path) -> tuple[MetricDeclaration, ...]:
    """What results say of their metrics' direction: kdgov's own ``evidence.json``, or another tool's files.

    Empty for bare item tables: there the policy has to say which way is better.

    Raises:
        InputError: if the results cannot be read.
    """
    return read_results(path, *paths).metrics


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
