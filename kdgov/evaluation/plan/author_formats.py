"""Rows out of files as their authors shape them: nested documents, one column per language, lines of text, two files line by line.

What a suite writes under ``data:`` is done in this order: ``records`` (where the list lies in a JSON document), ``nested`` (a mapping of
mappings becomes a row per leaf), ``remove`` and ``pattern`` (marks of a line
leave, its named groups become columns), ``beside`` (the same line of a second file),
``columns`` with dotted paths (``prompt.text``, ``turns.0``), ``pivot`` (a list's entries become columns), ``melt`` (columns become rows).
No code of a data set's authors runs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdgov.declarations.data_parts.data_use import value_at
from kdgov.declarations.suite_data import DataInSuite
from kdgov.errors import InputError

Row = dict[str, Any]


def records_of(document: Any, path: str, *, where: str) -> Any:
    """The part of a JSON document that a dotted path names.

    Raises:
        InputError: if the document has no such part.
    """
    found, is_there = value_at(document, path)
    if not is_there:
        seen = (
            f"has the keys {', '.join(map(str, [*document][:12]))}" if isinstance(document, Mapping) else f"is a {type(document).__name__}"
        )
        mend = f"It {seen}; name the keys that lead to the list, joined by dots."
        raise InputError(f"records: the document has no {path!r}", where=where, mend=mend)
    return found


def leaves(value: Any, names: Sequence[str], *, where: str) -> list[Row]:
    """One row per leaf of nested mappings: ``names`` names the keys of each level, and the last name the leaf (or each of a list)."""
    if len(names) == 1:
        return [{names[0]: entry} for entry in (value if isinstance(value, list) else [value])]
    if not isinstance(value, Mapping):
        raise InputError(f"nested: there is no mapping of {names[0]!r}", where=where, mend="Name one key per level, and the value last.")
    return [{names[0]: key, **row} for key, inner in value.items() for row in leaves(inner, names[1:], where=where)]


def shaped(rows: Sequence[Row], data: DataInSuite, *, where: str) -> list[Row]:
    """Rows of a file in the shape that a suite declares.

    Raises:
        InputError: if a pattern does not fit a line, or a column is absent.
    """
    made = [dict(row) for row in rows]
    if data.remove is not None:
        made = [{**row, "text": re.sub(data.remove, "", str(row.get("text", "")))} for row in made]
    if data.pattern is not None:
        made = [_parsed(row, data.pattern, number, where) for number, row in enumerate(made, start=1)]
    made = [{**row, **_dotted(row, data.columns)} for row in made]
    if data.pivot is not None:
        made = [_pivoted(row, data.pivot.list, data.pivot.by, data.pivot.value, where) for row in made]
    return list(_melted(made, data, where)) if data.melt is not None else made


def blank(value: Any) -> bool:
    """Whether a cell holds nothing: absent, null, empty or white space."""
    return value is None or (isinstance(value, str) and not value.strip())


def decoded(value: Any) -> Any:
    r"""The text of a cell that was printed as Python bytes (``b'text'``); every other value as it is.

    Example:
        >>> decoded(r"b'It\xe2\x80\x99s'")
        'It’s'
    """
    if not isinstance(value, str) or re.fullmatch(r"b(['\"]).*\1", value.strip(), re.DOTALL) is None:
        return value
    try:
        found = ast.literal_eval(value.strip())
        return found.decode("utf-8") if isinstance(found, bytes) else value
    except (ValueError, SyntaxError, UnicodeDecodeError):
        return value


def side_by_side(rows: Sequence[Row], others: Sequence[Row], prefix: str, *, where: str) -> list[Row]:
    """Rows of two files line by line; the second file's columns bear the prefix.

    Raises:
        InputError: if the files differ in length.
    """
    if len(rows) != len(others):
        raise InputError(f"beside: {len(rows)} rows stand beside {len(others)}", where=where, mend="Name two files of one length.")
    return [{**row, **{f"{prefix}{name}": value for name, value in other.items()}} for row, other in zip(rows, others, strict=True)]


def _dotted(row: Row, columns: Mapping[str, str]) -> Row:
    found = {}
    for path in columns.values():
        if "." in path and path not in row:
            value, is_there = value_at(row, path)
            if is_there:
                found[path] = value
    return found


def _parsed(row: Row, pattern: str, number: int, where: str) -> Row:
    match = re.fullmatch(pattern, str(row.get("text", "")).strip())
    if match is None:
        raise InputError(f"line {number} does not fit `pattern`", where=where, mend="Correct the pattern, or the file.")
    return {**row, **match.groupdict()}


def _pivoted(row: Row, name: str, by: str, value: str, where: str) -> Row:
    entries = row.get(name)
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        seen = f"The columns of such a row are {', '.join(sorted(map(str, row)))}; name the list of entries."
        raise InputError(f"pivot: {name!r} is not a list of objects in every row", where=where, mend=seen)
    return {**row, **{str(entry.get(by)): entry.get(value) for entry in entries}}


def _melted(rows: Sequence[Row], data: DataInSuite, where: str) -> Iterator[Row]:
    melt = data.melt
    assert melt is not None  # noqa: S101 - asked before
    for number, row in enumerate(rows):
        kept = {name: value for name, value in row.items() if name not in melt.columns}
        if missing := [name for name in melt.columns if name not in row]:
            raise InputError(f"melt: a row has no column {missing[0]!r}", where=where, mend=f"Its columns are {', '.join(sorted(row))}.")
        name = str(row.get("id", number))
        for column in melt.columns:
            if str(row[column] or "").strip():
                yield {**kept, "row": name, "id": f"{name}-{column}", melt.into: column, melt.value: row[column]}
