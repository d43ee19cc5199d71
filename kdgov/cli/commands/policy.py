"""``kdgov policy``: check, compare and drill policies before trusting them."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from kdgov.cli.error_boundary import error_boundary, print_json, write_answer
from kdgov.errors import EXIT_BLOCKED

policies = typer.Typer(no_args_is_help=True, help="Check, compare and drill policies before trusting them.")


class PolicyFormat(StrEnum):
    """How the answer is printed."""

    text = "text"
    json = "json"


Format = Annotated[PolicyFormat, typer.Option("--format", help="text for people, json for programs.")]


@policies.command(epilog="[bold]Example[/bold]: kdgov policy check policies/default.yaml")
def check(
    files: Annotated[list[str], typer.Argument(help="Policy files, or names of shipped ones.")], output_format: Format = PolicyFormat.text
) -> None:
    """Read policies and say what they demand; all errors at once, with line and fix."""
    with error_boundary(output_format=output_format):
        from kdgov.declarations.load import read_together
        from kdgov.declarations.policy_file import load_named_policy
        from kdgov.report.policy_sentences import policy_json, policy_text

        read = list(read_together({str(n): partial(load_named_policy, name) for n, name in enumerate(files)}).values())
        if output_format is PolicyFormat.json:
            print_json([policy_json(policy) for policy in read])
        else:
            typer.echo("\n".join(policy_text(policy) for policy in read))


@policies.command(
    epilog="[bold]Example[/bold]: kdgov policy diff policies/default.yaml my-policy.yaml; exit code 1 when something is or may be looser"
)
def diff(
    before: Annotated[str, typer.Argument(help="The policy as it was.")],
    after: Annotated[str, typer.Argument(help="The policy as it is to be.")],
    output_format: Format = PolicyFormat.text,
) -> None:
    """Say in words what changed, and what became looser or may have; exit code 1 if anything did."""
    with error_boundary(output_format=output_format):
        from kdgov.decision.policy_diff import policy_difference
        from kdgov.declarations.load import read_together
        from kdgov.declarations.policy_file import load_named_policy

        sides = {"before": before, "after": after}
        changes = policy_difference(**read_together({side: partial(load_named_policy, name) for side, name in sides.items()}))
        if output_format is PolicyFormat.json:
            print_json([{"effect": c.effect, "where": c.where, "words": c.words} for c in changes])
        else:
            typer.echo("\n".join(map(str, changes)) or "Both demand the same.")
        if any(change.may_loosen for change in changes):
            raise typer.Exit(EXIT_BLOCKED)


@policies.command(epilog="[bold]Example[/bold]: kdgov policy drill policies/default.yaml --quick --svg curves.svg")
def drill(
    policy: Annotated[str, typer.Argument(help="Policy file, or name of a shipped one.")],
    items: Annotated[
        int | None, typer.Option(min=1, help="Items per metric; default what each criterion plans.", show_default=False)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the tables: seconds instead of minutes.")] = False,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    runs: Annotated[
        int | None, typer.Option(min=1, help="Tables per statistical plant; default 200, with --quick 20.", show_default=False)
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Ids of plants to run, such as R03.", show_default=False)] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw the operating characteristics here.", show_default=False)] = None,
    output_format: Format = PolicyFormat.text,
) -> None:
    """Plant every known regression and every good student, and count what this policy does with them."""
    with error_boundary(output_format=output_format):
        from kdgov.api.drill_door import judge_files
        from kdgov.cli.progress_display import progress_bars
        from kdgov.decision.drill.drill_cores import drill_file
        from kdgov.declarations.policy_file import find_policy, load_policy
        from kdgov.report.charts.operating_curves import curves_svg
        from kdgov.report.drill_report import drill_markdown

        with progress_bars() as progress:
            file, chosen = find_policy(policy), only or ()
            how: dict[str, Any] = {"items": items, "quick": quick, "seed": seed, "only": chosen, "runs": runs}
            report = drill_file(file, read=load_policy, progress=progress, door=judge_files, **how)
        if svg is not None:
            title = f"Policy {report.policy['name']} {report.policy['version']}: chance of promotion"
            write_answer(svg, curves_svg(report.curves, title=title))
        if output_format is PolicyFormat.json:
            print_json(report.as_json())
        else:
            typer.echo(drill_markdown(report), nl=False)


@policies.command(epilog="[bold]Example[/bold]: kdgov policy schema > policy.schema.json")
def schema() -> None:
    """Print the JSON schema of policy files, for editors."""
    with error_boundary():
        from kdgov.declarations.file_schemas import declaration_schema

        print_json(declaration_schema("policy"))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(policies, name="policy")
