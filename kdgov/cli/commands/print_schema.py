"""``kdgov schema``: the JSON schema of a file that users write."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from kdgov.cli.error_boundary import error_boundary, print_json

EXAMPLES = """
[bold]Examples[/bold]

  kdgov schema release > kdgov.release.schema.json

  kdgov schema policy | jq .properties.criteria

An editor with the YAML language server completes and checks a file whose first line is

  # yaml-language-server: $schema=kdgov.release.schema.json
"""


class Kind(StrEnum):
    """Which file."""

    release = "release"
    suite = "suite"
    card = "card"
    policy = "policy"
    case = "case"


def schema(kind: Annotated[Kind, typer.Argument(help="Kind of file: release, suite, card, policy or case (a licence case).")]) -> None:
    """Print the JSON schema of a file that you write, with a description of every key, for editors and other programs."""
    with error_boundary(output_format="json"):
        from kdgov.declarations.file_schemas import declaration_schema

        print_json(declaration_schema(kind.value))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLES)(schema)
