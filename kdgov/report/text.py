"""The decision in a terminal: results worst first, what stops the release, and last the verdict with its reason and the next step."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kdgov.decision.decision import CriterionResult, Decision
from kdgov.finding import Finding
from kdgov.report.severity_order import columns, worst_first
from kdgov.report.verdict_header import verdict_header, warnings_by_rule

_STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow", "invalid": "bold magenta"}
_UNWRAPPED = 100_000
"""Columns of a pipe: it has no width of its own, and a folded line cannot be searched."""
_WIDE = 118
"""Columns from which the whole table fits; below, criterion and place share a column and the counts are left out."""


def as_text(decision: Decision, *, width: int | None = None, colour: bool = False, verbose: bool = False) -> str:
    """The decision as a terminal shows it.

    Args:
        decision: the decision.
        width: columns of the terminal; None writes unwrapped lines, as for a pipe or a file.
        colour: whether to write ANSI colours.
        verbose: whether to print every warning instead of one line per kind with its number.
    """
    stream = io.StringIO()
    console = Console(file=stream, width=width or _UNWRAPPED, force_terminal=colour, no_color=not colour, highlight=False)
    if decision.criteria:
        console.print(_table(decision) if width is None or width >= _WIDE else _narrow_table(decision))
    for text in (*_results(decision), *_findings(decision, verbose=verbose), *_statements(decision)):
        console.print(text)
    policy = decision.policy
    console.print(Text(f"policy {policy['name']} {policy['version']} {policy['digest'][:19]}…  decision {decision.digest}", style="dim"))
    header = verdict_header(decision)
    console.print(Text(f"{header.shape} {header.answer}", style=_STYLES[decision.verdict]))
    for label, sentence in header.lines():
        console.print(Text.assemble((f"  {label + ':':<9}", "bold"), sentence))
    # A table pads its last column: what is piped or pasted should not carry the blanks.
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def _results(decision: Decision) -> list[Text]:
    return [
        Text.assemble(
            ("waived: " if r.waived else f"{r.verdict} (advisory): " if r.advisory else f"{r.verdict}: ", _STYLES[r.verdict]),
            f"{r.id}: {r.told}",
        )
        for r in worst_first(decision)
        if r.verdict != "pass" or r.shown
    ]


def _findings(decision: Decision, *, verbose: bool) -> list[Text]:
    stopping = [f for f in decision.findings if f.stops]
    told = [Text.assemble((f"{f.check} {f.verdict}: ", _STYLES["fail"]), f"{f.subject}: {f.reason} {f.mend}".rstrip()) for f in stopping]
    if verbose:
        return told + [_warned(f.rule or f.check, f) for f in decision.findings if f.verdict == "warn"]
    for rule, count, first in warnings_by_rule(decision.findings):
        told.append(_warned(rule, first, f" (and {count - 1} more; --verbose lists them)" if count > 1 else ""))
    return told


def _warned(rule: str, finding: Finding, more: str = "") -> Text:
    told = f"{rule}: {finding.subject}: {finding.reason} {finding.mend}".rstrip()
    return Text.assemble((f"{finding.check} warn: ", "yellow"), f"{told}{more}")


def _statements(decision: Decision) -> list[Text]:
    waivers = [
        Text(f"waiver for {item['criterion']} by {item['owner']} until {item['expires']}: {item['state']} ({item['reason']})")
        for item in decision.waivers
    ]
    approvals = []
    for item in decision.approvals:
        by = f" by {item['by']}" if item.get("by") else ""
        approvals.append(Text(f"approval of {item['role']}: {item['state']}{by}"))
    return [*waivers, *approvals]


def _table(decision: Decision) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("verdict", no_wrap=True)
    for name in ("criterion", "where"):
        table.add_column(name, overflow="fold")
    for name in ("n", "teacher", "student", "change", "bound", "allowed"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in worst_first(decision):
        cells = (Text(result.id), Text(result.place), str(result.n) if result.n else "–", *columns(result))
        table.add_row(_verdict(result), *cells)
    return table


def _narrow_table(decision: Decision) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("criterion", overflow="fold", ratio=1)
    for name in ("change", "bound", "allowed"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in worst_first(decision):
        place = Text.assemble(result.id, ("\n" + result.place, "dim")) if result.place else Text(result.id)
        table.add_row(_verdict(result), place, *columns(result)[2:])
    return table


def _word(result: CriterionResult) -> str:
    return "waived: " if result.waived else f"{result.verdict}{' (advisory)' if result.advisory else ''}: "


def _verdict(result: CriterionResult) -> Text:
    aside = " (waived)" if result.waived else " (advisory)" if result.advisory else ""
    return Text(result.verdict + aside, style=_STYLES[result.verdict])
