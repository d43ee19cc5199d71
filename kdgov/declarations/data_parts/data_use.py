"""How an entry's files are read: what each example weighs, and which columns stand for the keys of a line.

Example:
    >>> mapped({"q": "2 + 2", "a": {"text": ["4"]}, "id": 7}, {"prompt": "q", "completion": "a.text.0"})
    {'id': 7, 'prompt': '2 + 2', 'completion': '4'}
    >>> mapped({"text": "Paris", "context": "a long page"}, {"context": None})
    {'text': 'Paris'}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator

ColumnNames = Mapping[str, str | None]
"""Key of a line as kdgov reads it → column of the file; None leaves the key out."""


def _checked(columns: dict[str, str | None]) -> dict[str, str | None]:
    if empty := next((key for key, column in columns.items() if not key or column == ""), None):
        raise ValueError(f"has an empty name beside {empty!r}\nWrite `key: column`, or `key: null` to leave a column out.")
    return columns


Columns = Annotated[dict[str, str | None], AfterValidator(_checked)]
"""``columns:`` of an entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataUse:
    """How the examples of one file are used."""

    weight: float = 1.0
    """Factor of each one's weight."""
    columns: ColumnNames = field(default_factory=dict)
    """Columns that stand for the keys of a line; empty: they bear the names that are read."""


def mapped(row: Mapping[str, Any], columns: ColumnNames) -> dict[str, Any]:
    """A row under the names that are read: a column that another name takes is gone from its own place, every other stays."""
    taken = {column.partition(".")[0] if column not in row else column for column in columns.values() if column is not None}
    kept = {key: value for key, value in row.items() if key not in taken and key not in columns}
    return kept | {key: value_at(row, column)[0] for key, column in columns.items() if column is not None}


def lacking(row: Mapping[str, Any], columns: ColumnNames) -> set[str]:
    """Columns that a row does not have."""
    return {column for column in columns.values() if column is not None and not value_at(row, column)[1]}


def value_at(row: Any, path: str) -> tuple[Any, bool]:
    """The value of a column, and whether there is one; dots lead into objects and lists (``prompt.text``, ``turns.0``)."""
    if isinstance(row, Mapping) and path in row:
        return row[path], True
    for step in path.split("."):
        if isinstance(row, Mapping) and step in row:
            row = row[step]
        elif isinstance(row, Sequence) and not isinstance(row, str | bytes) and step.isdigit() and int(step) < len(row):
            row = row[int(step)]
        else:
            return None, False
    return row, True
