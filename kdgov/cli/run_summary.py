"""How a run ends on the terminal: the verdict table, what to mend, and the line that opens the registry."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from kdgov.cli.error_boundary import print_json
from kdgov.cli.standard_output import columns, wants_colour
from kdgov.decision.decision import decision_from_json
from kdgov.evidence.bundle_layout import DECISION, FINDINGS
from kdgov.pipeline.data_checks.before_training import DataCheckResult, bars_training
from kdgov.pipeline.finished_work.step_results import GenerateResult, PromoteResult, RecordResult
from kdgov.pipeline.run import RunOutcome
from kdgov.processes import is_first
from kdgov.report.text import as_text
from kdgov.report.verdict_header import counted


def print_outcome(outcome: RunOutcome, release: Path, *, verbose: bool = False) -> None:
    """Print the end of a run to standard output: results, verdict, reason and, last, what to do next."""
    if outcome.stopped_by == "check":
        _print_stopping_findings(outcome, release)
        return
    if outcome.stopped_by == "generate":
        print_text_findings(outcome.of(GenerateResult))
        return
    gate = outcome.result_of("gate")
    if gate is not None:
        decision = decision_from_json(json.loads((gate.folder / DECISION).read_bytes()))
        typer.echo(as_text(decision, colour=wants_colour(), width=columns(), verbose=verbose), nl=False)
    promoted, recorded = outcome.result_of("promote"), outcome.result_of("record")
    if isinstance(recorded, RecordResult):
        refused = "not promoted: the gate refused it" if outcome.stopped_by else "not promoted: the run was to end before that"
        standing = promoted.summary if isinstance(promoted, PromoteResult) else refused
        typer.echo(f"{recorded.name} version {recorded.version}: {standing}")
        typer.echo(f"Open the registry in a browser:  {recorded.open}")


def print_blocked(stopped: DataCheckResult | GenerateResult | None, release: Path, *, as_json: bool) -> None:
    """Print what keeps a release from being trained: what the check says of its data, or the scan of its teacher's text."""
    if stopped is None or not is_first():
        return
    if as_json:
        facts = stopped.facts
        print_json({"step": stopped.step, "key": stopped.key, "folder": str(stopped.folder), "reused": stopped.reused, "facts": facts})
    elif isinstance(stopped, GenerateResult):
        print_text_findings(stopped)
    else:
        rows = json.loads((stopped.folder / FINDINGS).read_bytes())
        stopping = [row for row in rows if bars_training(row["rule"], row["verdict"])]
        stop = "stops" if len(stopping) == 1 else "stop"
        said = f"blocked before training: {counted(len(stopping), 'finding')} of the check {stop} this release"
        typer.secho(said, fg=typer.colors.RED, bold=True)
        _print_rows(stopping)
        typer.echo(f"All findings: kdgov check {release}")


def print_text_findings(written: GenerateResult) -> None:
    """Print what the scan of the teacher's text found that stops a release."""
    rows = json.loads((Path(written.findings) / FINDINGS).read_bytes())
    stopping = [row for row in rows if row["verdict"] in ("block", "invalid")]
    stop = "stops" if len(stopping) == 1 else "stop"
    typer.secho(
        f"blocked before training: {counted(len(stopping), 'finding')} on the teacher's text {stop} this release",
        fg=typer.colors.RED,
        bold=True,
    )
    _print_rows(stopping)
    typer.echo(f"What it wrote: {written.folder}")


def _print_stopping_findings(outcome: RunOutcome, release: Path) -> None:
    checked = outcome.result_of("check")
    document = json.loads((checked.folder / FINDINGS).read_bytes()) if checked is not None else []
    rows = document["findings"] if isinstance(document, dict) else document
    stopping = [row for row in rows if row["verdict"] in ("review", "block", "invalid")]
    stop = "stops" if len(stopping) == 1 else "stop"
    typer.secho(f"blocked before any compute: {counted(len(stopping), 'finding')} {stop} this release", fg=typer.colors.RED, bold=True)
    _print_rows(stopping)
    typer.echo(f"All findings: kdgov check {release}")


def _print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        typer.echo(f"  {row['check']} {row['verdict']}: {row['subject']}: {row['reason']}")
        if row["mend"]:
            typer.echo(f"      {row['mend']}")
        if row["source"]:
            typer.echo(f"      source: {row['source']}")
