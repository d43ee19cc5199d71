"""``kdgov init``: a policy and the CI jobs that gate by it; from a teacher, data and items, a whole release."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdgov.cli.error_boundary import error_boundary

if TYPE_CHECKING:
    from kdgov.scaffold.ci_jobs import JobSettings
    from kdgov.scaffold.release_answers import ReleaseAnswers

EXAMPLES = """
[bold]Examples[/bold]

  kdgov init . --policy lm-eval --teacher out/teacher --student out/student            results at hand: policy and CI jobs

  kdgov init my-release --teacher ./teacher --data text.jsonl --items questions.jsonl     a release: distil and judge

  kdgov init my-release --teacher org/name@COMMIT --student ./student --items questions.csv     a student trained elsewhere

  kdgov init my-release --teacher https://host/v1 --served-as big-2026-05-01 --terms MIT --student ./base --data prompts.jsonl
    --items questions.csv     a teacher that is only an address writes the examples that ./base learns from

  kdgov init my-release --teacher https://host/v1 --served-as big-2026-05-01 --student https://host/v1 --student-served-as small-2026-05-01
    --key-variable ACME_API_KEY --inputs log.jsonl     an API key and a file of inputs: both models are only addresses

  kdgov init                                    on a terminal: asks

Items: a question with an answer; choices and the right one; a prompt alone (or refuse: true) that must be refused.
"""
_RESULTS = {"teacher": "results/teacher", "student": "results/student"}


def init(
    folder: Annotated[Path, typer.Argument(help="Repository to write into.")] = Path(),
    policy: Annotated[
        str, typer.Option(help="Shipped policy to start from, where results are judged and no release is written.")
    ] = "default",
    teacher: Annotated[
        str,
        typer.Option(help="The teacher: model folder, org/name@COMMIT, address; or where its results will be.", show_default=False),
    ] = "",
    student: Annotated[
        str, typer.Option(help="A student trained elsewhere, likewise; or where its results will be in CI.", show_default=False)
    ] = "",
    served_as: Annotated[str, typer.Option(metavar="NAME", help="Model name to ask for, where the teacher is an address.")] = "",
    student_served_as: Annotated[
        str, typer.Option(metavar="NAME", help="Model name to ask for, where the student is an address; default the teacher's.")
    ] = "",
    key_variable: Annotated[
        str, typer.Option(metavar="VARIABLE", help="Environment variable that holds the addresses' API key; ends in _API_KEY or _TOKEN.")
    ] = "",
    terms: Annotated[str, typer.Option(metavar="LICENCE", help="Terms under which that address answers.")] = "",
    data: Annotated[
        list[str] | None, typer.Option(help="Text to distil on: files, owner/name@COMMIT of the Hub; several times.", show_default=False)
    ] = None,
    items: Annotated[list[Path] | None, typer.Option(help="Items to judge by: JSON lines, CSV, Parquet.", show_default=False)] = None,
    inputs: Annotated[
        list[str] | None, typer.Option(help="Logged inputs without answers: both models are asked them.", show_default=False)
    ] = None,
    input_field: Annotated[
        str, typer.Option(metavar="KEY", help="Key under which they stand; default `input`, `prompt`, `messages` … as the file has it.")
    ] = "",
    name: Annotated[str, typer.Option(help="Name of the released model; default the folder's.", show_default=False)] = "",
    organization: Annotated[str, typer.Option(help="Who releases.", show_default=False)] = "",
    distribution: Annotated[str, typer.Option(help="Who gets what: internal, hosted, weights or data.")] = "internal",
    ours: Annotated[
        list[str] | None, typer.Option(metavar="PART", help="teacher, student, data, items or inputs that are the organisation's own work.")
    ] = None,
    learned_from: Annotated[
        str, typer.Option(metavar="USE", help="What a student trained elsewhere learned from its teacher: logits, generated_text …")
    ] = "",
    install: Annotated[
        str, typer.Option(metavar="SPEC", help="What CI installs: a requirement, wheel file or address; default this version or later.")
    ] = "",
    index: Annotated[str, typer.Option(metavar="URL", help="Package index that CI installs from; default pip's own.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write a release with cards, suites and a policy, or a policy alone, and the CI jobs that block a student the gate refuses."""
    with error_boundary():
        from kdgov.scaffold.ci_jobs import JobSettings
        from kdgov.scaffold.hub_answers import parted
        from kdgov.scaffold.release_answers import ReleaseAnswers, looks_like_a_model

        texts, hub_texts = parted(data or (), option="--data")
        logs, hub_logs = parted(inputs or (), option="--inputs")
        answers = ReleaseAnswers(
            teacher=teacher, served_as=served_as, terms=terms, student=student, data=texts, hub_data=hub_texts, items=tuple(items or ()),
            inputs=logs, hub_inputs=hub_logs, input_field=input_field, student_served_as=student_served_as, key_variable=key_variable,
            organization=organization,
            distribution=distribution, name=name, learned_from=learned_from, ours=frozenset(ours or ()),
        )  # fmt: skip
        if not (teacher or student or data or items or inputs or force) and policy == "default" and sys.stdin.isatty():
            answers = _asked(answers)
        if answers.has_data or answers.items or answers.has_inputs or looks_like_a_model(answers.teacher):
            settings = JobSettings(policy="", **_RESULTS, install=install, index=index)
            _write_release(folder, answers, settings, force=force)
        else:
            places = {"teacher": answers.teacher or _RESULTS["teacher"], "student": answers.student or _RESULTS["student"]}
            _write_gate(folder, JobSettings(policy=policy, **places, install=install, index=index), force=force)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLES)(init)


