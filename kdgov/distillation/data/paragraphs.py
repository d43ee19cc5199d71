"""Plain text as examples: its paragraphs, between lines that are blank, plain or compressed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.items.formats.file_kinds import refuse_rows

_BLANK_LINES = re.compile(r"\n[^\S\n]*\n")


def paragraphs(path: Path, tally: Tally) -> Iterator[str]:
    """The paragraphs of a plain text.

    Raises:
        InputError: if it holds JSON lines, or its compression is damaged.
    """
    text = "".join(piece.text[piece.own_from : piece.own_to] for row in read_rows(path, tally) for piece in row.pieces)
    refuse_rows(text, path)
    parts = _BLANK_LINES.split(text.replace("\r\n", "\n").replace("\r", "\n"))
    return (part.strip() for part in parts if part.strip())
