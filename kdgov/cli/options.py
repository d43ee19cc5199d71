"""Options that several commands share, under one name everywhere."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class PlainFormat(StrEnum):
    """How a command prints its answer."""

    text = "text"
    json = "json"


Format = Annotated[PlainFormat, typer.Option("--format", help="text for people, json for programs.")]
OldJson = Annotated[bool, typer.Option("--json", hidden=True)]
"""What ``--format json`` was called before."""
