"""Which kind of file data are in, told by its name and held against its first bytes: no file is learnt as the text that it is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.errors import InputError
from kdgov.safe_parse import first_bytes

FORMATS = "JSON lines, JSON, CSV, TSV, Parquet or plain text (.txt, .md), each also as .gz, .bz2, .xz or .zst"
FileKind = Literal["lines", "table", "parquet", "text"]
_KINDS: dict[str, FileKind] = {
    ".jsonl": "lines", ".ndjson": "lines", ".json": "lines", ".csv": "table", ".tsv": "table", ".parquet": "parquet", ".pq": "parquet",
    ".txt": "text", ".text": "text", ".md": "text", "": "text",
}  # fmt: skip
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_ROW_KEYS = {"text", "prompt", "messages", "conversations", "instruction", "input", "question"}
_BLANK_LINES = re.compile(r"\n[^\S\n]*\n")


def kind_of(path: Path) -> FileKind:
    """The kind of a data file.

    Raises:
        InputError: if there is none, its name is of no kind that is read, or its first bytes are of another.
    """
    if not path.is_file():
        raise InputError("there is no such data file", where=str(path), mend="Correct the path under `data:`.")
    compressed = path.suffix.lower() in _COMPRESSED
    suffix = Path(path.stem).suffix.lower() if compressed else path.suffix.lower()
    if (kind := _KINDS.get(suffix)) is None:
        raise InputError(
            f"is of a kind that is not read ({suffix})", where=str(path), mend=f"Write it as one that is, and name it so: {FORMATS}."
        )
    if not compressed and path.stat().st_size:
        head = first_bytes(path, 64)
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise InputError("is UTF-16 text", where=str(path), mend=f"Save the file as UTF-8. Formats read: {FORMATS}.")
    return kind


def paragraphs(path: Path, tally: Tally) -> Iterator[str]:
    """The paragraphs of a plain text, between lines that are blank.

    Raises:
        InputError: if it holds JSON lines, or its compression is damaged.
    """
    text = "".join(piece.text[piece.own_from : piece.own_to] for row in read_rows(path, tally) for piece in row.pieces)
    if _is_rows(text):
        raise InputError(
            "holds JSON lines under the name of a plain text", where=str(path), mend="Rename it to `.jsonl`: every line is an example then."
        )
    parts = _BLANK_LINES.split(text.replace("\r\n", "\n").replace("\r", "\n"))
    return (part.strip() for part in parts if part.strip())


def _is_rows(text: str) -> bool:
    first = text.lstrip()[: 1 << 20].partition("\n")[0]
    if not first.startswith("{"):
        return False
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and bool(_ROW_KEYS & value.keys())
