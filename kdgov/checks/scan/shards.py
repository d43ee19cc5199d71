"""Data files as a stream of texts: JSON lines, JSON, CSV, Parquet, plain text; gzip, bzip2, xz or zstd; memory bounded by a block.

Nothing is skipped silently: bytes that are not UTF-8, lines that are not JSON and lines too long to parse are counted in `Tally`.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import itertools
import json
import lzma
import re
import zlib
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from kdgov.checks.scan.text_fields import Piece, Row, Tally, pieces_of
from kdgov.errors import InputError
from kdgov.items.formats.json_array import json_elements
from kdgov.safe_parse import RepeatedKeyError, line_of_repeat, refuse_half, unique_object

BLOCK_BYTES = 1 << 20
"""Bytes read at a time."""
LONG_LINE_BYTES = 16 << 20
"""A line longer than this is scanned as raw text in windows instead of being parsed."""
OVERLAP = 4096
"""Characters two neighbouring windows share, so that nothing is lost at a cut."""
ROWS_PER_BATCH, CHARS_PER_BATCH = 4096, 1 << 20

_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "b": " ", "f": " ", '"': '"', "\\": "\\", "/": "/"}


def read_rows(path: Path, tally: Tally) -> Iterator[Row]:
    """Every example of one data file.

    Raises:
        InputError: if the file cannot be read as the format its name claims, or names a key or column twice.
    """
    suffixes = [s.lower() for s in path.suffixes]
    kind = next((s for s in reversed(suffixes) if s not in _COMPRESSED), ".txt")
    try:
        if kind in (".parquet", ".pq"):
            yield from _parquet_rows(path, tally)
            return
        with _opened(path) as stream:
            if kind in (".jsonl", ".ndjson"):
                yield from _json_lines(stream, tally)
            elif kind == ".json":
                yield from _json_file(stream, tally)
            elif kind in (".csv", ".tsv"):
                yield from _csv_rows(stream, tally, delimiter="\t" if kind == ".tsv" else ",")
            else:
                yield from _text_rows(_decoded(stream, tally), tally, first=1, plain=True)
    except RepeatedKeyError as error:
        raise error.fault(str(path)) from error
    except (EOFError, zlib.error, lzma.LZMAError, OSError, pa.ArrowInvalid, csv.Error) as error:
        raise InputError(
            f"cannot be read as {''.join(suffixes) or 'text'}: {error}",
            where=str(path),
            mend="Write the file again; it is cut short or damaged.",
        ) from error


_COMPRESSED = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zst": None}


def _opened(path: Path) -> IO[bytes]:
    suffix = path.suffix.lower()
    if suffix == ".zst":
        return cast("IO[bytes]", pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
    opener = _COMPRESSED.get(suffix)
    stream = cast("IO[bytes]", opener(path, "rb")) if opener is not None else path.open("rb")
    if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        stream.seek(0)
    return stream


def _decode(block: bytes, tally: Tally) -> str:
    try:
        return block.decode("utf-8")
    except UnicodeDecodeError:
        text = block.decode("utf-8", "replace")
        tally.invalid_utf8 += text.count("\ufffd") - block.count(b"\xef\xbf\xbd")
        return text


def _json_lines(stream: IO[bytes], tally: Tally) -> Iterator[Row]:
    rest, number = b"", 0
    while block := stream.read(BLOCK_BYTES):
        rest += block
        cut = rest.rfind(b"\n")
        if cut < 0:
            if len(rest) > LONG_LINE_BYTES:
                number += 1
                rest = yield from _long_line(stream, rest, number, tally)
            continue
        lines, rest = rest[:cut], rest[cut + 1 :]
        for line in _decode(lines, tally).split("\n"):
            number += 1
            yield from _json_row(line, number, tally)
    if rest:
        yield from _json_row(_decode(rest, tally), number + 1, tally)


def _json_row(line: str, number: int, tally: Tally) -> Iterator[Row]:
    if not line or line.isspace():
        return
    try:
        value = json.loads(line, object_pairs_hook=unique_object)
        refuse_half(line, value)
    except RepeatedKeyError as error:
        if tally.repeated is None:
            raise RepeatedKeyError(error.key, number) from error
        tally.repeated.append((number, error.key))
    except (ValueError, RecursionError):
        tally.unreadable_count += 1
        if len(tally.unreadable) < 100:
            tally.unreadable.append(number)
    else:
        tally.rows += 1
        yield Row(number=number, pieces=pieces_of(value, number), value=value)
        return
    # Its text may still hold what must be found.
    yield Row(number=number, pieces=(Piece(row=number, field="", role="text", text=line),), value=None)


def _long_line(stream: IO[bytes], held: bytes, number: int, tally: Tally) -> Generator[Row, None, bytes]:
    """The rest of a line too long to parse, as windows of raw text; returns (as a generator does) what follows the line's end."""
    tally.long_lines += 1
    tally.rows += 1
    after = b""

    def blocks() -> Iterator[bytes]:
        nonlocal after
        yield from _cut(held)
        while block := stream.read(BLOCK_BYTES):
            cut = block.find(b"\n")
            if cut >= 0:
                after = block[cut + 1 :]
                yield block[:cut]
                return
            yield block

    texts = (_unescaped(text) for text in _decoded_blocks(blocks(), tally))
    yield from _windows(texts, number)
    return after


