"""``kdgov registry``: the registry as a table, its log of acts, the PostgreSQL trigger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdgov.cli import registry_rules
from kdgov.cli.commands.promote import Registry, StoreFolder, target_of
from kdgov.cli.error_boundary import error_boundary, print_json, write_answer
from kdgov.cli.options import Format, OldJson, PlainFormat
from kdgov.errors import EXIT_BLOCKED
from kdgov.quantities import quantity

if TYPE_CHECKING:
    from kdgov.evidence.registry_query import VersionRow

EXAMPLES = """
[bold]Examples[/bold]

  kdgov registry list                                             newest first, with standing and aliases

  kdgov registry list --verdict fail --filter "tags.`kdgov.blocked` LIKE '2026-11%'"       blocked this month

  kdgov registry list --filter "tags.`kdgov.trained_on` ILIKE '%llama%'"                   trained on Llama outputs

  kdgov registry list --waiver-within 30                                                   a waiver ends within 30 days

  kdgov registry list --filter "tags.`kdgov.suite.bias` = 'ABSENT'"                        no bias suite

  kdgov registry log --out acts.json                              every act, its chain and signatures verified

  kdgov registry show support-student 3                           made from: teacher, data, recipe, seed

  kdgov registry find-text "Maria Lopez" --data data/             which recorded releases hold a person's text

  kdgov registry policy allow policies/support.yaml --models 'support-*'                   only listed policies count

  kdgov registry layout --models 'support-*' --demand evaluation  evaluations must be signed

  kdgov registry log --witness heads.jsonl --witness-key file:notary.key      was the log cut since? then countersign its head

  kdgov registry protect postgresql://owner@db/mlflow             trigger against unguarded clients
"""
registry_app = typer.Typer(
    help="List versions and whether they may be used; read the log of promotions, revocations and other acts.",
    no_args_is_help=True,
    epilog=EXAMPLES,
)


@registry_app.command("list", epilog=EXAMPLES)
def list_command(
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    verdict: Annotated[str | None, typer.Option(help="Only this verdict: pass, fail, inconclusive, invalid, none, revoked.")] = None,
    tag_filter: Annotated[str, typer.Option("--filter", help="A further MLflow filter over version tags.")] = "",
    waiver_within: Annotated[int | None, typer.Option(help="Only versions with a waiver that ends within so many days.")] = None,
    limit: Annotated[int, typer.Option(help="Rows of a page.")] = 100,
    page: Annotated[str, typer.Option(help="Token of the page, as the page before printed it.")] = "",
    registry: Registry = None,
    store: StoreFolder = None,
    output_format: Format = PlainFormat.text,
    old_json: OldJson = False,
) -> None:
    """Show versions with verdict, aliases, policy, expiring waivers and what blocks them."""
    as_json = old_json or output_format is PlainFormat.json
    with error_boundary(output_format="json" if as_json else "text"):
        import datetime

        from kdgov.auditing.registry.registry_page import registry_page
        from kdgov.evidence.registry_query import asked, within_days

        days = within_days(waiver_within, datetime.datetime.now(datetime.UTC).date()) if waiver_within is not None else None
        question = asked(model=model or "", verdict=verdict or "", tag_filter=tag_filter, waiver_within=days, limit=limit, token=page)
        found = registry_page(target_of(store, registry), question)
        if as_json:
            print_json(found.as_json())
            return
        for row in found.rows:
            typer.echo(_line(row))
        typer.echo(f"next page: --page {found.token}" if found.token else quantity(len(found.rows), "version"), err=True)


@registry_app.command("log", epilog=EXAMPLES)
def log_command(
    out: Annotated[Path | None, typer.Option(help="Write all entries to this file: a copy to compare with later.")] = None,
    registry: Registry = None,
    store: StoreFolder = None,
    witness: Annotated[
        Path | None, typer.Option(help="Compare with this file of witnessed heads, then countersign the present head.")
    ] = None,
    witness_key: Annotated[str, typer.Option(envvar="KDGOV_WITNESS_KEY", help="Key of the witness: file:PATH, env:NAME, command:…")] = "",
    output_format: Format = PlainFormat.text,
    old_json: OldJson = False,
) -> None:
    """Show every act and verify the chain and its signed heads."""
    as_json = old_json or output_format is PlainFormat.json
    with error_boundary(output_format="json" if as_json else "text"):
        import json

        from kdgov.recording.client.read_log import verified_log

        target = target_of(store, registry)
        entries, faults = verified_log(target)
        if witness is not None:
            from kdgov.recording.client.witness_log import witness_log

            faults = (*faults, *witness_log(target, entries, faults, witness, key=witness_key))
        rows = [{**entry.body(), "hash": entry.hash, "head": dict(entry.head)} for entry in entries]
        if out is not None:
            write_answer(out, json.dumps({"entries": rows}, indent=1, ensure_ascii=False))
        if as_json:
            print_json({"entries": rows, "faults": list(faults)})
        else:
            for entry in entries:
                what = entry.details.get("alias") or entry.details.get("verdict") or entry.details.get("reason") or ""
                typer.echo(f"{entry.seq:>5}  {entry.at}  {entry.kind:<9}{entry.name} {entry.version or ''}  {what}  by {entry.by}")
            typer.echo(
                "; ".join(faults[:5]) or f"{quantity(len(entries), 'entry', 'entries')}, one unbroken chain, every head signed", err=True
            )
        if faults:
            raise typer.Exit(EXIT_BLOCKED)


@registry_app.command("check", epilog=EXAMPLES)
def check_command(
    registry: Registry = None,
    store: StoreFolder = None,
    output_format: Format = PlainFormat.text,
    old_json: OldJson = False,
) -> None:
    """Find what is missing between a registry's database and its artifacts, after a restore above all."""
    as_json = old_json or output_format is PlainFormat.json
    with error_boundary(output_format="json" if as_json else "text"):
        from kdgov.auditing.registry.completeness import check_registry
        from kdgov.visible_text import visible

        found = check_registry(target_of(store, registry))
        if as_json:
            print_json(found)
        else:
            for row in found["missing"]:
                typer.echo(visible(f"{row['of']}: {row['what']}"))
            typer.echo(f"versions: {found['versions']}; missing: {len(found['missing'])}", err=True)
        if found["missing"]:
            raise typer.Exit(EXIT_BLOCKED)


