"""``kdgov check``: licences, provenance, privacy, contamination and practice of a release, before any compute is spent."""

from __future__ import annotations

import datetime
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdgov.cli.error_boundary import error_boundary, print_json, write_answer
from kdgov.cli.evaluation_flags import SET_HELP, changed_settings
from kdgov.cli.forecast_output import ESTIMATE_HELP, print_estimate
from kdgov.cli.progress_display import progress_bars
from kdgov.errors import EXIT_BLOCKED, InputError
from kdgov.evidence.bundle_layout import FINDINGS, LICENCE_ANSWER, LICENCE_CASE
from kdgov.quantities import quantity

if TYPE_CHECKING:
    from kdgov.pipeline.context import ReleaseContext
    from kdgov.pipeline.finished_work.step_results import CheckResult

EXAMPLES = """
[bold]Examples[/bold]

  kdgov check release.yaml                       every finding that is not a pass, with how to fix it

  kdgov check release.yaml --all                 the passes as well: what was looked at

  kdgov check release.yaml --show                the release with every default filled in

  kdgov check release.yaml --estimate            time, memory and disk of the whole release, from a trial of 20 steps

  kdgov check release.yaml --graph lineage.svg   teacher, data, generators and licences, with the verdict on each edge

  kdgov check release.yaml --part 3/64 --scan-folder /shared/scan      one task of a job array; then check with --scan-folder

  kdgov check --rules                            every rule, and what it means unless the policy says otherwise

Exit code 0: nothing stands against the release; 1: a finding blocks it or holds it for review; 2: invalid declaration.
"""

TOLD_ANYWAY = ("evidence.criterion-unfillable", "evidence.endpoint-plan")
"""The one rule whose pass is told as well: whether this policy can pass on these suites."""
_COLOURS = {"block": "red", "invalid": "red", "review": "yellow", "warn": "cyan", "pass": "green"}


class CheckFormat(StrEnum):
    """How the findings are printed."""

    text = "text"
    json = "json"


def check(
    release: Annotated[Path | None, typer.Argument(help="Release declaration (schema kdgov.release/1).", show_default=False)] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the release with every default filled in, and exit.")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="List every rule with its default meaning and source, and exit.")] = False,
    graph: Annotated[Path | None, typer.Option(help="Write the lineage with the verdict on each edge as SVG.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Print passes as well.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes for the scan of the data.")] = 1,
    scan_folder: Annotated[Path | None, typer.Option(help="Folder of scan reports, shared by the parts of a job array.")] = None,
    part: Annotated[str, typer.Option(help="Scan only part K/N of the data files into --scan-folder, and exit.")] = "",
    today: Annotated[
        datetime.datetime | None, typer.Option("--as-of", "--today", formats=["%Y-%m-%d"], help="Day on which expiries are judged.")
    ] = None,
    change: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=SET_HELP)] = None,
    store: Annotated[Path | None, typer.Option(help="Store folder; default the registry/store beside the release.")] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help=ESTIMATE_HELP)] = False,
    output_format: Annotated[CheckFormat, typer.Option("--format", help="text for people, json for programs.")] = CheckFormat.text,
) -> None:
    """Say before any compute is spent whether a release may go on: licences, provenance, privacy, contamination, practice."""
    with error_boundary(output_format=output_format):
        if rules:
            _print_rules(output_format)
            return
        if release is None:
            raise InputError("no release is named", mend="Name a release file, or ask for `--rules`.")
        if show:
            _print_release(release, output_format, changed_settings(change, {}))
            return
        from kdgov.pipeline.check import check_step
        from kdgov.pipeline.context import open_release

        with progress_bars() as progress:
            context = open_release(release, store=store, progress=progress, settings=changed_settings(change, {}))
            if estimate:
                print_estimate(context, as_json=output_format is CheckFormat.json)
                return
            if part:
                _scan_part(context, part, scan_folder)
                return
            finished = check_step(context, today=today.date() if today else None, workers=workers, scan_folder=scan_folder)
        _tell(context, finished, every=every, graph=graph, output_format=output_format)
        if finished.stops or finished.holds:
            raise typer.Exit(EXIT_BLOCKED)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLES)(check)


