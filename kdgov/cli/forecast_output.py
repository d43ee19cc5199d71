"""How a dry run and an estimate are printed; nothing is recorded of either."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from kdgov.cli.error_boundary import print_json
from kdgov.errors import InputError

if TYPE_CHECKING:
    from kdgov.pipeline.context import ReleaseContext
    from kdgov.pipeline.run import StepName

DRY_HELP = "Say what each step would reuse or make, and exit; nothing is written."
ESTIMATE_HELP = "Try 20 steps and a few items, say what the whole takes, and exit; the store is left alone."
_MARKS = {"reuse": "reused", "make": "made", "resume": "resumed", "unknown": "unknown"}


def forecast(context: ReleaseContext, *, until: StepName, dry: bool, estimate: bool, as_json: bool) -> None:
    """Print what a run would do, or what it would take.

    Raises:
        InputError: if both are asked, or the release is at fault.
    """
    if dry and estimate:
        raise InputError("--dry-run and --estimate are both given", mend="Ask one at a time: a dry run tries nothing.")
    if dry:
        print_dry_run(context, until=until, as_json=as_json)
    else:
        print_estimate(context, as_json=as_json)


def print_dry_run(context: ReleaseContext, *, until: StepName, as_json: bool) -> None:
    """Print what each step would reuse or make."""
    from kdgov.pipeline.forecast.dry_run import dry_run

    planned = dry_run(context, until=until)
    if as_json:
        print_json({"release": context.release.name, "dry_run": True, **planned.as_json()})
        return
    for one in planned.steps:
        typer.echo(f"{one.step:<9} {_MARKS[one.would]:<8} {one.said}")
    if planned.stopped_by:
        typer.echo(f"A run would end here: the finished {planned.stopped_by} says no.")
    typer.echo("Nothing was written: this was a dry run.")


def print_estimate(context: ReleaseContext, *, as_json: bool) -> None:
    """Print what a trial says of the whole: time, memory, disk."""
    from kdgov.pipeline.forecast.machine_needs import machine_needs
    from kdgov.pipeline.forecast.trial_run import trial_run

    needs = machine_needs(context)
    estimate = trial_run(context)
    if as_json:
        print_json({"release": context.release.name, "estimate": estimate.as_json(), "needs": needs.as_json() if needs else None})
        return
    for line in estimate.lines:
        typer.echo(line)
    for short in needs.shortages if needs is not None else ():
        typer.secho(f"not enough: {short}", fg=typer.colors.YELLOW, err=True)
