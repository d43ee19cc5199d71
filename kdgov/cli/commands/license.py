"""``kdgov license``: may this student be made and released, by the licences of everything it was made from."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdgov.cli.error_boundary import error_boundary, print_json
from kdgov.errors import EXIT_BLOCKED

if TYPE_CHECKING:
    from kdgov.license import LicenseAnswer, LicenseCase

CHECK_EXAMPLES = """
[bold]Examples[/bold]

  kdgov license check case.yaml                       verdict, gate, and the clause behind each

  kdgov license check case.yaml --format json         the same for programs

A case names the student, its upstreams and the facts of the release:

  student: {name: Llama-Acme-1B, license: Apache-2.0, kind: generative}
  uses: \\[{use: generated_text, license: llama3.1, name: Llama-3.1-405B}]
  release: {distribution: weights, commercial: true}

Exit code 0: promote. 1: hold or block. 2: invalid input.
"""
EXPLAIN_EXAMPLES = """
[bold]Examples[/bold]

  kdgov license explain case.yaml                     every edge with its clause, source and what would lift it

  kdgov license explain "llama3"                      what a licence says of each of the nine uses

  kdgov license explain "Apache-2.0 OR GPL-3.0-only" --distribution internal
"""
NOTICE_EXAMPLES = """
[bold]Examples[/bold]

  kdgov license notice case.yaml --out student/       NOTICE, ATTRIBUTION.md, USE_RESTRICTIONS.md, LICENSE_OBLIGATIONS.md

  kdgov license notice release.yaml --out student/    the same for a release with its cards

  kdgov license notice release.yaml --out student/ --check      which obligations these files meet, read one by one
"""


UPDATE_EXAMPLES = """
[bold]Examples[/bold]

  kdgov license sign-facts facts/ --key keys/facts.pem --release 2026.12     whoever keeps the facts

  kdgov license update --from facts/                  verified against the trust store, then in force

Exit code 2: not signed by a key trusted for policy, changed since, older, or knowing less than what is in force.
"""


class AnswerFormat(StrEnum):
    """How an answer is printed."""

    text = "text"
    json = "json"


license_app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")

FormatOption = Annotated[AnswerFormat, typer.Option("--format", help="text for people, json for programs.")]


@license_app.command(epilog=CHECK_EXAMPLES)
def check(
    file: Annotated[Path, typer.Argument(help="Case file: student, uses, release, organization, choices, evidence.")],
    output_format: FormatOption = AnswerFormat.text,
) -> None:
    """Judge a case: one verdict, one gate, every obligation with whether it is met."""
    with error_boundary(output_format=output_format):
        from kdgov.cli.license_text import answer_lines
        from kdgov.license import check as judge

        answer = judge(_read_case(file))
        if output_format is AnswerFormat.json:
            print_json(answer.as_json())
        else:
            typer.echo("\n".join(answer_lines(answer)))
        if answer.gate != "promote":
            raise typer.Exit(EXIT_BLOCKED)


@license_app.command(epilog=EXPLAIN_EXAMPLES)
def explain(
    subject: Annotated[str, typer.Argument(help="Case file, or a licence expression.")],
    distribution: Annotated[str, typer.Option(help="For an expression: internal, hosted, weights or data.")] = "weights",
    commercial: Annotated[bool, typer.Option(help="For an expression: whether the release is commercial.")] = True,
    kind: Annotated[str, typer.Option(help="For an expression: kind of student.")] = "generative",
) -> None:
    """Explain a case edge by edge, or a licence use by use; always exit code 0 when there is an answer."""
    with error_boundary():
        from kdgov.cli.license_text import edge_lines, expression_lines
        from kdgov.license import check as judge

        if Path(subject).is_file() or subject.endswith((".yaml", ".yml", ".json")):
            answer = judge(_read_case(Path(subject)))
            typer.echo(f"verdict {answer.verdict}, gate {answer.gate}\n")
            typer.echo("\n".join(line for edge in answer.uses for line in edge_lines(edge)))
        else:
            release = {"distribution": distribution, "commercial": commercial, "research": not commercial}
            typer.echo("\n".join(expression_lines(subject, release=release, kind=kind)))


@license_app.command("list")
def list_licenses(output_format: FormatOption = AnswerFormat.text) -> None:
    """List every licence and contract the fact files know, with its other names."""
    with error_boundary(output_format=output_format):
        from kdgov.license.catalogue.facts import facts

        known = facts()
        if output_format is AnswerFormat.json:
            rows = [
                {"id": e.id, "name": e.name, "kind": e.kind, "family": e.family, "aliases": list(e.aliases)}
                for e in known.licenses.values()
            ]
            print_json({"licenses": rows, "families": dict(known.families), "facts_digest": known.digest})
            return
        for entry in known.licenses.values():
            typer.echo(f"{entry.id}  {entry.name} [{entry.kind}]  also: {', '.join(entry.aliases) or '-'}")


@license_app.command()
def show(
    name: Annotated[str, typer.Argument(help="Licence id, hub tag or scancode key.")],
) -> None:
    """Show one licence's rules: uses, conditions, verdict, obligations, clause, source."""
    with error_boundary():
        from kdgov.cli.license_text import license_lines

        typer.echo("\n".join(license_lines(name)))


