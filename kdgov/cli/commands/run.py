"""``kdgov run``: one release from check to promotion."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdgov.cli.error_boundary import error_boundary, print_json
from kdgov.cli.evaluation_flags import SET_HELP, changed_settings
from kdgov.cli.forecast_output import DRY_HELP, ESTIMATE_HELP, forecast
from kdgov.cli.progress_display import progress_bars
from kdgov.cli.unforeseen import require_parts
from kdgov.errors import EXIT_BLOCKED

if TYPE_CHECKING:
    from kdgov.cli.progress_display import ProgressDisplay
    from kdgov.pipeline.run import RunOutcome, StepName, StepTaken

EXAMPLES = """
[bold]Examples[/bold]

  kdgov run registry/releases/miniature.yaml          the whole way, with progress and a verdict table

  kdgov run release.yaml --format json > run.json     for a pipeline; exit code 0 promoted, 1 blocked

  kdgov run release.yaml --dry-run                    what would be reused and what made; nothing is written

  kdgov run release.yaml --estimate                   time, memory and disk of the whole, from a trial of 20 steps

  kdgov run release.yaml --until evaluate --limit 50 --set distillation.steps=20     a first look: a short training, 50 items a task

A second run with nothing changed reuses every finished step and says so. A killed run continues where it stopped.
"""


class RunStep(StrEnum):
    """Steps of a release, in order."""

    check = "check"
    generate = "generate"
    distill = "distill"
    evaluate = "evaluate"
    gate = "gate"
    record = "record"
    promote = "promote"


class RunFormat(StrEnum):
    """How the outcome is printed."""

    text = "text"
    json = "json"


def run(
    release: Annotated[Path, typer.Argument(help="Release declaration (schema kdgov.release/1).")],
    until: Annotated[RunStep | None, typer.Option(help="Last step to take; default promote.")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=SET_HELP)] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Items per task, drawn by hash: the key evaluation.limit.")] = None,
    store: Annotated[Path | None, typer.Option(help="Store folder; default the registry/store beside the release.")] = None,
    allow_code: Annotated[list[Path] | None, typer.Option(help="Folder whose code the suites' task files may run; repeatable.")] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help=DRY_HELP)] = False,
    estimate: Annotated[bool, typer.Option("--estimate", help=ESTIMATE_HELP)] = False,
    output_format: Annotated[RunFormat, typer.Option("--format", help="text for people, json for programs.")] = RunFormat.text,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print every warning instead of one line per kind.")] = False,
) -> None:
    """Take a release from check to promotion: check, distill, evaluate, gate, record, promote."""
    with error_boundary(output_format=output_format):
        require_parts("run")
        from kdgov.cli.key_warning import warn_of_tracked_keys
        from kdgov.evaluation.plan.suite_code import allowed_code
        from kdgov.pipeline.context import open_release
        from kdgov.pipeline.run import run_release

        with progress_bars() as progress, allowed_code(allow_code or []):
            warn_of_tracked_keys(release.parent)
            settings = changed_settings(change, {"limit": limit})
            context = open_release(release, store=store, progress=progress, settings=settings)
            last: StepName = until.value if until is not None else "promote"
            if dry or estimate:
                forecast(context, until=last, dry=dry, estimate=estimate, as_json=output_format is RunFormat.json)
                return
            outcome = run_release(context, on_step=lambda taken: _print_step(progress, taken), until=last)
        if output_format is RunFormat.json:
            print_json(_as_json(outcome))
        else:
            _print_outcome(outcome, release, verbose=verbose)
        if outcome.stopped_by:
            raise typer.Exit(EXIT_BLOCKED)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLES)(run)


def _print_step(progress: ProgressDisplay, taken: StepTaken) -> None:
    facts = taken.finished.facts
    stops = bool(facts.get("stops")) or facts.get("verdict", "pass") != "pass" or facts.get("promoted") is False
    time_s = "reused" if taken.finished.reused else f"{taken.wall_s:.1f} s"
    progress.line(f"{'✗' if stops else '✓'} {taken.step:<9} {time_s:>8}  {facts.get('summary', '')}", style="red" if stops else "")


def _as_json(outcome: RunOutcome) -> dict[str, object]:
    steps = [
        {
            "step": t.step,
            "key": t.finished.key,
            "folder": str(t.finished.folder),
            "reused": t.finished.reused,
            "wall_s": round(t.wall_s, 3),
            "facts": t.finished.facts,
        }
        for t in outcome.taken
    ]
    return {"stopped_by": outcome.stopped_by, "steps": steps}


def _print_outcome(outcome: RunOutcome, release: Path, *, verbose: bool) -> None:
    from kdgov.cli.run_summary import print_outcome

    print_outcome(outcome, release, verbose=verbose)
