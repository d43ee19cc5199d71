"""The rows of a dataset against the columns its card declares, by a pandera schema built from the card."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.declarations.cards import DatasetCard
from kdgov.declarations.data_origin import Column
from kdgov.declarations.load import resolve
from kdgov.declarations.suite_parts.media_folders import as_data_file
from kdgov.digest import digest_json
from kdgov.errors import Fault
from kdgov.quantities import quantity

ROWS_AT_A_TIME = 20_000
"""Rows held in memory at once."""
SHOWN = 20
"""Faults shown per file; all are counted."""

_IS_TYPE: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "date": (str,),
    "list": (list,),
    "mapping": (dict,),
}


def table_faults(path: Path, card: DatasetCard) -> list[Fault]:
    """Every row that breaks the card's columns, by file and row; values themselves are not shown."""
    if not card.columns:
        return []
    schema = table_schema(card)
    return [fault for file in card.files for fault in _of_file(resolve(file.path, beside=path), card, schema)]


def table_schema(card: DatasetCard) -> pa.DataFrameSchema:
    """The card's columns as a pandera schema; keys a card does not name are faults."""
    return pa.DataFrameSchema({column.name: _column(column) for column in card.columns}, strict=True)


def _named(kind: str) -> str:
    return kind if kind == "text" else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _column(column: Column) -> pa.Column:
    checks = [
        pa.Check(
            lambda v, c=column: _is_type(v, c),
            element_wise=True,
            error=f"is not {_named(column.type)}",
        )
    ]
    if column.minimum is not None:
        checks.append(
            pa.Check(lambda v, c=column: _is_number(v) and v >= c.minimum, element_wise=True, error=f"is below {column.minimum:g}")
        )
    if column.maximum is not None:
        checks.append(
            pa.Check(lambda v, c=column: _is_number(v) and v <= c.maximum, element_wise=True, error=f"is above {column.maximum:g}")
        )
    if column.allowed is not None:
        checks.append(pa.Check(lambda v, c=column: v in c.allowed, element_wise=True, error="is not one of the allowed values"))
    if column.pattern is not None:
        checks.append(pa.Check.str_matches(rf"^(?:{column.pattern})$", error=f"does not match {column.pattern}"))
    return pa.Column(object, checks, nullable=not column.required, required=column.required)


def _is_type(value: Any, column: Column) -> bool:
    if isinstance(value, bool):
        return column.type == "boolean"
    if column.type == "date":
        return isinstance(value, str) and not pd.isna(pd.to_datetime(value, errors="coerce"))
    return isinstance(value, _IS_TYPE[column.type])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _of_file(path: Path, card: DatasetCard, schema: pa.DataFrameSchema) -> list[Fault]:
    path = as_data_file(path)
    if not path.is_file():
        return []
    found: list[Fault] = []
    count = 0
    seen: dict[str, set[str]] = {column.name: set() for column in card.columns if column.unique}
    for first, rows in _chunks(path):
        faults = [*_broken(path, first, rows, schema), *_repeated(path, first, rows, seen)]
        count += len(faults)
        found += faults[: max(0, SHOWN - len(found))]
    if count > len(found):
        found.append(
            Fault(file=str(path), key="", what=f"has {quantity(count - len(found), 'more faulty row')}", mend="Correct these first.")
        )
    return found


def _chunks(path: Path) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    rows: list[dict[str, Any]] = []
    first = 1
    for row in read_rows(path, Tally()):
        if isinstance(row.value, dict):
            rows.append(row.value)
        if len(rows) == ROWS_AT_A_TIME:
            yield first, rows
            first, rows = first + len(rows), []
    if rows:
        yield first, rows


def _broken(path: Path, first: int, rows: list[dict[str, Any]], schema: pa.DataFrameSchema) -> list[Fault]:
    frame = pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in dict.fromkeys(k for r in rows for k in r)}
    )
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        return [_fault(path, first, case) for case in errors.failure_cases.to_dict("records")]
    return []


def _fault(path: Path, first: int, case: dict[str, Any]) -> Fault:
    check, column = str(case["check"]), str(case["column"])
    if check == "column_in_schema":
        key, what = str(case["failure_case"]), "is a column the card does not name"
    elif check == "column_in_dataframe":
        key, what = str(case["failure_case"]), "is a column the card asks for, and no row has it"
    elif check == "not_nullable":
        key, what = column, "is missing"
    else:
        key, what = column, check
    row = case.get("index")
    place = f"row {first + int(row)}: " if row is not None and not pd.isna(row) else ""
    return Fault(file=str(path), key=key, what=place + what, mend="Correct the row, or the card's `columns`.")


def _repeated(path: Path, first: int, rows: list[dict[str, Any]], seen: dict[str, set[str]]) -> Iterator[Fault]:
    for name, known in seen.items():
        for place, row in enumerate(rows, first):
            # A short digest stands for the value: the set stays small however long the values are.
            mark = digest_json(row.get(name))[:23]
            if mark in known:
                yield Fault(
                    file=str(path), key=name, what=f"row {place}: repeats a value that should be unique", mend="Remove the repetition."
                )
            known.add(mark)
