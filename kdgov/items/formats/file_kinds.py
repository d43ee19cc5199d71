"""Which kind of file data are in, told by its name and held against its first bytes: no file is read as the text that it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from kdgov.errors import InputError
from kdgov.safe_parse import first_bytes

FORMATS = "JSON lines, JSON, CSV, TSV, Parquet or plain text (.txt, .md), each also as .gz, .bz2, .xz or .zst"
FileKind = Literal["lines", "table", "parquet", "text"]
_KINDS: dict[str, FileKind] = {
    ".jsonl": "lines", ".ndjson": "lines", ".json": "lines", ".csv": "table", ".tsv": "table", ".parquet": "parquet", ".pq": "parquet",
    ".txt": "text", ".log": "text", ".text": "text", ".md": "text", "": "text",
}  # fmt: skip
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_ROW_KEYS = {"text", "prompt", "messages", "conversations", "instruction", "input", "question", "query", "content", "request"}


def kind_of(path: Path) -> FileKind:
    """The kind of a data file.

    Raises:
        InputError: if there is none, its name is of no kind that is read, or its first bytes are of another.
    """
    if not path.is_file():
        raise InputError("there is no such data file", where=str(path), mend="Correct its path.")
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


def refuse_rows(text: str, path: Path) -> None:
    """Nothing, where a plain text is one.

    Raises:
        InputError: if it holds JSON lines: every line would be taken for its own words.
    """
    if _is_rows(text):
        mend = "Rename it to `.jsonl`: every line is a record then."
        raise InputError("holds JSON lines under the name of a plain text", where=str(path), mend=mend)


def text_lines(text: str) -> list[str]:
    """The lines of a text that are not blank, as editors break them: a line or paragraph separator within one ends none."""
    return [line for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip()]


def _is_rows(text: str) -> bool:
    first = text.lstrip()[: 1 << 20].partition("\n")[0]
    if not first.startswith("{"):
        return False
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and bool(_ROW_KEYS & value.keys())
