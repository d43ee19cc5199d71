"""``kdgov init``: a policy and the CI jobs that gate by it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kdgov.cli.error_boundary import error_boundary


def init(
    folder: Annotated[Path, typer.Argument(help="Repository to write into.")] = Path(),
    policy: Annotated[str, typer.Option(help="Shipped policy to start from.")] = "default",
    teacher: Annotated[str, typer.Option(help="Where the teacher's results will be in CI.")] = "results/teacher",
    student: Annotated[str, typer.Option(help="Where the student's results will be in CI.")] = "results/student",
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write a policy, a GitHub Actions workflow and a GitLab job that block a student the gate refuses."""
    with error_boundary():
        from kdgov.cli.key_warning import warn_of_tracked_keys
        from kdgov.pipeline.scaffold import write_scaffold

        for path in write_scaffold(folder, policy=policy, teacher=teacher, student=student, force=force):
            typer.echo(str(path))
        warn_of_tracked_keys(folder)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="[bold]Example[/bold]: kdgov init . --policy lm-eval")(init)
