"""Judging results at hand: item tables and folders of lm_eval; light enough for a commit hook."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdgov.decision.criteria.comparison_cells import Tables
from kdgov.decision.decision import Decision
from kdgov.decision.judgement import judge
from kdgov.decision.policy import Policy
from kdgov.declarations.content_times import written_at
from kdgov.declarations.load import read_together
from kdgov.declarations.policy_file import load_named_policy
from kdgov.errors import InputError
from kdgov.evidence.gate_inputs import GateInputs, Statements
from kdgov.finding import Finding
from kdgov.items import ItemTable, read_declarations, read_items
from kdgov.progress import Progress
from kdgov.report.notebook import NotebookDecision, shown
from kdgov.resources import data_folder

_SLOW_ROWS = 1_000_000
"""Tables of this size take long enough to deserve a progress bar."""


def gate(
    teacher: ItemTable | str | Path,
    student: ItemTable | str | Path,
    policy: Policy | str | Path,
    **further: Any,
) -> NotebookDecision:
    """The decision on two item tables, which a notebook shows as a table; what ``kdgov.gate(…)`` calls.

    Args:
        teacher: item table, file or lm_eval folder.
        student: likewise.
        policy: policy, file or name of a shipped one.
        further: what `kdgov.decision.judge` takes beyond: ``metrics``, ``findings``, ``control`` …
    """
    metrics = further.pop("metrics", None)
    if metrics is None and not isinstance(teacher, ItemTable):
        metrics = read_declarations(teacher)
    first, second = (table if isinstance(table, ItemTable) else read_items(table) for table in (teacher, student))
    used = policy if isinstance(policy, Policy) else load_named_policy(str(policy))
    return shown(judge(first, second, used, metrics=metrics or (), **further))


def judge_paths(
    *,
    teacher: Sequence[str],
    student: Sequence[str],
    policy: str | None,
    control: Sequence[str] = (),
    root_teacher: Sequence[str] = (),
    statements: Statements | None = None,
    looks: int = 1,
    progress: Progress | None = None,
) -> tuple[Decision, GateInputs]:
    """The decision on results that lie in files, and what it was made from.

    Args:
        teacher: item table files, globs, or an lm_eval folder.
        student: likewise.
        policy: policy file, or name of a shipped one.
        control: results of a model that knows nothing.
        root_teacher: results of the first teacher of the chain.
        statements: verified waivers and approvals.
        looks: students judged on these items so far, this one included; files cannot tell.
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
            "teacher": lambda: read_items(*teacher),
            "student": lambda: read_items(*student),
            "control": lambda: read_items(*control) if control else None,
            "root_teacher": lambda: read_items(*root_teacher) if root_teacher else None,
            "metrics": lambda: read_declarations(*teacher),
        }
    )
    used: Policy = read.pop("policy")
    path, tables = Path(used.source), Tables(**read)
    judged = GateInputs(
        policy=used,
        policy_text=path.read_bytes(),
        tables=tables,
        findings=_newer_policy(path, (*teacher, *student)),
        statements=statements or Statements(),
        looks=looks,
    )
    return judged.decide(progress if len(tables.teacher) >= _SLOW_ROWS else None), judged


def _newer_policy(policy: Path, results: Sequence[str]) -> tuple[Finding, ...]:
    if policy.resolve().is_relative_to(data_folder("policies").resolve()):
        return ()
    folders = [[p for p in Path(name).rglob("*") if p.is_file()] if Path(name).is_dir() else [Path(name)] for name in results]
    files = [file for folder in folders for file in folder if file.is_file()]
    sides = written_at([policy]), written_at(files)
    if not files or sides[0] is None or sides[1] is None or sides[0] <= sides[1]:
        return ()
    return (late_policy("The policy was changed after the results it judges were written."),)


def late_policy(reason: str) -> Finding:
    """The finding that names a policy younger than the results it judges."""
    return Finding(
        check="evidence",
        verdict="warn",
        subject="policy",
        reason=reason,
        mend="Set margins before looking at results; `findings: {evidence.policy-newer: block}` makes this stop.",
        rule="evidence.policy-newer",
        source="FDA 2016, Non-Inferiority Clinical Trials: the margin is fixed before the trial",
    )
