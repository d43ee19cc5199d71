"""The `kdgov` command: its commands, in the order of a release's way."""

from __future__ import annotations

from typing import Annotated

import typer

from kdgov import __version__
from kdgov.cli import check, distill, evaluate, gate, init, keys, license, policy, promote, record, registry, run, serve, suites, waive

app = typer.Typer(
    name="kdgov",
    help="Decide whether a distilled model may be released, and make the registry keep to it.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"kdgov {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    pass


distill.register(app)
evaluate.register(app)
gate.register(app)
init.register(app)
policy.register(app)
run.register(app)
check.register(app)
suites.register(app)
waive.register(app)
license.register(app)
record.register(app)
promote.register(app)
registry.register(app)
serve.register(app)
keys.register(app)


def main() -> None:
    """Entry point of the `kdgov` script."""
    app()
