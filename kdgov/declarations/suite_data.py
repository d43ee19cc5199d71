"""Where a suite's items come from: a file beside it, or a pinned hub dataset."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from kdgov.declarations.load import Declared
from kdgov.digest import is_digest


class DataInSuite(Declared):
    """A file of items: JSON lines, CSV or Parquet, plain or gzip."""

    path: str
    """File beside the suite; ``${NAME}`` reads an environment variable (a user's own copy of a public set)."""
    digest: str | None = None
    """``sha256:…`` of the file; shipped suites pin it, a user's own file may leave it to the plan's root."""
    columns: dict[str, str] = Field(default_factory=dict)
    """New name → column of the file."""
    where: dict[str, list[Any]] = Field(default_factory=dict)
    """Keep the rows whose column holds one of these values."""
    license: str | None = None
    """Licence of the items where it differs from the suite's."""

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
