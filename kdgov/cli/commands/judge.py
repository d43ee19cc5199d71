"""``kdgov judge``: what people say of the answers a judge labelled."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdgov.cli.error_boundary import error_boundary, print_json
from kdgov.errors import InputError
from kdgov.quantities import percent, quantity
from kdgov.visible_text import visible

if TYPE_CHECKING:
    from kdgov.items import ItemTable, MetricKey

judge_app = typer.Typer(help="Check a judge against people: draw answers to label, and say how often both agree.", no_args_is_help=True)

EXAMPLES = """
[bold]Examples[/bold]

  kdgov judge label release.yaml --items 100 --out labels.csv     a sample of both models' answers; asks on a terminal

  kdgov judge label out/ --out labels.csv            a folder with teacher/ and student/, written by `kdgov evaluate --out`

  kdgov judge agreement labels.csv out/              how often judge and people agree, on each model

  kdgov judge apply labels.csv teacher.parquet --out teacher.gold.parquet        for tables of another tool: adds the column `gold`

A release that names the file (`judge_labels: [labels.csv]`) is scored again, and the gate corrects the judge's error by it.
"""

SKIP, QUIT = "", "quit"


class JudgeFormat(StrEnum):
    """How the answer is printed."""

    text = "text"
    json = "json"


FormatOption = Annotated[JudgeFormat, typer.Option("--format", help="text for people, json for programs.")]
Results = Annotated[list[Path], typer.Argument(help="A release, a folder with teacher/ and student/, or the two models' results.")]


@judge_app.command("label", epilog=EXAMPLES)
def label(
    results: Results,
    out: Annotated[Path, typer.Option(help="CSV file to fill in; labels that are there already are kept.")],
    items: Annotated[int, typer.Option(min=1, help="Items per task; both models' answers to each are labelled.")] = 100,
    task: Annotated[str, typer.Option(help="Only tasks whose name matches.")] = "*",
    metric: Annotated[str, typer.Option(help="Only metrics whose name matches; for tables that name no judge.")] = "*",
    seed: Annotated[int, typer.Option(help="Changes which items are drawn.")] = 0,
    by: Annotated[str, typer.Option(help="Who labels, for the file.")] = "",
    ask: Annotated[
        bool | None, typer.Option("--ask/--no-ask", help="Ask here, answer by answer; default where this is a terminal.")
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Store folder, with a release.")] = None,
    output_format: FormatOption = JudgeFormat.text,
) -> None:
    """Draw answers of both models for people to label, and take the labels here or in the file."""
    with error_boundary(output_format=output_format):
        from kdgov.evaluation.scoring.judge_labels import Choice, read_labels, sample_to_label, write_label_file

        known = read_labels([out]).of if out.exists() else {}
        tables = _tables(results, store)
        rows = sample_to_label(
            list(tables.values()), _judged(tables), Choice(items=items, task=task, metric=metric, seed=seed), known=known
        )
        write_label_file(rows, out)
        if sys.stdin.isatty() if ask is None else ask:
            _ask(rows, out, by, write_label_file)
        _say(rows, out, output_format)


@judge_app.command("agreement", epilog=EXAMPLES)
def agreement(
    labels: Annotated[Path, typer.Argument(help="File of labels.")],
    results: Results,
    store: Annotated[Path | None, typer.Option(help="Store folder, with a release.")] = None,
    output_format: FormatOption = JudgeFormat.text,
) -> None:
    """Say how often judge and people agree, per model and metric."""
    with error_boundary(output_format=output_format):
        from kdgov.evaluation.scoring.judge_agreement import agreement_facts
        from kdgov.evaluation.scoring.judge_labels import read_labels, with_gold

        people, found = read_labels([labels]), []
        for role, table in _tables(results, store).items():
            gold, _ = with_gold(table, people)
            pairs = _pairs(gold)
            found += [{"model": role, "metric": str(key), **agreement_facts(some)} for key, some in pairs.items()]
        if not found:
            raise InputError(
                "holds no label of these answers", where=str(labels), mend="Fill in the column `label`; answers may have changed."
            )
        if output_format is JudgeFormat.json:
            print_json(found)
            return
        for one in found:
            span = f"{percent(one['low'])} to {percent(one['high'])}"
            one_label = "no kappa: people gave every answer the same label, and a judge that always says so would agree"
            beyond = one_label if one["kappa"] is None else f"kappa {one['kappa']:.2f}"
            typer.echo(f"{one['model']:<8} {one['metric']}: {percent(one['agreement'])} of {one['n']} ({span}), {beyond}")


@judge_app.command("apply", epilog=EXAMPLES)
def apply(
    labels: Annotated[Path, typer.Argument(help="File of labels.")],
    table: Annotated[Path, typer.Argument(help="One model's results: an item table, or a folder of another tool.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    counts: Annotated[str, typer.Option(help="Label that counts as 1, where the table's column `label` does not say.")] = "",
) -> None:
    """Write an item table with people's labels as the column `gold`, which `kdgov gate` corrects by."""
    with error_boundary():
        from kdgov.evaluation.scoring.judge_labels import read_labels, with_gold
        from kdgov.items.files import read_items, write_items

        rows = read_items(table)
        gold, marked = with_gold(rows, read_labels([labels]), counted=dict.fromkeys(rows.partitions, counts) if counts else None)
        if not marked:
            raise InputError("holds no label of these answers", where=str(labels), mend="Draw them from this table: `kdgov judge label`.")
        write_items(gold, out)
        typer.echo(f"{quantity(marked, 'item')} with gold: {out}")


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(judge_app, name="judge")


