"""``kdgov gate``: one decision, from item tables, a release or the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand

from kdgov.cli.error_boundary import error_boundary, write_answer
from kdgov.cli.evaluation_flags import SET_HELP, changed_settings
from kdgov.errors import EXIT_BLOCKED, InputError

if TYPE_CHECKING:
    from kdgov.decision.decision import Decision
    from kdgov.evidence.gate_inputs import GateInputs
    from kdgov.progress import Progress

EXAMPLES = """
[bold]Examples[/bold]

  kdgov gate --teacher teacher.parquet --student student.parquet --policy policies/default.yaml

  kdgov gate --teacher out/teacher --student out/student --policy lm-eval        folders of lm_eval --log_samples

  kdgov gate --teacher out/t/samples_*.jsonl --student out/s/samples_*.jsonl --policy lm-eval --format junit --out gate.xml

  kdgov gate --teacher out/t --student out/s --policy branch.yaml --base-policy main.yaml --out decision.json --out gate.sarif

  kdgov gate --teacher t1.jsonl --student s1.jsonl --more t2.jsonl s2.jsonl --policy own.yaml    a second batch after "inconclusive"

  kdgov gate release.yaml                      a release's results, sealed with its evidence

  kdgov gate support-student 3                 judge again what the registry holds

Exit code 0: pass. 1: blocked (fail, inconclusive or invalid). 2: invalid input. 3: a problem of the environment.
"""
_MODEL_AND_VERSION = 2
_MANY = ("--teacher", "--student", "--more", "--control", "--root-teacher", "--waiver", "--approval")


def _known_format(name: str) -> str:
    from kdgov.report.formats import FORMATS

    if name not in FORMATS:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(map(repr, FORMATS))}.")
    return name


class GlobFriendly(TyperCommand):
    """Lets one option take all the files an unquoted glob expands to."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """``--teacher a b c`` → ``--teacher a --teacher b --teacher c``."""
        spread: list[str] = []
        option, taken = "", 0
        for word in args:
            if word.startswith("-") and word != "-":
                option, taken = (word if word in _MANY else ""), 0
            elif option:
                if taken:
                    spread.append(option)
                taken += 1
            spread.append(word)
        parsed: list[str] = super().parse_args(ctx, spread)
        return parsed


def gate(
    subject: Annotated[list[str] | None, typer.Argument(help="RELEASE file, or MODEL VERSION in the registry.", show_default=False)] = None,
    teacher: Annotated[list[str] | None, typer.Option(help="Item table, lm_eval folder or files.", show_default=False)] = None,
    student: Annotated[list[str] | None, typer.Option(help="As --teacher, for the student.", show_default=False)] = None,
    policy: Annotated[str | None, typer.Option(help="Policy file, or the name of a shipped one.", show_default=False)] = None,
    control: Annotated[
        list[str] | None, typer.Option(help="Results of an untrained model (the no-skill control).", show_default=False)
    ] = None,
    root_teacher: Annotated[list[str] | None, typer.Option(help="Results of the first teacher of a chain.", show_default=False)] = None,
    more: Annotated[
        list[str] | None,
        typer.Option(help="Further batches in order: TEACHER STUDENT each, or a folder with both.", show_default=False),
    ] = None,
    waiver: Annotated[list[Path] | None, typer.Option(help="Signed waivers (kdgov waive), or their folder.", show_default=False)] = None,
    approval: Annotated[list[Path] | None, typer.Option(help="Signed approvals, or their folder.", show_default=False)] = None,
    base_policy: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="The agreed policy, such as the base branch's: a looser --policy is refused as invalid.",
            show_default=False,
        ),
    ] = None,
    trust: Annotated[Path | None, typer.Option(help="Keys trusted for waivers and approvals.", show_default=False)] = None,
    looks: Annotated[
        int, typer.Option(min=1, help="How many students were judged on these items, this one included; counted by itself for a release.")
    ] = 1,
    flips: Annotated[Path | None, typer.Option(help="Write the items the student lost to this Markdown file.", show_default=False)] = None,
    items: Annotated[
        Path | None, typer.Option(help="Write the items lost and won to this HTML file, to be read and filtered.", show_default=False)
    ] = None,
    subjects: Annotated[
        Path | None,
        typer.Option(
            help="Write which of a metric's many tasks (subjects) lost, estimated together, to this Markdown file.", show_default=False
        ),
    ] = None,
    show_text: Annotated[bool, typer.Option(help="Show the texts of harmful items in --flips instead of masking them.")] = False,
    output_format: Annotated[
        str,
        typer.Option(
            "--format", callback=_known_format, metavar="FORMAT", help="How to print the decision: text, json, markdown, junit or sarif."
        ),
    ] = "text",
    out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[FORMAT=]FILE",
            help="Also write the decision to this file; several times for several formats, told by the ending or by FORMAT=.",
            show_default=False,
        ),
    ] = None,
    change: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=SET_HELP)] = None,
    store: Annotated[Path | None, typer.Option(help="Store folder, for a release.", show_default=False)] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print every warning instead of one line per kind.")] = False,
) -> None:
    """Decide whether a student may be promoted: each criterion must be proven, and only a pass promotes."""
    with error_boundary(output_format=output_format):
        from kdgov.cli.progress_display import progress_bars
        from kdgov.report.formats import output_files

        written = output_files(out or (), output_format)
        statements = (*(waiver or ()), *(approval or ()))
        with progress_bars() as progress:
            if subject:
                named = [teacher, student, policy, control, root_teacher, more, looks > 1]
                decision, judged = _judge_subject(subject, named, statements, trust, store, progress, changed_settings(change, {}))
                if base_policy is not None:
                    decision, judged = _held_against(base_policy, decision, judged)
            elif change:
                raise InputError("--set has no effect on results that are given", mend="Leave it out, or name a release.")
            else:
                tables = Given(teacher, student, policy, control, root_teacher, looks, base_policy, more)
                decision, judged = _judge_tables(tables, statements, trust, store, progress)
        if flips is not None:
            _write_flips(flips, judged, show_text=show_text)
        if items is not None:
            _write_items(items, judged, decision)
        if subjects is not None:
            _write_subjects(subjects, judged)
        _print(decision, judged, output_format, written, verbose=verbose)
        if not decision.promotes:
            raise typer.Exit(EXIT_BLOCKED)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(cls=GlobFriendly, epilog=EXAMPLES)(gate)


class Given(NamedTuple):
    """Tables and policy as named on the command line."""

    teacher: list[str] | None
    """--teacher"""
    student: list[str] | None
    """--student"""
    policy: str | None
    """--policy"""
    control: list[str] | None
    """--control"""
    root_teacher: list[str] | None
    """--root-teacher"""
    looks: int
    """--looks"""
    base_policy: str | None
    """--base-policy"""
    more: list[str] | None
    """--more"""


def _judge_tables(
    given: Given, statements: tuple[Path, ...], trust: Path | None, store: Path | None, progress: Progress
) -> tuple[Decision, GateInputs]:
    from kdgov.pipeline.inputs.judge_paths import judge_paths

    decision, judged = judge_paths(
        teacher=given.teacher or (),
        student=given.student or (),
        policy=given.policy,
        control=given.control or (),
        root_teacher=given.root_teacher or (),
        looks=given.looks,
        base_policy=given.base_policy,
        more=given.more or (),
        progress=progress,
    )
    if not statements:
        return decision, judged
    from kdgov.evidence.permission_files import named_statements, read_statements
    from kdgov.evidence.trust_store import load_trust, trust_path

    named = named_statements(statements, decision.digest)
    judged = replace(judged, statements=read_statements(named, trust=load_trust(trust or trust_path(store))))
    return (judged.decide() if named else decision), judged


def _held_against(base_policy: str, decision: Decision, judged: GateInputs) -> tuple[Decision, GateInputs]:
    """The decision as it stands, or judged again as invalid where its policy demands less than the base."""
    from kdgov.decision.base_policy import looser_policy
    from kdgov.declarations.policy_file import load_named_policy

    loosened = looser_policy(load_named_policy(base_policy), judged.policy)
    if not loosened:
        return decision, judged
    held = replace(judged, findings=(*judged.findings, *loosened))
    return held.decide(), held


def _judge_subject(
    subject: list[str],
    named: Sequence[object],
    statements: tuple[Path, ...],
    trust: Path | None,
    store: Path | None,
    progress: Progress,
    settings: Mapping[str, object],
) -> tuple[Decision, GateInputs]:
    if any(named):
        raise InputError(
            f"names both {' '.join(subject)!r} and tables or a policy",
            where="kdgov gate",
            mend="Give --teacher, --student and --policy, or a release, or a model and its version; not two of them.",
        )
    if len(subject) == 1:
        from kdgov.evidence.rejudge import rejudge
        from kdgov.evidence.trust_store import load_trust, trust_path
        from kdgov.pipeline.context import open_release
        from kdgov.pipeline.finished_work.step_results import GateResult
        from kdgov.pipeline.run import StepOptions, resolve

        context = open_release(Path(subject[0]), store=store, progress=progress, settings=settings)
        gated = resolve(context, until="gate", options=StepOptions(statements=statements, trust=trust)).of(GateResult)
        return rejudge(gated.folder, load_trust(trust or trust_path(context.store.root)))
    if len(subject) > _MODEL_AND_VERSION:
        raise InputError(f"names {len(subject)} things", where="kdgov gate", mend="Name one RELEASE file, or MODEL and VERSION.")
    if settings:
        raise InputError("--set has no effect on a recorded version", mend="Leave it out, or name a release.")
    from kdgov.recording.rejudge_recorded import judge_recorded

    return judge_recorded(subject[0], subject[1], trust=trust, store=store)


def _print(decision: Decision, judged: GateInputs, output_format: str, out: Mapping[Path, str], *, verbose: bool) -> None:
    import sys

    from kdgov.cli.standard_output import columns, wants_colour
    from kdgov.report.formats import FORMATS
    from kdgov.report.text import as_text

    written = FORMATS[output_format](decision, judged.policy)
    for path, named in out.items():
        write_answer(path, FORMATS[named](decision, judged.policy))
    if output_format == "text":
        written = as_text(decision, colour=wants_colour(), width=columns(), verbose=verbose)
    sys.stdout.write(written)


def _write_flips(path: Path, judged: GateInputs, *, show_text: bool) -> None:
    from kdgov.report.flips import flip_report

    tables = judged.tables
    write_answer(path, flip_report(tables.teacher, tables.student, metrics=tables.metrics, mask=not show_text))


def _write_items(path: Path, judged: GateInputs, decision: Decision) -> None:
    from kdgov.report.item_browser.item_file import item_file

    write_answer(path, item_file(judged.tables, decision))


def _write_subjects(path: Path, judged: GateInputs) -> None:
    from kdgov.report.subjects import subject_report

    tables = judged.tables
    write_answer(path, subject_report(tables.teacher, tables.student, judged.policy, metrics=tables.metrics, seen=judged.seen_items))
