"""Where a suite's items come from: a file beside it, or a pinned hub dataset."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator, model_validator

from kdgov.declarations.data_parts.hub_data import HubData
from kdgov.declarations.load import Declared
from kdgov.digest import is_digest


class Pivot(Declared):
    """A list of objects in every row becomes columns."""

    list: str
    """Column that holds the list."""
    by: str
    """Key of an entry whose value names the new column."""
    value: str
    """Key of an entry that fills it."""


class Melt(Declared):
    """Columns become rows, such as one column per language."""

    columns: list[str] = Field(min_length=1)
    """Columns to turn."""
    into: str
    """New column with the old one's name."""
    value: str
    """New column with its value."""


class DataInSuite(HubData):
    """A file of items: JSON lines, CSV or Parquet, plain or gzip; beside the suite or in a data set of the Hub."""

    path: str = ""
    """File beside the suite; ``${NAME}`` reads an environment variable (a user's own copy of a public set)."""
    digest: str | None = None
    """``sha256:…`` of the file; shipped suites pin it, a user's own file may leave it to the plan's root."""
    records: str | None = None
    """Keys, joined by dots, that lead to the list of rows in a JSON document."""
    nested: list[str] = Field(default_factory=list)
    """Names of the keys of nested mappings, and of the value last: a row per leaf."""
    pattern: str | None = None
    """Regular expression that every line of a text file fits; its named groups become columns."""
    remove: str | None = None
    """Regular expression whose matches are taken out of every line first."""
    beside: str | None = None
    """A second file, read line by line beside the first; its columns bear the prefix ``beside_``."""
    columns: dict[str, str] = Field(default_factory=dict)
    """New name → column of the file; dots lead into objects and lists (``prompt.text``, ``turns.0``)."""
    pivot: Pivot | None = None
    """A list of objects becomes columns."""
    melt: Melt | None = None
    """Columns become rows."""
    unwrap: list[str] = Field(default_factory=list)
    """Columns whose cells may be printed Python bytes (``b'…'``): their text is taken."""
    filled: list[str] = Field(default_factory=list)
    """Columns, under their new names, that hold text in every kept row; a blank cell is an error."""
    drop_blank: list[str] = Field(default_factory=list)
    """Columns, under their new names: a row with a blank cell in one of them is left out."""
    where: dict[str, list[Any]] = Field(default_factory=dict)
    """Keep the rows whose column holds one of these values."""
    above: dict[str, float] = Field(default_factory=dict)
    """Keep the rows whose column is a number above this; ``a + b`` is the sum of two columns."""
    at_most: dict[str, float] = Field(default_factory=dict)
    """Keep the rows whose column is a number of at most this."""
    published_rows: int | None = Field(default=None, ge=1)
    """Rows that the authors' own file keeps; another number is a warning (`evidence.data-rows`)."""
    license: str | None = None
    """Licence of the items where it differs from the suite's."""

    @property
    def called(self) -> str:
        """The file for people: its path, or the address of the data set that holds it."""
        return self.path or self.address

    @field_validator("pattern", "remove")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        try:
            return value if value is None else re.compile(value).pattern
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}\nCorrect it; named groups become columns.") from None

    @model_validator(mode="after")
    def _names_a_file(self) -> DataInSuite:
        if bool(self.path) == (self.hub is not None):
            raise ValueError("needs exactly one of path and hub\nWrite `path:` with a file, or `hub: owner/name` with `revision:`.")
        return self

    @model_validator(mode="after")
    def _has_a_digest_form(self) -> DataInSuite:
        if self.digest is not None and not is_digest(self.digest):
            raise ValueError(f"has {self.digest!r} for a digest\nWrite sha256: and 64 hexadecimal digits; `kdgov suites pin` writes it.")
        return self


class HubInSuite(Declared):
    """A dataset of the hub, pinned."""

    id: str
    """Dataset id, such as ``truthfulqa/truthful_qa``."""
    revision: str | None = None
    """Commit; without one the set can move under the release, and the evidence says so."""
    license: str | None = None
    """Licence as the hub's card states it."""
