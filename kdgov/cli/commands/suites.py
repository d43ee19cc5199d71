"""``kdgov suites``: what can be asked, where it comes from, under which licence, and whether it is here."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from kdgov.cli.error_boundary import error_boundary, print_json
from kdgov.quantities import quantity

suites_app = typer.Typer(help="List, show and pin suites.", no_args_is_help=True)

EXAMPLES = """
[bold]Examples[/bold]

  kdgov suites list                      every shipped suite

  kdgov suites show bias-core            its tasks: items, licence, hub id, revision, whether it is available offline

  kdgov suites pin evalsuites/own        write the digests of its data files into suite.yaml

  HF_ENDPOINT=http://mirror:8080 kdgov suites pin ./my-bias-core --from-hub      pin every dataset to the mirror's present commit
"""


class SuitesFormat(StrEnum):
    """How the answer is printed."""

    text = "text"
    json = "json"


FormatOption = Annotated[SuitesFormat, typer.Option("--format", help="text for people, json for programs.")]


@suites_app.command("list", epilog=EXAMPLES)
def list_suites(output_format: FormatOption = SuitesFormat.text) -> None:
    """List the shipped suites."""
    with error_boundary(output_format=output_format):
        from kdgov.declarations.suite import find_suite, load_suite, shipped_suites

        suites = [load_suite(find_suite(name)) for name in shipped_suites()]
        if output_format is SuitesFormat.json:
            print_json([{"name": s.name, "title": s.title, "license": s.license, "tasks": [t.task for t in s.tasks]} for s in suites])
            return
        width = max((len(s.name) for s in suites), default=0)
        for suite in suites:
            typer.echo(f"{suite.name:<{width}}  {len(suite.tasks):>3} tasks  {suite.title}")


@suites_app.command("show", epilog=EXAMPLES)
def show_suite(name: Annotated[str, typer.Argument(help="Suite name or folder.")], output_format: FormatOption = SuitesFormat.text) -> None:
    """Show one suite: every task with its items, licence, source, revision and availability."""
    with error_boundary(output_format=output_format):
        from kdgov.evaluation.plan.suite_catalogue import suite_facts

        facts = suite_facts(name)
        if output_format is SuitesFormat.json:
            print_json(facts)
            return
        typer.echo(f"{facts['name']}: {facts['title']}\nlicence {facts['license']}\n\n{facts['description']}\n")
        for task in facts["tasks"]:
            _print_task(task)
        for group in facts.get("groups", ()):
            named = f" ({group['alias']})" if group["alias"] else ""
            typer.echo(f"  {group['group']}{named}: stands for {quantity(len(group['tasks']), 'task')}")
            for mean in group["means"]:
                typer.echo(f"    {mean}")


@suites_app.command("pin", epilog=EXAMPLES)
def pin_suite(
    name: Annotated[str, typer.Argument(help="Suite name or folder.")],
    from_hub: Annotated[bool, typer.Option("--from-hub", help="Ask the hub for present commits, and move pins to them.")] = False,
    output_format: FormatOption = SuitesFormat.text,
) -> None:
    """Write the digest of every data file, and the commit of every hub dataset that is here, into suite.yaml."""
    with error_boundary(output_format=output_format):
        from kdgov.evaluation.plan.suite_catalogue import not_pinned, pin

        written = pin(Path(name), from_hub=from_hub)
        if output_format is SuitesFormat.json:
            print_json(written)
            return
        for line in written:
            typer.echo(f"{line['task']}: {line['key']} {line['value']}")
        left = not_pinned(Path(name))
        pinned = "no pin to write" if left else "everything was pinned already"
        typer.echo(quantity(len(written), "pin") + " written" if written else pinned)
        for reason, tasks in left.items():
            typer.echo(f"not pinned: {', '.join(tasks)} ({reason})")


def _print_task(task: dict[str, Any]) -> None:
    here = "available offline" if task["available"] else f"not here: {task['missing']}"
    typer.echo(f"  {task['task']} ({task['kind']})")
    rows = f" of {task['rows']:,} rows" if task.get("rows") else ""
    typer.echo(f"    {quantity(task['items'], 'item')}{rows} · {task['license']} · {task['source']} · revision {task['revision']} · {here}")
    for metric in task["metrics"]:
        typer.echo(f"    {metric}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(suites_app, name="suites")
