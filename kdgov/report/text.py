"""The decision in a terminal: one table, worst first, and one plain sentence per result that stops the release."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kdgov.decision.decision import Decision
from kdgov.report.severity_order import columns, headline, worst_first

_STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow", "invalid": "bold magenta"}


def as_text(decision: Decision, *, width: int | None = None, colour: bool = False) -> str:
    """The decision as a terminal shows it.

    Args:
        decision: the decision.
        width: columns; None asks the terminal.
        colour: whether to write ANSI colours.
    """
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=colour, no_color=not colour, highlight=False)
    console.print(Text(headline(decision), style=_STYLES[decision.verdict]))
    if decision.criteria:
        console.print(_table(decision))
    for result in worst_first(decision):
        if result.verdict != "pass":
            mark = "waived" if result.waived else result.verdict
            console.print(Text.assemble((f"{mark}: ", _STYLES[result.verdict]), f"{result.id}: {result.reason}"))
    for finding in decision.findings:
        if finding.verdict != "pass":
            style = _STYLES["fail"] if finding.stops else "yellow"
            console.print(
                Text.assemble((f"{finding.check} {finding.verdict}: ", style), f"{finding.subject}: {finding.reason} {finding.mend}")
            )
    for item in decision.waivers:
        console.print(
            Text(f"waiver for {item['criterion']} by {item['owner']} until {item['expires']}: {item['state']} ({item['reason']})")
        )
    for item in decision.approvals:
        console.print(Text(f"approval of {item['role']}: {item['state']}" + (f" by {item['by']}" if item.get("by") else "")))
    policy = decision.policy
    console.print(Text(f"policy {policy['name']} {policy['version']} {policy['digest'][:19]}…  decision {decision.digest}", style="dim"))
    return stream.getvalue()


def _table(decision: Decision) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("verdict", "criterion", "where"):
        table.add_column(name, overflow="fold")
    for name in ("n", "teacher", "student", "change", "bound", "allowed"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in worst_first(decision):
        verdict = f"{result.verdict} (waived)" if result.waived else result.verdict
        table.add_row(
            Text(verdict, style=_STYLES[result.verdict]),
            Text(result.id),
            Text(result.place),
            str(result.n) if result.n else "–",
            *columns(result),
        )
    return table