def _json_file(stream: IO[bytes], tally: Tally) -> Iterator[Row]:
    head = stream.read(LONG_LINE_BYTES + 1)
    if len(head) > LONG_LINE_BYTES:
        yield from _long_file(stream, head, tally)
        return
    try:
        value = json.loads(text := _decode(head, tally), object_pairs_hook=unique_object)
        refuse_half(text, value)
    except RepeatedKeyError as error:
        raise RepeatedKeyError(error.key, line_of_repeat(head)) from error
    except (ValueError, RecursionError):
        # Several values one after another: JSON lines under another name.
        yield from _json_lines(io.BytesIO(head), tally)
        return
    for number, item in enumerate(value if isinstance(value, list) else [value], 1):
        tally.rows += 1
        yield Row(number=number, pieces=pieces_of(item, number), value=item)


def _long_file(stream: IO[bytes], head: bytes, tally: Tally) -> Iterator[Row]:
    """Elements of an array of objects, one at a time; what is none, as windows of raw text."""
    blocks = itertools.chain(_cut(head), iter(lambda: stream.read(BLOCK_BYTES), b""))
    texts, number = _decoded_blocks(blocks, tally), 0
    elements = json_elements(texts, LONG_LINE_BYTES)
    while True:
        try:
            item = next(elements)
        except StopIteration as end:
            left, is_whole = end.value
            break
        number += 1
        tally.rows += 1
        yield Row(number=number, pieces=pieces_of(item, number), value=item)
    texts = itertools.chain([left], texts)
    tally.long_lines += not is_whole
    for text in texts:
        if text.strip():
            tally.long_lines += is_whole
            tally.rows += 1
            yield from _windows((_unescaped(one) for one in itertools.chain([text], texts)), number + 1)


def _cut(held: bytes) -> Iterator[bytes]:
    """What was held to see whether the line ends, in blocks, so that windows stay small."""
    for start in range(0, len(held), BLOCK_BYTES):
        yield held[start : start + BLOCK_BYTES]


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else _PLAIN[match[2]], text)


def _decoded(stream: IO[bytes], tally: Tally) -> Iterator[str]:
    return _decoded_blocks(iter(lambda: stream.read(BLOCK_BYTES), b""), tally)


def _decoded_blocks(blocks: Iterator[bytes], tally: Tally) -> Iterator[str]:
    rest = b""
    for block in blocks:
        whole = rest + block
        # A character may be cut in two: up to three bytes of it wait for the next block.
        keep = next((n for n in range(1, min(4, len(whole) + 1)) if whole[-n] >= 0xC0), 0)
        cut = len(whole) - keep if keep and keep < 2 + (whole[-keep] >= 0xE0) + (whole[-keep] >= 0xF0) else len(whole)
        rest = whole[cut:]
        yield _decode(whole[:cut], tally)
    if rest:
        yield _decode(rest, tally)


def _windows(texts: Iterator[str], row: int) -> Iterator[Row]:
    """A long text as overlapping windows; every character is owned by exactly one of them."""
    held, at, owned = "", 0, 0
    for text in texts:
        held += text
        if len(held) < BLOCK_BYTES // 2:
            continue
        own_to = len(held) - OVERLAP // 2
        yield _window(row, held, at, owned, own_to)
        keep = max(0, len(held) - OVERLAP)
        owned, at, held = own_to - keep, at + keep, held[keep:]
    if held:
        yield _window(row, held, at, owned, None)


def _window(row: int, text: str, offset: int, own_from: int, own_to: int | None) -> Row:
    piece = Piece(row=row, field="", role="text", text=text, own_from=own_from, own_to=own_to, offset=offset)
    return Row(number=row, pieces=(piece,), value=None)


def _text_rows(texts: Iterator[str], tally: Tally, *, first: int, plain: bool) -> Iterator[Row]:
    def counted() -> Iterator[str]:
        last = "\n"
        for text in texts:
            tally.rows += _line_starts(last, text)
            last = text[-1] if text else last
            yield text

    yield from _windows(counted(), first)


def _line_starts(last: str, text: str) -> int:
    lines = text.split("\n")
    starts = sum(1 for line in lines[1:] if line and not line.isspace())
    return starts + (1 if last == "\n" and lines[0] and not lines[0].isspace() else 0)


def _csv_rows(stream: IO[bytes], tally: Tally, *, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(LONG_LINE_BYTES)
    rows = csv.DictReader(_lines(_decoded(stream, tally)), delimiter=delimiter, restkey="…", strict=True)
    try:
        _refuse_repeated(rows.fieldnames or ())
        for row in rows:
            tally.rows += 1
            yield Row(number=tally.rows, pieces=pieces_of(row, tally.rows), value=row)
    except csv.Error:
        tally.unreadable, tally.unreadable_count = [tally.rows + 1], 1


def _refuse_repeated(columns: Sequence[str]) -> None:
    if twice := next((name for name in columns if name and columns.count(name) > 1), None):
        raise RepeatedKeyError(twice, 1)


def _lines(texts: Iterator[str]) -> Iterator[str]:
    rest = ""
    for text in texts:
        *whole, rest = (rest + text).split("\n")
        yield from (line + "\n" for line in whole)
    if rest:
        yield rest


def _parquet_rows(path: Path, tally: Tally) -> Iterator[Row]:
    number = 0
    with pq.ParquetFile(path) as table:
        _refuse_repeated(table.schema_arrow.names)
        for batch in table.iter_batches(batch_size=512):
            for value in batch.to_pylist():
                number += 1
                tally.rows += 1
                yield Row(number=number, pieces=pieces_of(value, number), value=value)
