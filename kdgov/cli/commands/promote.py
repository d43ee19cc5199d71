"""``kdgov promote | revoke | rollback | verify``: the acts on a recorded version."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdgov.cli.error_boundary import error_boundary, print_json
from kdgov.cli.progress_display import progress_bars
from kdgov.errors import EXIT_BLOCKED, InputError

if TYPE_CHECKING:
    from kdgov.recording.client.target import RegistryTarget
    from kdgov.recording.promotion import Act

PROMOTE_EXAMPLES = """
[bold]Examples[/bold]

  kdgov promote support-student 3 --alias champion        a recorded version

  kdgov promote release.yaml                              a release, recorded first where it is not yet

Exit code 0: the alias stands on it. 1: refused, with the criterion and how to fix it.
"""
REVOKE_EXAMPLES = """
[bold]Example[/bold]

  kdgov revoke support-student 3 --reason "leaks addresses, ticket 812"

Its guarded aliases go at once, and none can be set on it again. It cannot be undone: release a new version instead.
"""
ROLLBACK_EXAMPLES = """
[bold]Examples[/bold]

  kdgov rollback support-student                          @champion back to the version that held it before

  kdgov rollback support-student --to 2 --reason "regression in production"
"""
VERIFY_EXAMPLES = """
[bold]Examples[/bold]

  kdgov verify support-student 3                          signature, evidence, card, tags, metrics, weights, log

  kdgov verify support-student @champion --weights /srv/models/support-student

Exit code 0: everything that is available is as it was signed. 1: something is not, or may not be used.
"""
_COLOURS = {"verified": typer.colors.GREEN, "violated": typer.colors.RED, "not verifiable": typer.colors.YELLOW}

Registry = Annotated[str | None, typer.Option(help="Address of the registry; default KDGOV_REGISTRY, else the store's own.")]
StoreFolder = Annotated[Path | None, typer.Option(help="Store folder: embedded registry, keys, trust.")]
Weights = Annotated[Path | None, typer.Option(help="Checkpoint folder, where it is not where the recording says.")]


class ActFormat(StrEnum):
    """How the answer is printed."""

    text = "text"
    json = "json"


Format = Annotated[ActFormat, typer.Option("--format", help="text for people, json for programs.")]


def promote(
    subject: Annotated[str, typer.Argument(metavar="MODEL|RELEASE", help="Registered model, or a release file.")],
    version: Annotated[str | None, typer.Argument(help="Version number; not with a release file.")] = None,
    alias: Annotated[str, typer.Option(help="Alias to set.")] = "champion",
    registry: Registry = None,
    store: StoreFolder = None,
    weights: Weights = None,
    output_format: Format = ActFormat.text,
) -> None:
    """Set a guarded alias on a version that a valid passing decision covers."""
    with error_boundary(output_format=output_format):
        if version is None:
            _promote_release(Path(subject), alias, registry, store, output_format)
            return
        from kdgov.recording import promote as act

        _answer(act(subject, version, target_of(store, registry), alias=alias, weights=weights), output_format)


def revoke(
    model: Annotated[str, typer.Argument(help="Registered model.")],
    version: Annotated[str, typer.Argument(help="Version number or @alias.")],
    reason: Annotated[str, typer.Option(help="Why; goes into the log and onto the version.")],
    registry: Registry = None,
    store: StoreFolder = None,
    output_format: Format = ActFormat.text,
) -> None:
    """Take a version out of use for good."""
    with error_boundary(output_format=output_format):
        from kdgov.recording import revoke as act

        _answer(act(model, version, target_of(store, registry), reason=reason), output_format)


def rollback(
    model: Annotated[str, typer.Argument(help="Registered model.")],
    to: Annotated[int | None, typer.Option(help="Version to go back to; default the alias's previous holder.")] = None,
    alias: Annotated[str, typer.Option(help="Alias to move.")] = "champion",
    reason: Annotated[str, typer.Option(help="Why; goes into the log.")] = "",
    registry: Registry = None,
    store: StoreFolder = None,
    output_format: Format = ActFormat.text,
) -> None:
    """Move a guarded alias back to an earlier version that may still hold it."""
    with error_boundary(output_format=output_format):
        from kdgov.recording import rollback as act

        _answer(act(model, target_of(store, registry), alias=alias, to=to, reason=reason), output_format)


def verify(
    model: Annotated[str, typer.Argument(help="Registered model.")],
    version: Annotated[str, typer.Argument(help="Version number or @alias.")],
    registry: Registry = None,
    store: StoreFolder = None,
    weights: Weights = None,
    svr: Annotated[Path | None, typer.Option(help="Write the answer as a signed in-toto Simple Verification Result.")] = None,
    vsa: Annotated[Path | None, typer.Option(help="Write the answer as a signed SLSA Verification Summary.")] = None,
    output_format: Format = ActFormat.text,
) -> None:
    """Re-read and re-verify one recorded version."""
    with error_boundary(output_format=output_format):
        from kdgov.recording import verify_version

        target = target_of(store, registry)
        report = verify_version(model, version, target, weights=weights)
        if svr or vsa:
            from kdgov.recording.verdict_files import write_verdicts

            write_verdicts(report, target, svr=svr, vsa=vsa)
        if output_format is ActFormat.json:
            print_json(report.as_json())
        else:
            typer.echo(f"{report.name} version {report.version}: verdict {report.verdict}")
            for check in report.checks:
                typer.echo(f"  {typer.style(f'{check.state:<15}', fg=_COLOURS[check.state])}{check.what}: {check.detail}")
            for told in report.standing:
                typer.echo(f"  {'standing':<15}{told}")
        if not report.holds:
            raise typer.Exit(EXIT_BLOCKED)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=PROMOTE_EXAMPLES)(promote)
    app.command(epilog=REVOKE_EXAMPLES)(revoke)
    app.command(epilog=ROLLBACK_EXAMPLES)(rollback)
    app.command(epilog=VERIFY_EXAMPLES)(verify)


def target_of(store: Path | None, registry: str | None) -> RegistryTarget:
    """The registry a command means."""
    import os

    from kdgov.recording.client.target import STORE_VARIABLE, registry_target

    return registry_target(store or Path(os.environ.get(STORE_VARIABLE) or Path("registry") / "store"), registry)


def _promote_release(release: Path, alias: str, registry: str | None, store: Path | None, output_format: ActFormat) -> None:
    from kdgov.pipeline.context import open_release
    from kdgov.pipeline.finished_work.step_results import PromoteResult
    from kdgov.pipeline.run import StepOptions, resolve

    if not release.suffix and not release.exists():
        raise InputError(f"{str(release)!r} is not a release file, and no version is named", mend="Write `kdgov promote MODEL VERSION`.")
    with progress_bars() as progress:
        context = open_release(release, store=store, progress=progress)
        finished = resolve(context, until="promote", options=StepOptions(alias=alias, registry=registry)).of(PromoteResult)
    if output_format is ActFormat.json:
        print_json({**finished.facts, "reused": finished.reused})
    else:
        typer.echo(finished.summary)
    if not finished.promoted:
        raise typer.Exit(EXIT_BLOCKED)


def _answer(act: Act, output_format: ActFormat) -> None:
    if output_format is ActFormat.json:
        print_json(act.as_json())
    else:
        typer.echo(act.sentence)
        if act.note:
            typer.echo(f"note: {act.note}", err=True)
    if not act.done:
        raise typer.Exit(EXIT_BLOCKED)
