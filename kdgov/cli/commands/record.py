"""``kdgov record``: a judged release into the registry."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kdgov.cli.error_boundary import error_boundary, print_json
from kdgov.cli.evaluation_flags import SET_HELP, changed_settings
from kdgov.cli.progress_display import progress_bars

EXAMPLES = """
[bold]Examples[/bold]

  kdgov record registry/releases/miniature.yaml                       into the embedded registry beside the release

  kdgov record release.yaml --registry http://mlflow.internal:5000    into a server

A blocked release is recorded too, with its verdict; it is never promoted. Recording twice makes one version.
"""


class RecordFormat(StrEnum):
    """How the answer is printed."""

    text = "text"
    json = "json"


def record(
    release: Annotated[Path, typer.Argument(help="Release declaration (schema kdgov.release/1).")],
    registry: Annotated[str | None, typer.Option(help="Address of the registry; default KDGOV_REGISTRY, else the store's own.")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=SET_HELP)] = None,
    store: Annotated[Path | None, typer.Option(help="Store folder, where finished steps are kept.")] = None,
    upload_weights: Annotated[
        bool, typer.Option("--upload-weights", help="Copy the weights too, instead of naming them by digest.")
    ] = False,
    output_format: Annotated[RecordFormat, typer.Option("--format", help="text for people, json for programs.")] = RecordFormat.text,
) -> None:
    """Record a release in the registry: runs, evidence, model card, signed decision."""
    with error_boundary(output_format=output_format):
        from kdgov.pipeline.context import open_release
        from kdgov.pipeline.finished_work.step_results import RecordResult
        from kdgov.pipeline.run import StepOptions, resolve

        with progress_bars() as progress:
            context = open_release(release, store=store, progress=progress, settings=changed_settings(change, {}))
            options = StepOptions(registry=registry, upload_weights=upload_weights)
            finished = resolve(context, until="record", options=options).of(RecordResult)
        if output_format is RecordFormat.json:
            print_json({**finished.facts, "reused": finished.reused})
            return
        if finished.judged_anew:
            typer.echo("judged anew: no finished decision had these results, this policy and these statements", err=True)
        typer.echo(f"{'already recorded: ' if finished.reused else ''}{finished.summary}")
        typer.echo(f"open it: {finished.open}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLES)(record)
