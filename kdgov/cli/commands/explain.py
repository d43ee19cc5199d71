"""``kdgov explain``: what a finding, a criterion or a word of the field means."""

from __future__ import annotations

from typing import Annotated

import typer

from kdgov.cli.error_boundary import error_boundary

EXAMPLES = """
[bold]Examples[/bold]

  kdgov explain coverage.uncovered

  kdgov explain production-agreement

  kdgov explain "soft labels"
"""


def explain(name: Annotated[str, typer.Argument(help="Finding rule, criterion of a shipped policy, or word of the field.")]) -> None:
    """Say what a finding, a criterion or a word of the field means, and which key answers it."""
    with error_boundary():
        from kdgov.report.practice_guide import explained

        typer.echo(explained(name))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain", epilog=EXAMPLES)(explain)
