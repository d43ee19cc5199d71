"""``kdgov explain``: what a finding, a criterion, a method of the gate or a word means."""

from __future__ import annotations

from typing import Annotated

import typer

from kdgov.cli.error_boundary import error_boundary

EXAMPLES = """
[bold]Examples[/bold]

  kdgov explain coverage.uncovered

  kdgov explain refusal-retained

  kdgov explain tango

  kdgov explain "soft labels"
"""


def explain(
    name: Annotated[str, typer.Argument(help="Finding rule, criterion of a shipped policy, kind of criterion, method, or word.")],
) -> None:
    """Say what a finding, a criterion, a method of the gate or a word means, and which key answers it."""
    with error_boundary():
        from kdgov.report.explanations.explained import explained

        typer.echo(explained(name))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain", epilog=EXAMPLES)(explain)
