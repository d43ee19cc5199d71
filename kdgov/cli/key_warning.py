"""A private key that a git repository tracks: said before anything is signed with it."""

from __future__ import annotations

from pathlib import Path

import typer


def warn_of_tracked_keys(folder: Path) -> None:
    """Name every private key below a folder that git tracks, on standard error."""
    from kdgov.evidence.signing_keys import tracked_private_keys

    for name in tracked_private_keys(folder):
        typer.secho("warning: ", fg=typer.colors.YELLOW, bold=True, nl=False, err=True)
        typer.echo(
            f"git tracks the private key {name}: whoever has the repository signs as you. Take it out (git rm --cached {name}), make a new "
            "one (kdgov keys new), and revoke this one (kdgov keys revoke … --compromised).",
            err=True,
        )
