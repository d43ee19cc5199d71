"""``kdgov distill``: train the student of a release."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdgov.cli.error_boundary import error_boundary, print_json
from kdgov.cli.evaluation_flags import SET_HELP, changed_settings
from kdgov.cli.progress_display import progress_bars
from kdgov.errors import EXIT_BLOCKED
from kdgov.processes import is_first

if TYPE_CHECKING:
    from kdgov.pipeline.context import ReleaseContext
    from kdgov.pipeline.data_checks.before_training import DataCheckResult
    from kdgov.pipeline.finished_work.step_results import GenerateResult

EXAMPLES = """
[bold]Examples[/bold]

  kdgov distill registry/releases/miniature.yaml              train, or reuse what an unchanged recipe has produced

  kdgov distill release.yaml --calibrate                      propose temperature and weights, with the table behind them

  kdgov distill release.yaml --calibrate --try learning_rate  and the learning rate, around the recipe's

  kdgov distill release.yaml --show 5                         five examples: prompt, and in colour what is learnt

  torchrun --nproc-per-node 2 -m kdgov distill release.yaml   several processes; accelerate launch works alike

The loss is no verdict: a student goes to the gate whatever its loss.
"""


TRY_HELP = (
    "With --calibrate, may be repeated: learning_rate=3e-4,1e-3 or layer_weight=0.1,1,10 (a factor on the weights of terms that match "
    "layers), with or without values; temperature= and hard_share= change the usual grid. A grid grows while the best stands on its edge."
)


class DistillFormat(StrEnum):
    """How the outcome is printed."""

    text = "text"
    json = "json"


def distill(
    release: Annotated[Path, typer.Argument(help="Release declaration (schema kdgov.release/1).")],
    change: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=SET_HELP)] = None,
    store: Annotated[Path | None, typer.Option(help="Store folder; default the registry/store beside the release.")] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Propose temperature and weights on a held-out split; train nothing else.")
    ] = False,
    attempt: Annotated[list[str] | None, typer.Option("--try", metavar="WHAT[=VALUES]", help=TRY_HELP)] = None,
    show: Annotated[int, typer.Option("--show", min=0, help="Print so many examples as the student will see them, and train nothing.")] = 0,
    output_format: Annotated[DistillFormat, typer.Option("--format", help="text for people, json for programs.")] = DistillFormat.text,
) -> None:
    """Train the student of a release, or propose its temperature and weights."""
    with error_boundary(output_format=output_format):
        from kdgov.cli.run_summary import print_blocked
        from kdgov.pipeline.calibrate import calibrate_step
        from kdgov.pipeline.context import open_release
        from kdgov.pipeline.data_checks.before_training import data_check_step
        from kdgov.pipeline.distill import distill_step
        from kdgov.pipeline.finished_work.step_results import DistillResult
        from kdgov.pipeline.generation.generate_step import generate_step, teacher_text_terms
        from kdgov.pipeline.inputs.distill_inputs import distill_inputs

        settings, grid = changed_settings(change, {}), _grid(attempt, calibrate=calibrate)
        if show:
            _show(open_release(release, store=store, settings=settings), show, output_format)
            return
        with progress_bars() as progress:
            context = open_release(release, store=store, progress=progress, settings=settings)
            stopped: DataCheckResult | GenerateResult | None = data_check_step(context) if is_first() else None
            if stopped is None or not stopped.stops:
                stopped = generate_step(context, distill_inputs(context)) if teacher_text_terms(context) and not calibrate else None
            stops = stopped is not None and stopped.stops
            finished = None if stops else calibrate_step(context, grid) if calibrate else distill_step(context)
        if finished is None:
            print_blocked(stopped, release, as_json=output_format is DistillFormat.json)
            raise typer.Exit(EXIT_BLOCKED)
        if not is_first():
            return  # Of several processes one speaks.
        if output_format is DistillFormat.json:
            facts = finished.facts
            print_json(
                {"step": finished.step, "key": finished.key, "folder": str(finished.folder), "reused": finished.reused, "facts": facts}
            )
        else:
            typer.echo(f"{finished.summary}\n{finished.folder}" if isinstance(finished, DistillResult) else finished.table)
            for warning in finished.warnings if isinstance(finished, DistillResult) else ():
                typer.secho(f"warning: {warning}", fg=typer.colors.YELLOW, err=True)


def _grid(attempt: list[str] | None, *, calibrate: bool) -> dict[str, list[float]]:
    from kdgov.errors import InputError

    if attempt and not calibrate:
        raise InputError("has no effect without --calibrate", where="--try", mend="Add --calibrate, or leave it out.")
    found: dict[str, list[float]] = {}
    for said in attempt or []:
        name, _, values = said.partition("=")
        try:
            found[name.strip()] = [float(value) for value in values.split(",")] if values.strip() else []
        except ValueError:
            raise InputError(
                f"{said!r} is no list of numbers", where="--try", mend="Write --try learning_rate=3e-4,1e-3, or --try learning_rate."
            ) from None
    return found


def _show(context: ReleaseContext, count: int, output_format: DistillFormat) -> None:
    from dataclasses import asdict

    from kdgov.cli.standard_output import wants_colour
    from kdgov.distillation.shown_examples import LEARNT, shown_examples
    from kdgov.errors import InputError
    from kdgov.pipeline.inputs.distill_inputs import distill_inputs

    inputs, recipe = distill_inputs(context), context.release.distillation
    tokenizer = inputs.student_path or inputs.source
    if recipe is None or not isinstance(tokenizer, Path):
        raise InputError("has no distillation to show examples of", where=str(context.path), mend="Add `distillation:` and data.")
    teacher = inputs.source if isinstance(inputs.source, Path) else None
    shown = shown_examples(recipe, tokenizer, inputs.data, count, uses=inputs.uses, teacher_path=teacher)
    if output_format is DistillFormat.json:
        print_json([asdict(example) for example in shown])
        return
    if not shown:
        typer.echo("no example to show: the teacher has not written to any of the data yet; `kdgov generate` has it write", err=True)
    for example in shown:
        typer.secho(f"{example.item_id}: {example.said}", bold=True, color=wants_colour())
        for kind, text in example.pieces:
            # Without colours the learnt part stands between marks that no text is likely to hold.
            marked = f"⟦{text}⟧" if kind == LEARNT and not wants_colour() else text
            typer.secho(marked, fg=typer.colors.GREEN if kind == LEARNT else None, nl=False, color=wants_colour())
        typer.echo("\n")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLES)(distill)
