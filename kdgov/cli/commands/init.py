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
    install: Annotated[
        str,
        typer.Option(metavar="SPEC", help="What CI installs: a requirement, wheel file or address; default this version or later."),
    ] = "",
    index: Annotated[str, typer.Option(metavar="URL", help="Package index that CI installs from; default pip's own.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write a policy, a GitHub Actions workflow and a GitLab job that block a student the gate refuses."""
    with error_boundary():
        from kdgov.cli.key_warning import warn_of_tracked_keys
        from kdgov.scaffold.ci_jobs import JobSettings
        from kdgov.scaffold.repository import gate_files, gitlab_hint, write_files

        settings = JobSettings(policy=policy, teacher=teacher, student=student, install=install, index=index)
        for path in write_files(folder, gate_files(folder, settings), force=force):
            typer.echo(str(path))
        if hint := gitlab_hint(folder):
            typer.echo(hint, err=True)
        warn_of_tracked_keys(folder)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="[bold]Example[/bold]: kdgov init . --policy lm-eval")(init)
