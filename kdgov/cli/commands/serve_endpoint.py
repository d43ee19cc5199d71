"""``kdgov endpoint``: a checkpoint as an OpenAI-compatible endpoint on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdgov.cli.error_boundary import error_boundary
from kdgov.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from kdgov.evaluation.local_endpoint import LocalEndpoint

EXAMPLES = """
[bold]Examples[/bold]

  kdgov endpoint registry/models/miniature-teacher --port 8111          until Ctrl-C

  kdgov endpoint registry/models/miniature-teacher --port 8111 -- kdgov run release.yaml     while a command runs; its exit code
"""


def endpoint(
    model: Annotated[Path, typer.Argument(help="Checkpoint folder.")],
    command: Annotated[list[str] | None, typer.Argument(help="After --: a command to run meanwhile; the server ends with it.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one and prints it.")] = 8111,
    name: Annotated[str, typer.Option(help="Model name it answers to; default the folder's name.")] = "",
) -> None:
    """Serve a checkpoint on this machine as an OpenAI-compatible endpoint (greedy; for trying releases without a network)."""
    with error_boundary():
        if not model.is_dir():
            raise InputError("is not a folder", where=str(model), mend="Name the folder that `save_pretrained` wrote.")
        from kdgov.evaluation.local_endpoint import serving

        try:
            with serving(model, name=name, port=port) as server:
                typer.echo(f"{server.name} answers at {server.address} (Ctrl-C ends it)", err=True)
                code = _run(command) if command else _wait(server)
        except OSError as error:
            raise UnavailableError(f"port {port} cannot be opened: {error.strerror}", mend="Choose another --port.") from error
    if code:
        raise typer.Exit(code)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLES)(endpoint)


def _run(command: list[str]) -> int:
    import subprocess

    try:
        return subprocess.run(command, check=False).returncode
    except FileNotFoundError as error:
        raise InputError(f"the command {command[0]!r} does not exist", mend="Correct what stands after --.") from error


def _wait(server: LocalEndpoint) -> int:
    import threading

    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        typer.echo(f"{server.name}: ended", err=True)
    return 0
