"""``kdgov audit``: the compliance review of one version, one model or the whole registry."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdgov.cli.error_boundary import error_boundary, write_answer
from kdgov.cli.progress_display import progress_bars
from kdgov.errors import EXIT_BLOCKED, InputError

if TYPE_CHECKING:
    from kdgov.pipeline.audit import AuditRequest, Scope

EXAMPLES = """
[bold]Examples[/bold]

  kdgov audit support-student 3                              everything done again, from the registry alone

  kdgov audit support-student @champion --format html --out audit.html

  kdgov audit support-student 3 --framework nist-ai-rmf      which controls the evidence supports; `all` for every framework

  kdgov audit support-student 3 --weights /srv/models/support-student      the weights that are served

  kdgov audit support-student 3 --replay 20                  ask the recorded weights again, 20 items per task

  kdgov audit support-student                                every version of one model

  kdgov audit --all --only violated --since 2026-11-01       the registry as one table

Exit code 0: nothing is violated and nothing required is missing. 1: something is. 2: invalid input. 3: a problem of the environment.
"""


class AuditFormat(StrEnum):
    """How the answer is written."""

    text = "text"
    json = "json"
    markdown = "markdown"
    html = "html"


class Only(StrEnum):
    """Which rows an overview shows."""

    violated = "violated"


def audit(
    model: Annotated[str | None, typer.Argument(help="Registered model.")] = None,
    version: Annotated[str | None, typer.Argument(help="Version number or @alias; left out: every version of the model.")] = None,
    all_models: Annotated[bool, typer.Option("--all", help="The whole registry.")] = False,
    framework: Annotated[list[str] | None, typer.Option(help="Crosswalk to fill: a name, a file, or `all`. May be repeated.")] = None,
    since: Annotated[str | None, typer.Option(help="Overview: only versions registered since (YYYY-MM-DD).")] = None,
    only: Annotated[Only | None, typer.Option(help="Overview: only these rows.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder of the checkpoint that is served.")] = None,
    replay: Annotated[int, typer.Option(min=0, help="Items per task to evaluate again on the recorded weights.")] = 0,
    attest: Annotated[bool, typer.Option("--attest", help="Sign that --replay found all as recorded; a layout may demand it.")] = False,
    witness: Annotated[Path | None, typer.Option(help="File of log heads that a witness countersigned; see `kdgov registry log`.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Day for which expiries are judged (YYYY-MM-DD); default today.")] = None,
    trust: Annotated[Path | None, typer.Option(help="Trust store of the reviewer; default KDGOV_TRUST, else the store's.")] = None,
    registry: Annotated[str | None, typer.Option(help="Address of the registry; default KDGOV_REGISTRY, else the store's own.")] = None,
    store: Annotated[Path | None, typer.Option(help="Store folder: embedded registry, keys, trust.")] = None,
    output_format: Annotated[AuditFormat, typer.Option("--format", help="text, json, markdown or html.")] = AuditFormat.text,
    items: Annotated[Path | None, typer.Option(help="Write the items lost and won of MODEL VERSION to this HTML file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the answer to this file instead of standard output.")] = None,
) -> None:
    """Re-verify a recorded release using only the registry, and report."""
    with error_boundary(output_format=output_format):
        from dataclasses import replace

        from kdgov.pipeline.audit import Scope

        request = replace(_request(registry, store, trust, as_of, weights, framework or [], replay), witness=witness)
        if items is not None and version is None:
            raise InputError("--items shows the items of one version", where="kdgov audit", mend="Name MODEL VERSION.")
        if version is not None and model is not None:
            if items is not None:
                _write_items(model, version, request, items)
            _one(model, version, request, output_format, out, attest=attest)
        elif model is not None or all_models:
            _many(request, Scope(model=model, since=_day(since, "--since"), only_violated=only is Only.violated), output_format, out)
        else:
            raise InputError("names nothing to audit", where="kdgov audit", mend="Name MODEL VERSION, MODEL, or --all.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLES)(audit)


def _request(
    registry: str | None,
    store: Path | None,
    trust: Path | None,
    as_of: str | None,
    weights: Path | None,
    frameworks: list[str],
    replay: int,
) -> AuditRequest:
    import os

    from kdgov.auditing.crosswalk.framework import framework_names, load_framework
    from kdgov.pipeline.audit import AuditRequest
    from kdgov.pipeline.context import STORE_VARIABLE

    day = _day(as_of, "--as-of")
    names = [name for given in frameworks for name in (framework_names() if given == "all" else [given])]
    return AuditRequest(
        registry=registry,
        store=store or Path(os.environ.get(STORE_VARIABLE, "registry/store")),
        trust=trust,
        # The whole day counts: what is signed on it is not from the future.
        at=datetime.datetime.combine(day, datetime.time(23, 59, 59), datetime.UTC) if day else None,
        weights=weights,
        frameworks=tuple(load_framework(name) for name in dict.fromkeys(names)),
        replay=replay,
    )


def _day(text: str | None, option: str) -> datetime.date | None:
    if text is None:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{option} {text!r} is not a date", mend="Write it as YYYY-MM-DD.") from error


def _one(model: str, version: str, request: AuditRequest, output_format: AuditFormat, out: Path | None, *, attest: bool) -> None:
    from kdgov.pipeline.audit import attest_replay, audit_version

    with progress_bars() as progress:
        found = audit_version(model, version, request, progress=progress)
    _write(_rendered(found.as_json(), output_format), out, output_format)
    if attest:
        typer.echo(f"attested: {attest_replay(found, request)}", err=True)
    if found.outcome != "clean":
        raise typer.Exit(EXIT_BLOCKED)


def _write_items(model: str, version: str, request: AuditRequest, path: Path) -> None:
    from kdgov.recording.rejudge_recorded import judge_recorded
    from kdgov.report.item_browser.item_file import item_file

    decision, judged = judge_recorded(model, version, trust=request.trust, store=request.store, registry=request.registry)
    write_answer(path, item_file(judged.tables, decision))
    typer.echo(f"wrote {path} (items)", err=True)


def _rendered(document: Mapping[str, Any], output_format: AuditFormat) -> str:
    match output_format:
        case AuditFormat.html:
            from kdgov.auditing.report.html import render_page

            return render_page(document)
        case AuditFormat.markdown:
            from kdgov.auditing.report.audit_markdown import render_summary

            return render_summary(document)
        case AuditFormat.json:
            return _json(document)
        case AuditFormat.text:
            from kdgov.auditing.report.terminal import version_lines

            return "\n".join(version_lines(document)) + "\n"


def _many(request: AuditRequest, scope: Scope, output_format: AuditFormat, out: Path | None) -> None:
    from kdgov.auditing.report.terminal import overview_lines, overview_markdown, overview_page
    from kdgov.pipeline.audit import audit_registry

    with progress_bars() as progress:
        document = audit_registry(request, scope, progress=progress)
    forms = {
        AuditFormat.text: lambda: "\n".join(overview_lines(document)) + "\n",
        AuditFormat.markdown: lambda: overview_markdown(document),
        AuditFormat.html: lambda: overview_page(document),
        AuditFormat.json: lambda: _json(document),
    }
    _write(forms[output_format](), out, output_format)
    if document["counts"]["violated"] or any(finding["standing"] == "violated" for finding in document["log"]):
        raise typer.Exit(EXIT_BLOCKED)


def _json(document: Mapping[str, Any]) -> str:
    import json

    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _write(text: str, out: Path | None, output_format: AuditFormat) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    write_answer(out, text)
    typer.echo(f"wrote {out} ({output_format.value})", err=True)