def _write_gate(folder: Path, settings: JobSettings, *, force: bool) -> None:
    from kdgov.scaffold.repository import gate_files

    _write(folder, gate_files(folder, settings), force=force)


def _write_release(folder: Path, answers: ReleaseAnswers, settings: JobSettings, *, force: bool) -> None:
    from kdgov.pipeline.context import default_store
    from kdgov.scaffold.release_files import release_scaffold

    made = release_scaffold(folder, answers, settings)
    _write(folder, made.files, force=force)
    if made.tasks:
        typer.echo("\nItems were read as:", err=True)
    for task in made.tasks:
        typer.echo(f"  {task}", err=True)
    typer.echo("\nOnly you can say:", err=True)
    for question in made.open_questions:
        typer.echo(f"  {question}", err=True)
    suites = " ".join(f"--suite {folder / 'suites' / name}" for name in made.suites)
    if suites:
        _say_how_ci_is_fed(suites)
    typer.echo(f"\nThen: kdgov check {folder / 'release.yaml'}; kdgov run {folder / 'release.yaml'}", err=True)
    typer.echo(
        "\nThe registry lets policies that come with kdgov count; your own counts once you have signed that it does:",
        err=True,
    )
    command = f"kdgov registry policy allow {folder / 'policies' / 'own.yaml'} --models {made.name}"
    typer.echo(f"  {command} --store {default_store(folder / 'release.yaml')}", err=True)


def _say_how_ci_is_fed(suites: str) -> None:
    typer.echo("\nThe CI jobs judge what lies in results/; fill it, once for each model, with", err=True)
    typer.echo(f"  kdgov evaluate --model MODEL {suites} --out results/teacher (or results/student)", err=True)


def _write(folder: Path, files: dict[str, str], *, force: bool) -> None:
    from kdgov.cli.key_warning import warn_of_tracked_keys
    from kdgov.scaffold.repository import gitlab_hint, write_files

    for path in write_files(folder, files, force=force):
        typer.echo(str(path))
    if hint := gitlab_hint(folder):
        typer.echo(hint, err=True)
    warn_of_tracked_keys(folder)


def _asked(answers: ReleaseAnswers) -> ReleaseAnswers:
    """What a person answers; an empty answer leaves a question open."""
    from dataclasses import replace

    def ask(question: str) -> str:
        return str(typer.prompt(question, default="", show_default=False)).strip()

    teacher = ask("Teacher: model folder, org/name@commit, or folder of results (empty: a policy and CI jobs alone)")
    if not teacher:
        return answers
    student = ask("Student trained elsewhere, or its results (empty: distil one)")
    from kdgov.scaffold.hub_answers import parted

    data, hub_data = parted(ask("Text to distil on, files or owner/name@commit (empty: none)").split(), option="data")
    items = tuple(Path(word) for word in ask("Items to judge by, files (empty: results are at hand)").split())
    organization = ask("Organisation that releases")
    ours = frozenset(ask("Which of teacher, student, data, items are its own work").replace(",", " ").split())
    return replace(
        answers, teacher=teacher, student=student, data=data, hub_data=hub_data, items=items, organization=organization, ours=ours
    )