def _scan_part(context: ReleaseContext, part: str, scan_folder: Path | None) -> None:
    from kdgov.pipeline.check import scan_part

    number, _, count = part.partition("/")
    if not (number.isdigit() and count.isdigit()) or scan_folder is None:
        raise InputError(
            f"--part {part!r} cannot be scanned", mend="Write `--part 1/4 --scan-folder DIR`, with a folder that all parts share."
        )
    files = scan_part(context, part=int(number), parts=int(count), kept=scan_folder)
    typer.echo(f"{quantity(files, 'file')} scanned into {scan_folder}", err=True)


def _tell(context: ReleaseContext, finished: CheckResult, *, every: bool, graph: Path | None, output_format: CheckFormat) -> None:
    from kdgov.pipeline.forecast.machine_needs import machine_needs

    findings = json.loads((finished.folder / FINDINGS).read_bytes())
    if graph is not None:
        from kdgov.report.charts.licence_lineage import lineage_svg

        case = json.loads((finished.folder / LICENCE_CASE).read_bytes())
        answer = json.loads((finished.folder / LICENCE_ANSWER).read_bytes())
        write_answer(graph, lineage_svg(case, answer))
    needs = machine_needs(context)
    if output_format is CheckFormat.json:
        print_json({"release": context.release.name, "findings": findings, **finished.facts, "needs": needs.as_json() if needs else None})
        return
    told: set[str] = set()
    for finding in findings:
        # One upstream used in three ways may say the same thing three times; people read it once.
        line = "|".join(str(finding[key]) for key in ("rule", "subject", "reason"))
        if line not in told and (every or finding["verdict"] != "pass"):
            _print_finding(finding)
        told.add(line)
        if not every and finding["verdict"] == "pass" and finding["rule"] in TOLD_ANYWAY:
            typer.echo(finding["reason"])
    for plan in finished.generation:
        over = " (the budget may end it early)" if plan["is_within_budget"] is False else ""
        typer.echo(f"to be asked: {plan['line']}{over}")
    if needs is not None:
        typer.echo(f"needs: {needs.line}; kdgov check {context.path} --estimate tries how long it takes")
        for short in needs.shortages:
            typer.secho(f"not enough: {short}", fg=typer.colors.YELLOW)
    typer.echo(f"{context.release.name}: {finished.summary}{' (reused)' if finished.reused else ''}")


def _print_finding(finding: dict[str, Any]) -> None:
    verdict = finding["verdict"]
    typer.secho(f"{verdict:<6} ", fg=_COLOURS[verdict], bold=True, nl=False)
    typer.echo(f"{finding['rule']}  {finding['subject']}")
    typer.echo(f"        {finding['reason']}")
    if finding["mend"] and verdict != "pass":
        typer.echo(f"        → {finding['mend'].strip()}")
    if finding["source"]:
        typer.secho(f"        {finding['source']}", dim=True)


def _print_rules(output_format: CheckFormat) -> None:
    from kdgov.finding_rules import RULES

    rows = [{"rule": name, "verdict": rule.verdict, "title": rule.title, "source": rule.source} for name, rule in RULES.items()]
    if output_format is CheckFormat.json:
        print_json(rows)
        return
    for row in rows:
        typer.secho(f"{row['verdict']:<6} ", fg=_COLOURS[row["verdict"]], nl=False)
        typer.echo(f"{row['rule']:<38} {row['title']}  [{row['source']}]")


def _print_release(release: Path, output_format: CheckFormat, settings: dict[str, Any]) -> None:
    import yaml

    from kdgov.declarations.effects.release_file import load_release

    document = load_release(release, settings=settings).model_dump(mode="json", by_alias=True)
    if output_format is CheckFormat.json:
        print_json(document)
        return
    typer.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120), nl=False)