@license_app.command()
def facts(
    check_files: Annotated[bool, typer.Option("--check", help="Validate the fact files; exit code 2 if one is invalid.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Folder of fact files; default those in force.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Day (YYYY-MM-DD) to judge the age of facts by; default today.")] = None,
) -> None:
    """Count the fact files' licences, names and rules; with --check hold every rule to its duties and tell what is due for another look."""
    with error_boundary():
        from kdgov.cli.license_facts import facts_lines

        typer.echo("\n".join(facts_lines(folder, check_files=check_files, as_of=as_of)))


@license_app.command(epilog=UPDATE_EXAMPLES)
def update(
    source: Annotated[Path, typer.Option("--from", help="Folder of a signed release of facts.")],
    trust: Annotated[Path | None, typer.Option(help="Trust store; default the project's (`kdgov keys trust --for policy`).")] = None,
) -> None:
    """Take over a newer, signed release of the licence facts: without a new kdgov, and only if it knows all that is known now."""
    with error_boundary():
        from kdgov.cli.license_facts import updated_line

        typer.echo(updated_line(source, trust))


@license_app.command("sign-facts", epilog=UPDATE_EXAMPLES)
def sign_facts(
    folder: Annotated[Path, typer.Argument(help="Folder of fact files to release.")],
    key: Annotated[list[str], typer.Option(help="Key that signs; more than one may.")],
    release: Annotated[str, typer.Option(help="Version of the release, such as 2026.12.")],
) -> None:
    """Sign a folder of fact files as a release that others can take over with `kdgov license update`."""
    with error_boundary():
        from kdgov.cli.license_facts import signed_line

        typer.echo(signed_line(folder, key, release))


@license_app.command(epilog=NOTICE_EXAMPLES)
def notice(
    file: Annotated[Path, typer.Argument(help="Case file, or a release (schema kdgov.release/1).")],
    out: Annotated[Path, typer.Option(help="Folder the files are written to, or looked at with --check.")],
    force: Annotated[bool, typer.Option(help="Replace files that are there already.")] = False,
    check_files: Annotated[bool, typer.Option("--check", help="Write nothing: say which obligations the folder's files meet.")] = False,
) -> None:
    """Write the NOTICE, attribution, flow-down and licence texts that the obligations ask for, ready to ship beside the weights."""
    with error_boundary():
        from kdgov.cli.license_text import shipped_lines, write_files
        from kdgov.license import check as judge

        case = _read_case(file)
        if check_files:
            answer, lines = shipped_lines(case, out)
            typer.echo("\n".join(lines))
            if answer.gate != "promote":
                raise typer.Exit(EXIT_BLOCKED)
            return
        written = write_files(_files_of(case, judge(case)), out, force=force)
        typer.echo("\n".join(f"wrote {path}" for path in written) or "Nothing is asked at this release intent: no file written.")


def _files_of(case: LicenseCase, answer: LicenseAnswer) -> dict[str, str]:
    from kdgov.checks.licensing.shipped_files import texts_at_hand
    from kdgov.license.notice import notice_files, wanted_texts

    return notice_files(case, answer, texts=texts_at_hand(case, wanted_texts(answer)))


def _read_case(file: Path) -> LicenseCase:
    from kdgov.api.license_case import read_case

    return read_case(file)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(license_app, name="license", help="Licences: may this student be made and released, and what must ship with it.")
