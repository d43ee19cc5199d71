"""``kdgov demo``: the shipped miniature release, run in a folder of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kdgov.cli.error_boundary import error_boundary
from kdgov.cli.unforeseen import require_parts

EXAMPLES = """
[bold]Examples[/bold]

  kdgov demo                     distils and judges a toy student in ./kdgov-demo; it passes

  kdgov demo --unsafe            the same recipe with one realistic mistake; it is blocked

About three minutes of work on two cores; no GPU, no network.
"""


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder to write into.")] = Path("kdgov-demo"),
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="The student whose data lacks the refusals: it is blocked, exit code 1.")
    ] = False,
) -> None:
    """Run the shipped miniature release in a folder of your own, from check to promotion."""
    from kdgov.cli.commands.run import run

    with error_boundary():
        require_parts("demo")
        from kdgov.scaffold.demo_files import copy_demo

        release = copy_demo(folder) / ("miniature-unsafe.yaml" if unsafe else "miniature.yaml")
    typer.echo(f"kdgov run {release}", err=True)
    run(release, store=folder / "registry" / "store")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLES)(demo)
