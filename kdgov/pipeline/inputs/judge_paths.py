"""Judging results at hand: item tables, evaluated folders, results of other tools; light enough for a commit hook."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdgov.decision.base_policy import looser_policy
from kdgov.decision.criteria.comparison_cells import Tables
from kdgov.decision.decision import Decision
from kdgov.decision.judgement import judge
from kdgov.decision.policy import Policy
from kdgov.declarations.content_times import written_at
from kdgov.declarations.load import read_together
from kdgov.declarations.policy_file import load_named_policy
from kdgov.errors import InputError
from kdgov.evaluation.results.compare_results import Compared, compare_results
from kdgov.evaluation.results.further_batches import batch_pairs, first_batch, item_set, with_batches
from kdgov.evidence.gate_inputs import GateInputs, Statements
from kdgov.evidence.policy_history import AlphaLedger, late_policy
from kdgov.finding import Finding
from kdgov.items import ItemTable, read_items
from kdgov.items.results import ITEMS_FILE, Results, read_results
from kdgov.progress import Progress
from kdgov.report.notebook import NotebookDecision, shown
from kdgov.resources import data_folder

_SLOW_ROWS = 1_000_000
"""Tables of this size take long enough to deserve a progress bar."""


def gate(
    teacher: ItemTable | Results | str | Path,
    student: ItemTable | Results | str | Path,
    policy: Policy | str | Path,
    more: Sequence[tuple[ItemTable | Results | str | Path, ItemTable | Results | str | Path]] = (),
    **further: Any,
) -> NotebookDecision:
    """The decision on two models' results, which a notebook shows as a table; what ``kdgov.gate(…)`` calls.

    Args:
        teacher: item table, what `kdgov.items.results.read_results` gives, or a path.
        student: likewise.
        policy: policy, file or name of a shipped one.
        more: further batches in their order, the teacher's and the student's results each, for criteria that are `sequential`.
        further: what `kdgov.decision.judge` takes beyond: ``metrics``, ``findings``, ``control`` …
    """
    used = policy if isinstance(policy, Policy) else load_named_policy(str(policy))
    compared = compare_results(_results(teacher), _results(student), used)
    if more:
        compared = with_batches(compared, [(_results(one), _results(other)) for one, other in more], used)
    metrics = further.pop("metrics", None) or compared.metrics
    findings = (*further.pop("findings", ()), *compared.findings)
    further["looks"] = _counted(used, compared, further.get("looks", 1))
    return shown(judge(compared.teacher, compared.student, used, metrics=metrics, findings=findings, **further))


def _results(given: ItemTable | Results | str | Path) -> Results:
    if isinstance(given, Results):
        return given
    return Results(table=given) if isinstance(given, ItemTable) else read_results(given)


def judge_paths(
    *,
    teacher: Sequence[str],
    student: Sequence[str],
    policy: str | None,
    control: Sequence[str] = (),
    root_teacher: Sequence[str] = (),
    statements: Statements | None = None,
    looks: int = 1,
    base_policy: str | None = None,
    more: Sequence[str] = (),
    progress: Progress | None = None,
) -> tuple[Decision, GateInputs]:
    """The decision on results that lie in files, and what it was made from.

    Args:
        teacher: item table files, globs, a folder of `kdgov evaluate --out`, or results of another tool.
        student: likewise.
        policy: policy file, or name of a shipped one.
        control: results of a model that knows nothing.
        root_teacher: results of the first teacher of the chain.
        statements: verified waivers and approvals.
        looks: students judged on these items so far, this one included; files cannot tell.
        base_policy: policy that the judging one may not be looser than; file, or name of a shipped one.
        more: further batches of both models' results in their order, see `further_batches.batch_pairs`.
        progress: called with (label, done, total).

    Raises:
        InputError: if something is not named, or a file is at fault.
    """
    named = {"teacher": teacher, "student": student, "policy": policy}
    if absent := [f"--{name}" for name, value in named.items() if not value]:
        raise InputError(f"lacks {' and '.join(absent)}", where="kdgov gate", mend="Name --teacher, --student and --policy.")
    read = read_together(
        {
            "policy": lambda: load_named_policy(str(policy)),
            "base_policy": lambda: load_named_policy(base_policy) if base_policy else None,
            "teacher": lambda: read_results(*_of_role(teacher, "teacher")),
            "student": lambda: read_results(*_of_role(student, "student")),
            "control": lambda: read_items(*control) if control else None,
            "root_teacher": lambda: read_items(*root_teacher) if root_teacher else None,
        }
    )
    used: Policy = read.pop("policy")
    base: Policy | None = read.pop("base_policy")
    compared = compare_results(read.pop("teacher"), read.pop("student"), used)
    if more:
        compared = with_batches(compared, [(read_results(one), read_results(other)) for one, other in batch_pairs(more)], used)
    path = Path(used.source)
    tables = Tables(teacher=compared.teacher, student=compared.student, metrics=compared.metrics, **read)
    judged = GateInputs(
        policy=used,
        policy_text=path.read_bytes(),
        tables=tables,
        findings=(*compared.findings, *(looser_policy(base, used) if base else ()), *_newer_policy(path, (*teacher, *student, *more))),
        statements=statements or Statements(),
        looks=_counted(used, compared, looks),
    )
    return judged.decide(progress if len(tables.teacher) >= _SLOW_ROWS else None), judged


def _counted(policy: Policy, compared: Compared, looks: int) -> int:
    """Which student on its items this is, as the policy's ledger tells, once it stands there; as the caller says without one."""
    if policy.spend is None or policy.ledger is None:
        return looks
    items, student = first_batch(compared.teacher), first_batch(compared.student)
    ledger = AlphaLedger(path=Path(policy.source).parent / policy.ledger, items=item_set(items))
    look = ledger.look(student.content_digest, policy)
    ledger.write(student.content_digest, policy)
    return max(look, looks)


def _of_role(named: Sequence[str], role: str) -> Sequence[str]:
    """The role's own part of a folder that holds both models' results, as the evaluation of a release leaves it."""
    part = Path(named[0]) / role
    return [str(part)] if len(named) == 1 and (part / ITEMS_FILE).is_file() else named


def _newer_policy(policy: Path, results: Sequence[str]) -> tuple[Finding, ...]:
    if policy.resolve().is_relative_to(data_folder("policies").resolve()):
        return ()
    folders = [[p for p in Path(name).rglob("*") if p.is_file()] if Path(name).is_dir() else [Path(name)] for name in results]
    files = [file for folder in folders for file in folder if file.is_file()]
    sides = written_at([policy]), written_at(files)
    if not files or sides[0] is None or sides[1] is None or sides[0] <= sides[1]:
        return ()
    return (late_policy("The policy was changed after the results it judges were written."),)