@registry_app.command("protect", epilog=EXAMPLES)
def protect(
    database: Annotated[str, typer.Argument(help="PostgreSQL URI of the registry's owner.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the trigger out again.")] = False,
    free_alias: Annotated[list[str] | None, typer.Option(help="Alias anyone may set; repeatable.")] = None,
) -> None:
    """Install the PostgreSQL trigger that stops even an unguarded client from promoting."""
    with error_boundary():
        from kdgov.guard.trigger import protect_database

        protect_database(database, remove=remove, free_aliases=free_alias)
        typer.echo("the trigger is removed" if remove else "the trigger is installed: only the guarded registry can promote")


@registry_app.command("show", epilog=EXAMPLES)
def show_command(
    model: Annotated[str, typer.Argument(help="Registered model.")],
    version: Annotated[str, typer.Argument(help="Its version, or @alias.")],
    registry: Registry = None,
    store: StoreFolder = None,
    output_format: Format = PlainFormat.text,
    old_json: OldJson = False,
) -> None:
    """Show what a version was made from: teacher, data files, recipe, seed, and what only the teacher saw."""
    as_json = old_json or output_format is PlainFormat.json
    with error_boundary(output_format="json" if as_json else "text"):
        import tempfile

        from kdgov.evidence.bundle_reader import BundleReader
        from kdgov.recording.card.made_from import made_from
        from kdgov.recording.client.fetch_bundle import fetch_bundle
        from kdgov.report.escaping import plain

        with tempfile.TemporaryDirectory(prefix="kdgov-show-") as scratch:
            folder = fetch_bundle(model, version, target_of(store, registry), into=Path(scratch))
            found = made_from(BundleReader(folder=folder))
        if as_json:
            print_json(found.as_json())
            return
        for label, value in found.lines():
            typer.echo(f"{label:<26}{plain(value)}")


@registry_app.command("find-text", epilog=EXAMPLES)
def find_text_command(
    text: Annotated[str, typer.Argument(help="What the person wrote, or a part of it; `-` reads standard input.")],
    data: Annotated[list[Path] | None, typer.Option(help="File or folder with training data, found by digest; repeatable.")] = None,
    registry: Registry = None,
    store: StoreFolder = None,
    output_format: Format = PlainFormat.text,
    old_json: OldJson = False,
) -> None:
    """Name every recorded release whose evidence or training data holds a person's text: the answer to a deletion request."""
    as_json = old_json or output_format is PlainFormat.json
    with error_boundary(output_format="json" if as_json else "text"):
        import sys

        from kdgov.auditing.registry.find_text import find_text

        wanted = sys.stdin.read() if text == "-" else text
        found = find_text(wanted, target_of(store, registry), data=data or [Path("registry/datasets")])
        if as_json:
            print_json(found.as_json())
            return
        for place in found.places:
            typer.echo(f"{place.model} {place.version}: {place.where}{'' if place.readable else ' (digest only)'}")
        for line in found.not_at_hand:
            typer.echo(f"not available, so not searched: {line}", err=True)
        for line in found.unreadable:
            typer.echo(f"no readable evidence: {line}", err=True)
        typer.echo(f"{quantity(len(found.places), 'place')} in {quantity(found.versions, 'version')} searched", err=True)


def _line(row: VersionRow) -> str:
    from kdgov.report.escaping import plain

    aliases = " ".join(f"@{alias}" for alias in row.aliases)
    extra = f"waiver until {row.waiver_expires}" if row.waiver_expires else row.blocked_by
    # Anyone may name a model; no word of theirs moves the cursor or colours the screen.
    shown = f"{row.verdict:<13}{row.name} {row.version:<5} {aliases:<14} {row.policy:<24} {row.recorded:<11} {extra}".rstrip()
    return "".join(character if character == " " else plain(character) for character in shown)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    registry_rules.register(registry_app)
    app.add_typer(registry_app, name="registry")
