"""The texts of one example, each with what it is to the student."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Role = Literal["text", "prompt", "output"]
"""What a text is to the student: running text, what the teacher was asked, or what the teacher (or a person) answered."""

_PROMPTS = frozenset(
    {"prompt", "prompts", "instruction", "instructions", "question", "query", "input", "inputs", "user", "system", "source"}
)
_OUTPUTS = frozenset(
    {"completion", "completions", "response", "responses", "output", "outputs", "answer", "answers", "chosen", "rejected", "assistant"}
    | {"target", "label", "gpt"}
)


class Piece(NamedTuple):
    """One text of one row; a plain tuple, because millions of them are made."""

    row: int
    """Row number, from 1 (for plain text: number of the first line)."""
    field: str
    """Key of the text; empty for plain text."""
    role: Role
    """What it is to the student."""
    text: str
    """The text."""
    own_from: int = 0
    """Windows overlap: hits that start before this character belong to the window before."""
    own_to: int | None = None
    """Hits that start at or after this character belong to the next window."""
    offset: int = 0
    """Where the text starts within its row's text, in characters."""


@dataclass(slots=True)
class Tally:
    """What a reader had to note of one file; it only grows."""

    rows: int = 0
    """Examples: JSON values, CSV or Parquet rows, non-empty lines of plain text."""
    invalid_utf8: int = 0
    """Bytes or sequences that are not UTF-8, read as U+FFFD."""
    unreadable: list[int] = field(default_factory=list)
    """Line numbers, from 1, that are not JSON; at most the first hundred."""
    unreadable_count: int = 0
    """How many such lines there are."""
    long_lines: int = 0
    """Lines scanned as raw text because they are too long to parse."""
    repeated: list[tuple[int, str]] | None = None
    """Line and key of objects that name a key twice, for a caller that tells them itself (an empty list); else the first is refused."""


class Row(NamedTuple):
    """One example."""

    number: int
    """Row number, from 1."""
    pieces: tuple[Piece, ...]
    """Its texts."""
    value: Any
    """The parsed row, where it was parsed; else None."""


def pieces_of(value: Any, row: int) -> tuple[Piece, ...]:
    """The texts of a parsed row, however deep they lie."""
    if isinstance(value, dict):
        # The common row, a flat mapping, without recursion: this is the reader's inner loop.
        found: list[Piece] = []
        for key, item in value.items():
            if type(item) is str:
                if item:
                    found.append(Piece(row, key, _ROLES.get(key) or _role_of(key), item))
            elif isinstance(item, (dict, list)):
                found += _nested(item, row, str(key), _role_of(str(key)))
        return tuple(found)
    return tuple(_nested(value, row, "", "text"))


def _nested(value: Any, row: int, name: str, role: Role) -> Iterator[Piece]:
    if isinstance(value, str):
        if value:
            yield Piece(row, name, role, value)
    elif isinstance(value, dict):
        speaker = value.get("role") or value.get("from")
        for key, item in value.items():
            said = _role_of(str(speaker)) if speaker and key in ("content", "value") else _role_of(str(key), role)
            yield from _nested(item, row, f"{name}.{key}" if name else str(key), said)
    elif isinstance(value, list):
        for item in value:
            yield from _nested(item, row, name, role)


_ROLES: dict[str, Role] = {"text": "text", "prompt": "prompt", "completion": "output", "question": "prompt", "answer": "output"}


def _role_of(key: str, otherwise: Role = "text") -> Role:
    lowered = key.lower()
    if lowered in _PROMPTS or lowered in ("human",):
        return "prompt"
    return "output" if lowered in _OUTPUTS else otherwise
