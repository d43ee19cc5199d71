"""Several files of a data set as one, in the cache, where one is read: Parquet as Parquet, text as text, the rest as JSON lines.

Rows stand in the order of the files. The same files give the same bytes everywhere, so that a digest pins them together.
"""

from __future__ import annotations

import csv
import io
import json
import lzma
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from kdgov.digest import digest_json
from kdgov.errors import InputError, UnavailableError
from kdgov.resources import cache_folder
from kdgov.safe_parse import json_value

_COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".xz": ""}
_AS_LINES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")


def joined(paths: Sequence[Path], *, where: str) -> Path:
    """The one file that several make; a single one as it is.

    Args:
        paths: files of one format.
        where: file and key of the entry, for messages.

    Raises:
        InputError: if a file is damaged, or their columns have types that do not fit together.
        UnavailableError: if the cache cannot be written.
    """
    if len(paths) == 1:
        return paths[0]
    stats = [(path.resolve(), path.stat()) for path in paths]
    place = digest_json([[str(real), stat.st_size, stat.st_mtime_ns] for real, stat in stats]).removeprefix("sha256:")[:24]
    kind = _kind(paths[0])
    suffix = kind if kind in (".parquet", ".txt") else ".jsonl"
    file = cache_folder() / "hub-data" / "joined" / place / f"{paths[0].name.partition('.')[0]}+{len(paths) - 1}{suffix}"
    if file.is_file():
        return file
    beside = file.with_name(f".{os.getpid()}-{file.name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".parquet":
            _tables(paths, beside)
        else:
            with beside.open("wb") as out:
                for path in paths:
                    out.writelines(_lines(path, kind))
        beside.replace(file)
    except (pa.ArrowException, EOFError, lzma.LZMAError, UnicodeDecodeError, csv.Error) as error:
        what = f"its files cannot be read as one: {str(error).splitlines()[0]}"
        raise InputError(what, where=where, mend="Name fewer with `files:` or `split:`.") from error
    except OSError as error:
        mend = "Set KDGOV_CACHE to a folder of yours with room for the data."
        raise UnavailableError(f"several files cannot be put together: {error}", where=str(file.parent), mend=mend) from error
    finally:
        beside.unlink(missing_ok=True)
    return file


def _kind(path: Path) -> str:
    suffix = next((one.lower() for one in reversed(path.suffixes) if one.lower() not in _COMPRESSED), ".txt")
    return ".parquet" if suffix == ".pq" else suffix if suffix in (*_AS_LINES, ".parquet") else ".txt"


def _tables(paths: Sequence[Path], beside: Path) -> None:
    schemas = [pq.read_schema(path) for path in paths]
    schema = pa.unify_schemas([one.remove_metadata() for one in schemas], promote_options="permissive")
    if all(one.metadata == schemas[0].metadata for one in schemas):
        # Names of classes stand there.
        schema = schema.with_metadata(schemas[0].metadata)
    with pq.ParquetWriter(beside, schema) as writer:
        for path in paths:
            for batch in pq.ParquetFile(path).iter_batches(batch_size=512):
                rows = pa.Table.from_batches([batch])
                for name in schema.names:
                    if name not in rows.column_names:
                        rows = rows.append_column(name, pa.nulls(len(rows), schema.field(name).type))
                writer.write_table(rows.select(schema.names).cast(schema))


def _lines(path: Path, kind: str) -> Iterator[bytes]:
    with _opened(path) as stream:
        if kind in (".csv", ".tsv"):
            text = io.TextIOWrapper(cast("Any", stream), encoding="utf-8-sig", newline="")
            rows = csv.DictReader(text, delimiter="\t" if kind == ".tsv" else ",", restkey="…", strict=True)
            if twice := next((name for name in rows.fieldnames or () if (rows.fieldnames or []).count(name) > 1), None):
                raise InputError(f"has two columns {twice!r}", where=str(path), mend="Give every column a name of its own.")
            yield from (_line(row) for row in rows)
        elif kind == ".json" and (held := stream.read()).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[":
            yield from (_line(row) for row in json_value(held, where=str(path)))
        else:
            text_lines = held.splitlines(keepends=True) if kind == ".json" else stream
            for number, line in enumerate(text_lines):
                line = line.removeprefix(b"\xef\xbb\xbf") if not number else line
                yield line if line.endswith(b"\n") else line + b"\n"


def _line(row: Any) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _opened(path: Path) -> IO[bytes]:
    suffix = path.suffix.lower()
    if suffix == ".xz":
        return cast("IO[bytes]", lzma.open(path, "rb"))
    stream = pa.input_stream(str(path), compression=_COMPRESSED.get(suffix) or None)
    return cast("IO[bytes]", io.BufferedReader(cast("Any", stream)))
