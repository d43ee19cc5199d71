"""``kdgov card``: cards made, checked, imported and exported."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kdgov.cli.error_boundary import error_boundary, print_json, write_answer
from kdgov.declarations.suite_parts.media_folders import holds_media
from kdgov.errors import DeclarationError, InputError

app = typer.Typer(help="Cards: what is known of one model or one dataset.", no_args_is_help=True)

NEW_EXAMPLES = """
[bold]Examples[/bold]

  kdgov card new ../models/teacher --out registry/models/teacher.yaml          identity from the weights

  kdgov card new data/*.jsonl --name support --out registry/datasets/support.yaml   each file pinned and counted

  kdgov card new --from README.md                a Hub model or dataset card

  kdgov card new --from croissant.json           a Croissant record
"""
CHECK_EXAMPLES = """
[bold]Examples[/bold]

  kdgov card check registry/datasets/*.yaml      schema, digests, row counts, columns, lineage

Exit code 0: all in order; 2: a card or a file it names is invalid; every error is reported with key and fix.
"""
EXPORT_EXAMPLES = """
[bold]Examples[/bold]

  kdgov card export registry/datasets/support.yaml --out croissant.json

  kdgov card export registry/models/teacher.yaml --to huggingface --readme README.md --out README.md
"""

DISCLOSE_EXAMPLES = """
[bold]Examples[/bold]

  kdgov card disclose registry/models/student.yaml registry/datasets/*.yaml --law ab-2013 --out training-data.md

  kdgov card disclose registry/models/student.yaml registry/datasets/*.yaml --law article-53

What no card states is listed last with the key to write; nothing is guessed. It is a draft and no legal advice.
"""


class CardFormat(StrEnum):
    """How the outcome is printed."""

    text = "text"
    json = "json"


@app.command(epilog=NEW_EXAMPLES)
def new(
    about: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATHS]...", help="A model folder or GGUF file, data files, or owner/name@COMMIT of the Hub's data sets."),
    ] = None,
    source: Annotated[Path | None, typer.Option("--from", help="Hub card (README.md) or Croissant file (.json) to import.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the dataset; default that of its first file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Card to write; default standard output.")] = None,
) -> None:
    """Write a card from what lies on disk; what nobody can read off the files is left for you to say."""
    with error_boundary():
        from kdgov.checks.cards.draft_card import card_yaml, imported_card, new_dataset_card, new_model_card
        from kdgov.scaffold.hub_answers import hub_card_to_complete, parted

        paths, sets = parted(about or (), option="kdgov card new")
        if source is not None:
            card = imported_card(source)
        elif sets:
            if paths or len(sets) > 1:
                raise InputError("names a data set of the Hub and more", where="kdgov card new", mend="Write one card for each.")
            card = hub_card_to_complete(sets[0], option="kdgov card new")
        elif not paths:
            raise InputError("no model folder, data file or `--from` is named", mend="Name what the card is about.")
        elif (paths[0].is_dir() and not holds_media(paths[0])) or paths[0].suffix == ".gguf":
            card = new_model_card(paths[0] if paths[0].is_dir() else paths[0].parent, beside=out.parent if out is not None else Path())
        else:
            card = new_dataset_card(paths, beside=out.parent if out is not None else Path(), name=name)
        text = card_yaml(card)
        if out is None:
            typer.echo(text, nl=False)
        elif out.exists():
            raise InputError("exists already", where=str(out), mend="Choose another `--out`, or remove it first.")
        else:
            write_answer(out, text)


@app.command(epilog=CHECK_EXAMPLES)
def check(
    cards: Annotated[list[Path], typer.Argument(help="Card files.")],
    output_format: Annotated[CardFormat, typer.Option("--format", help="text for people, json for programs.")] = CardFormat.text,
) -> None:
    """Check cards against their schema, the files they name and the columns they declare."""
    with error_boundary(output_format=output_format):
        from kdgov.checks.cards.draft_card import card_faults
        from kdgov.declarations.cards import DatasetCard, load_card

        faults = []
        for path in cards:
            try:
                faults += card_faults(path)
                card = load_card(path)
            except DeclarationError as error:
                faults += error.faults
                continue
            if isinstance(card, DatasetCard) and card.columns:
                from kdgov.checks.cards.card_columns import table_faults

                faults += table_faults(path, card)
        if faults:
            raise DeclarationError(faults)
        if output_format is CardFormat.json:
            print_json({"cards": [str(path) for path in cards], "faults": []})
        else:
            typer.echo(f"{len(cards)} card{'s' if len(cards) > 1 else ''} in order")


class ExportFormat(StrEnum):
    """What a card is exported as."""

    croissant = "croissant"
    huggingface = "huggingface"


@app.command(epilog=EXPORT_EXAMPLES)
def export(
    card: Annotated[Path, typer.Argument(help="Dataset card, or for the Hub any card.")],
    out: Annotated[Path | None, typer.Option(help="File to write; default standard output.")] = None,
    to: Annotated[ExportFormat, typer.Option("--to", help="croissant, or huggingface for a README.md.")] = ExportFormat.croissant,
    readme: Annotated[Path | None, typer.Option(help="For huggingface: an existing README.md whose body is kept as it stands.")] = None,
) -> None:
    """Write a dataset card as Croissant 1.0 JSON-LD, or any card as a Hugging Face README.md."""
    with error_boundary():
        if to is ExportFormat.huggingface:
            from kdgov.checks.cards.hub_export import hub_readme
            from kdgov.declarations.cards import load_card

            text = hub_readme(load_card(card), readme)
        else:
            from kdgov.checks.cards.draft_card import croissant_json
            from kdgov.declarations.cards import load_dataset_card

            if readme is not None:
                raise InputError("`--readme` has no effect on Croissant", mend="Add `--to huggingface`, or leave it out.")
            text = croissant_json(load_dataset_card(card))
        if out is None:
            typer.echo(text, nl=False)
        else:
            write_answer(out, text)


@app.command(epilog=DISCLOSE_EXAMPLES)
def disclose(
    cards: Annotated[list[Path], typer.Argument(help="The model's card, and the cards of all data it was trained on.")],
    law: Annotated[str, typer.Option(help="ab-2013 (California), or article-53 (EU AI Act).")],
    output_format: Annotated[CardFormat, typer.Option("--format", help="text for Markdown, json for programs.")] = CardFormat.text,
    out: Annotated[Path | None, typer.Option(help="File to write; default standard output.")] = None,
) -> None:
    """Draft the public summary of training data that a law asks for, from cards."""
    with error_boundary(output_format=output_format):
        import json

        from kdgov.checks.regulation.public_summary import public_summary, summary_markdown
        from kdgov.declarations.cards import load_card

        document = public_summary(law, [(str(path), load_card(path)) for path in cards]).as_json()
        is_json = output_format is CardFormat.json
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n" if is_json else summary_markdown(document)
        if out is None:
            typer.echo(text, nl=False)
        else:
            write_answer(out, text)
        if document["missing"]:
            typer.echo(f"{len(document['missing'])} facts are not stated by any card; they are listed last.", err=True)


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="card")
