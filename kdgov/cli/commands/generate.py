"""``kdgov generate``: have the teacher of a release write training data."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdgov.cli.error_boundary import error_boundary, print_json
from kdgov.cli.progress_display import progress_bars
from kdgov.errors import EXIT_BLOCKED, InputError
from kdgov.processes import is_first

if TYPE_CHECKING:
    from kdgov.pipeline.context import ReleaseContext
    from kdgov.pipeline.finished_work.step_results import GenerateResult
    from kdgov.pipeline.inputs.distill_inputs import DistillInputs

EXAMPLES = """
[bold]Examples[/bold]

  kdgov generate release.yaml --plan                    requests, tokens and a range of prices; asks nothing

  kdgov generate release.yaml --out data/written        ask, filter, scan, and copy the data set with its card

  kdgov generate release.yaml --write-batch batches     request files for a provider's batch interface

  kdgov generate release.yaml --read-batch output.jsonl take its answer file in, then write the data set

A run that was killed, or a request that failed, costs nothing twice: run the same command again.
"""


class GenerateFormat(StrEnum):
    """How the outcome is printed."""

    text = "text"
    json = "json"


def generate(
    release: Annotated[Path, typer.Argument(help="Release declaration with a `teacher_text` term (schema kdgov.release/1).")],
    out: Annotated[Path | None, typer.Option(help="Folder to copy the data set and its card into.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print requests, tokens and price, and ask nothing.")] = False,
    write_batch: Annotated[Path | None, typer.Option(help="Write request files of a batch interface here; ask nothing.")] = None,
    read_batch: Annotated[list[Path] | None, typer.Option(help="Answer file of a batch interface; repeatable.")] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of finished work; default the registry/store beside the release.")] = None,
    output_format: Annotated[GenerateFormat, typer.Option("--format", help="text for people, json for programs.")] = GenerateFormat.text,
) -> None:
    """Have the teacher of a release write training data: asked once, filtered, scanned, with a card."""
    with error_boundary(output_format=output_format):
        from kdgov.cli.run_summary import print_blocked
        from kdgov.pipeline.context import open_release
        from kdgov.pipeline.data_checks.before_training import data_check_step
        from kdgov.pipeline.generation.generate_step import generate_step, teacher_text_terms
        from kdgov.pipeline.inputs.distill_inputs import distill_inputs

        with progress_bars() as progress:
            context = open_release(release, store=store, progress=progress)
            if not teacher_text_terms(context):
                raise InputError("has no teacher_text term", where=str(release), mend="Add `kind: teacher_text` to `distillation.terms`.")
            if not plan and is_first() and (stopped := data_check_step(context)).stops:
                print_blocked(stopped, release, as_json=output_format is GenerateFormat.json)
                raise typer.Exit(EXIT_BLOCKED)
            inputs = distill_inputs(context)
            if plan or write_batch is not None:
                _print_before(context, inputs, write_batch, output_format)
                return
            if read_batch:
                _take_in(context, inputs, read_batch)
            written = generate_step(context, inputs)
        if is_first():
            _print_written(written, out, output_format)
        if written.stops:
            raise typer.Exit(EXIT_BLOCKED)


def _print_before(context: ReleaseContext, inputs: DistillInputs, folder: Path | None, output_format: GenerateFormat) -> None:
    from kdgov.pipeline.generation.asked_terms import plans_of, write_batches

    if folder is not None:
        files = write_batches(context, inputs.data, inputs.prompts, folder)
        if output_format is GenerateFormat.json:
            print_json({"files": [str(file) for file in files]})
        else:
            typer.echo("\n".join(str(file) for file in files) or "nothing lacks an answer")
        return
    plans = plans_of(context, inputs.data, inputs.prompts)
    if output_format is GenerateFormat.json:
        print_json({"plan": [asdict(one) for one in plans]})
        return
    for one in plans:
        typer.echo(one.line)
        if one.is_within_budget is False:
            typer.secho("warning: the budget may end it before every prompt is answered", fg=typer.colors.YELLOW, err=True)
    if not plans:
        typer.echo("the teacher's weights are at hand: nothing is paid")


def _take_in(context: ReleaseContext, inputs: DistillInputs, files: list[Path]) -> None:
    from kdgov.pipeline.generation.asked_terms import read_batches

    typer.echo(read_batches(context, inputs.data, inputs.prompts, files).line, err=True)


def _print_written(written: GenerateResult, out: Path | None, output_format: GenerateFormat) -> None:
    from kdgov.cli.run_summary import print_text_findings
    from kdgov.pipeline.generation.teacher_data_card import CARD
    from kdgov.pipeline.scan_teacher_text import FOLDER

    folder = written.folder
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder / FOLDER, out / FOLDER, dirs_exist_ok=True)
        shutil.copy2(folder / CARD, out / CARD)
        folder = out
    if output_format is GenerateFormat.json:
        print_json({"step": written.step, "key": written.key, "folder": str(folder), "reused": written.reused, "facts": written.facts})
        return
    typer.echo(f"{written.summary}\n{folder / CARD}")
    for counts in written.filters:
        for count in counts:
            why = ", ".join(f"{reason} {number:,}" for reason, number in count["why"].items())
            notes = ", ".join(f"{note} {number:,g}" for note, number in count["notes"].items())
            if why or notes:
                typer.echo(
                    f"  {count['filter']}: {count['dropped']:,} of {count['seen']:,} dropped"
                    + f" ({'; '.join(filter(None, (why, notes)))})"
                )
    if written.stops:
        print_text_findings(written)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLES)(generate)