def _tables(results: list[Path], store: Path | None) -> dict[str, ItemTable]:
    from kdgov.items.files import read_items

    if len(results) == 1 and results[0].suffix in (".yaml", ".yml"):
        results = [_evaluated(results[0], store)]
    if len(results) == 1:
        folder = results[0]
        results = [folder / role for role in ("teacher", "student")]
        if not all(one.is_dir() for one in results):
            raise InputError("holds no teacher/ and student/", where=str(folder), mend="Name both models' results, or a release.")
    if len(results) != 2:
        raise InputError("needs the results of two models", mend="Name a release, one folder with both, or the two.")
    return {role: read_items(path) for role, path in zip(("teacher", "student"), results, strict=True)}


def _evaluated(release: Path, store: Path | None) -> Path:
    from kdgov.cli.progress_display import progress_bars
    from kdgov.pipeline.context import open_release
    from kdgov.pipeline.finished_work.step_results import EvaluateResult
    from kdgov.pipeline.run import resolve

    with progress_bars() as progress:
        return resolve(open_release(release, store=store, progress=progress), until="evaluate").of(EvaluateResult).folder


def _judged(tables: dict[str, ItemTable]) -> list[MetricKey]:
    """Metrics that a judge scored, as the evidence beside the tables says; empty where nothing says it."""
    from kdgov.items import MetricKey
    from kdgov.items.files import read_declarations

    sources = [Path(table.source) for table in tables.values() if table.source]
    told = [d for path in sources if path.exists() for d in read_declarations(path.parent if path.is_file() else path)]
    return [MetricKey(d.suite, d.task, d.metric) for d in told if d.judge]


def _pairs(table: ItemTable) -> dict[Any, list[tuple[str, str]]]:
    pairs: dict[Any, list[tuple[str, str]]] = {}
    for row in table.to_rows():
        if row.get("gold") is not None and row["gold"] == row["gold"]:
            key = f"{row['suite']}/{row['task']}/{row['metric']}"
            pairs.setdefault(key, []).append((f"{row['gold']:g}", f"{row['score']:g}"))
    return pairs


def _ask(rows: list[dict[str, str]], out: Path, by: str, write: Any) -> None:
    choices = sorted({"refused", "partial", "answered"} | {row["label"] for row in rows if row["label"]})
    typer.echo(f"One label per answer ({', '.join(choices)}, or a word of your own); Enter skips, `{QUIT}` stops.", err=True)
    still_open = [row for row in rows if not row["label"]]
    for number, row in enumerate(still_open, start=1):
        shown = {name: visible(row[name]) for name in ("task", "question", "answer")}
        typer.echo(
            f"\n[{number} of {len(still_open)}] {shown['task']}\n  asked:    {shown['question']}\n  answered: {shown['answer']}", err=True
        )
        said = _said(choices)
        if said == QUIT:
            break
        row["label"], row["labelled_by"] = said, by if said else ""
        # At once: what was said is never lost to an interruption.
        write(rows, out)


def _said(choices: list[str]) -> str:
    """What one answer was labelled; a beginning stands for its word, and what looks like a slip is asked again."""
    from kdgov.evaluation.scoring.judge_labels import meant_label

    while True:
        said: str = typer.prompt("label", default=SKIP, show_default=False, err=True).strip().lower()
        full = [choice for choice in (*choices, QUIT) if said and choice.startswith(said)]
        if len(full) == 1 or said == SKIP:
            return full[0] if full else SKIP
        if len(said) > 2 and meant_label(said) is None:
            return said
        typer.echo(f"{said!r} is no label: write one of {', '.join(choices)}, or a word of your own of three letters or more.", err=True)


def _say(rows: list[dict[str, str]], out: Path, output_format: JudgeFormat) -> None:
    done = sum(bool(row["label"]) for row in rows)
    if output_format is JudgeFormat.json:
        print_json({"file": str(out), "answers": len(rows), "labelled": done})
        return
    typer.echo(f"{quantity(len(rows), 'answer')} to label, {done} labelled: {out}")
    if done < len(rows):
        typer.echo("Fill in the column `label` and run this again, or name the file in the release: `judge_labels: [labels.csv]`.")
