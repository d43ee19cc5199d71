"""Images and sounds inside a Parquet file, as data sets of the Hub hold them: put beside each other as files, with a line for each row.

Such a column is ``{bytes, path}``. Its place in the line is taken by the name of the file that holds the bytes, whose digest stands
beside it, so that the digest of the lines is one of the whole content.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kdgov.declarations.data_parts.feature_names import classes_beside, classes_in
from kdgov.digest import digest_bytes, digest_json
from kdgov.errors import InputError, UnavailableError
from kdgov.resources import cache_folder

_ROWS = 64
_MARKS = (
    (b"\x89PNG", ".png"), (b"\xff\xd8\xff", ".jpg"), (b"GIF8", ".gif"), (b"BM", ".bmp"), (b"II*\x00", ".tif"), (b"MM\x00*", ".tif"),
    (b"fLaC", ".flac"), (b"OggS", ".ogg"), (b"ID3", ".mp3"), (b"\xff\xfb", ".mp3"),
)  # fmt: skip


def media_columns(path: Path) -> list[str]:
    """Names of the columns of a Parquet file that hold images or sounds; empty where it is none, or cannot be read."""
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError):
        # Whoever reads its rows says what is wrong with it.
        return []
    return [field.name for field in schema if _holds_media(field.type)]


def _holds_media(kind: pa.DataType) -> bool:
    names = {kind.field(n).name: kind.field(n).type for n in range(kind.num_fields)} if pa.types.is_struct(kind) else {}
    return {"bytes", "path"} <= names.keys() and (pa.types.is_binary(names["bytes"]) or pa.types.is_large_binary(names["bytes"]))


def unpacked(path: Path, columns: list[str]) -> Path:
    """The file of lines, in the cache, with the images or sounds beside it; what was unpacked before is found again.

    Raises:
        InputError: if a row holds no bytes, or bytes of an unknown kind.
        UnavailableError: if the files cannot be written.
    """
    real = path.resolve()
    stat = real.stat()
    place = digest_json([str(real), stat.st_size, stat.st_mtime_ns, stat.st_ino]).removeprefix("sha256:")[:24]
    home = cache_folder() / "unpacked" / place
    file = home / f"{path.stem}.jsonl"
    classes = classes_beside(file)
    if file.is_file() and classes.is_file():
        return file
    beside = home / f".{file.name}.{os.getpid()}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8") as lines:
            for row in _rows(path, columns, home):
                lines.write(json.dumps(row, ensure_ascii=False, sort_keys=True, default=str) + "\n")
        classes.write_text(json.dumps({column: list(names) for column, names in classes_in(path).items()}), encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        mend = "Set KDGOV_CACHE to a folder of yours with room for the data."
        raise UnavailableError(f"what {path.name} holds cannot be unpacked: {error.strerror}", where=str(home), mend=mend) from error
    finally:
        beside.unlink(missing_ok=True)
    return file


def _rows(path: Path, columns: list[str], home: Path) -> Iterator[dict[str, Any]]:
    number = 0
    for batch in pq.ParquetFile(path).iter_batches(batch_size=_ROWS):
        for row in batch.to_pylist():
            number += 1
            for column in columns:
                if row[column] is not None:
                    row |= _kept(row[column], column, home, f"{path}:{number}")
            yield row


def _kept(held: dict[str, Any], column: str, home: Path, where: str) -> dict[str, str]:
    """The name of the file that holds an image or sound from now on, and its digest."""
    data = held["bytes"]
    if not data:
        mend = "Name the folder of images or sounds instead, or a revision that holds them in the file."
        raise InputError(f"{column}: holds a path alone ({held['path']!r}), and no image or sound", where=where, mend=mend)
    digest = digest_bytes(data)
    name = f"{digest.removeprefix('sha256:')[:32]}{_suffix(data, held['path'], column, where)}"
    if not (home / name).is_file():
        beside = home / f".{name}.{os.getpid()}"
        beside.write_bytes(data)
        beside.replace(home / name)
    return {column: name, "file_digest": digest}


def _suffix(data: bytes, path: str | None, column: str, where: str) -> str:
    found = next((suffix for mark, suffix in _MARKS if data.startswith(mark)), "")
    if data[:4] == b"RIFF":
        found = {b"WAVE": ".wav", b"WEBP": ".webp"}.get(data[8:12], "")
    named = PurePosixPath(path or "").suffix.lower()
    if not found and not named:
        raise InputError(
            f"{column}: holds bytes of an unknown kind", where=where, mend="Save images as PNG or JPEG, sounds as WAV or FLAC."
        )
    return found or named
