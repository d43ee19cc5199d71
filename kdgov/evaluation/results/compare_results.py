"""Two models' results, whatever door they came through, brought into the one form that is judged: tables, directions, findings.

What a release's evaluation is checked for is checked wherever both sides carry evidence; what the files at hand cannot tell is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kdgov.decision.policy import Policy
from kdgov.errors import InputError
from kdgov.evaluation.results.comparability import compare_evidence
from kdgov.evidence.bundle_layout import EVALUATION_SIGNATURE
from kdgov.finding import Finding
from kdgov.items import ItemTable, MetricDeclaration
from kdgov.items.assumed_ranges import assumed_ranges
from kdgov.items.metric import declaration_for, other_groups
from kdgov.items.reader import evidence_finding
from kdgov.items.results import Results
from kdgov.items.table import MetricKey

CHAT_TEMPLATE = "chat_template"
"""Name under ``allowed_differences`` of two chat templates over equal documents."""
_DOCUMENTS = ": documents"
_OWN = frozenset({"item_table"})
_NAMED = 3
_MANY = 50
"""Rows from which two models do not agree in each by chance, whatever the score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What is judged."""

    teacher: ItemTable
    """The teacher's scores."""
    student: ItemTable
    """The student's scores."""
    metrics: tuple[MetricDeclaration, ...]
    """Which way each metric is better."""
    findings: tuple[Finding, ...]
    """What differs, what contradicts itself, what is not judged and what is not checked."""


def compare_results(teacher: Results, student: Results, policy: Policy) -> Compared:
    """Both sides as the gate takes them.

    Args:
        teacher: the teacher's results.
        student: the student's.
        policy: the differences it allows by name, and its directions of metrics that the files do not declare.

    Raises:
        InputError: if both are the same files, or an evidence document is not one.
    """
    _refuse_one_folder_twice(teacher, student)
    tasks = _templated(teacher, student)
    findings = [
        *_own(teacher, student),
        *_evidence(teacher, student),
        *_asked(teacher, student),
        *_polarity(teacher, student),
        *_groups(teacher, student),
        *_groups_of_numbers(teacher, policy),
    ]
    first, second = teacher.table, student.table
    if tasks:
        findings.append(_two_templates(tasks))
        if CHAT_TEMPLATE in policy.allowed_differences:
            first, second = _without_prompts(first, tasks), _without_prompts(second, tasks)
    # What one side's files leave unsaid, such as a folder without the tool's summary, the other side's may say.
    metrics = (*teacher.metrics, *(declared for declared in student.metrics if declared not in teacher.metrics))
    assumed = _assumed(teacher, student, metrics, policy)
    findings += _same_scores(teacher, student)
    findings.append(_not_checked(teacher, student, assumed))
    return Compared(teacher=first, student=second, metrics=(*assumed, *metrics), findings=tuple(findings))


def _refuse_one_folder_twice(teacher: Results, student: Results) -> None:
    if not teacher.folder or teacher.folder != student.folder:
        return
    scores = teacher.table.scores
    if not np.any(scores > 0):
        # Nobody scored: judged, and inconclusive, whoever the student is; no such result can pass.
        return
    what = "is named as teacher and as student: a model compared with itself shows nothing"
    raise InputError(what, where=teacher.folder, mend="Name the results of two models.")


def _same_scores(teacher: Results, student: Results) -> list[Finding]:
    """Two bare files without one difference: perhaps one model's results under two names, which no file of results can rule out."""
    if teacher.evidence is not None and student.evidence is not None:
        return []
    ours, theirs = teacher.table.data, student.table.data
    if len(ours) < _MANY or not ours.equals(theirs):
        return []
    reason = f"Teacher and student agree in every one of {len(ours)} rows: one model's results under two names look the same."
    return [evidence_finding("same-results", "files of results", reason, "Make sure that each file holds its own model's results.")]


def _own(teacher: Results, student: Results) -> list[Finding]:
    """Each side's own findings; what both say is said once."""
    both = [f for f in teacher.findings if f in student.findings]
    found = list(both)
    for role, results in (("teacher", teacher), ("student", student)):
        found += [replace(f, subject=f"{role} {f.subject}") for f in results.findings if f not in both]
    return found


def _evidence(teacher: Results, student: Results) -> list[Finding]:
    if teacher.evidence is None or student.evidence is None:
        return []
    try:
        found = compare_evidence(teacher.evidence, student.evidence, teacher_table=teacher.table, student_table=student.table)
    except (KeyError, TypeError, AttributeError) as error:
        place = " and ".join(sorted({*teacher.places, *student.places})[:2])
        what = f"lies beside an evidence.json that is not the evidence of an evaluation: {error}"
        raise InputError(what, where=place, mend="Evaluate again, or move it away.") from error
    return list(found)


def _asked(teacher: Results, student: Results) -> list[Finding]:
    """Settings that another tool's files state on both sides, and that differ."""
    found = []
    for name in sorted(set(teacher.asked) & set(student.asked)):
        ours, theirs = teacher.asked[name], student.asked[name]
        if ours != theirs and not name.endswith(_DOCUMENTS):
            reason = f"{name} was {ours[:80]!r} for the teacher and {theirs[:80]!r} for the student."
            found.append(evidence_finding("asked-differently", name, reason, "Run both models with the same settings."))
    return found


def _polarity(teacher: Results, student: Results) -> list[Finding]:
    if teacher.evidence is not None and student.evidence is not None:
        return []
    found = []
    for key in sorted(set(teacher.table.partitions) & set(student.table.partitions)):
        ours, theirs = declaration_for(teacher.metrics, *key), declaration_for(student.metrics, *key)
        if ours is None or theirs is None:
            continue
        if (ours.direction, ours.ideal) != (theirs.direction, theirs.ideal):
            reason = f"The teacher's files say that {ours.direction} is better, the student's that {theirs.direction} is."
            found.append(evidence_finding("polarity", str(key), reason, "Use files of one version of the tool."))
        if ours.judge != theirs.judge:
            reason = f"The teacher was judged by {ours.judge or 'nobody named'}, the student by {theirs.judge or 'nobody named'}."
            found.append(evidence_finding("asked-differently", str(key), reason, "Let one judge score both models."))
    return found


def _groups(teacher: Results, student: Results) -> list[Finding]:
    """Groups that the two sides' files define otherwise; two evaluations by kdgov are compared by their evidence."""
    if teacher.evidence is not None and student.evidence is not None:
        return []
    if not (other := other_groups(teacher.metrics, student.metrics)):
        return []
    named = ", ".join(other[:_NAMED]) + (f" and {len(other) - _NAMED} more" if len(other) > _NAMED else "")
    reason = f"The group's mean {named} is made of other tasks, or weighs them otherwise, for one of the two models."
    return [evidence_finding("group", "groups", reason, "Run both models on the same groups with one version of the tool.")]


def _groups_of_numbers(results: Results, policy: Policy) -> list[Finding]:
    """Criteria on a group's mean of numbers that are no means over items: it is shown, and no row of the table stands for it."""
    found = []
    rows = [row for row in (results.evidence or {}).get("groups", ()) if row.get("of_numbers")]
    for criterion in policy.criteria if rows else ():
        if any(criterion.matches(key) for key in results.table.partitions):
            continue
        for row in rows:
            if criterion.matches(MetricKey(row["suite"], row["group"], row["metric"])):
                subject = f"{row['suite']}/{row['group']} {row['metric']}"
                reason = f"{criterion.id} asks for a mean of the tasks' own numbers (F1, perplexity), which single items do not give."
                mend = f"Name the tasks ({', '.join(row['tasks'][:_NAMED])} …) in the criterion; the mean is shown beside them."
                found.append(evidence_finding("group", subject, reason, mend))
    return found


def _templated(teacher: Results, student: Results) -> list[str]:
    """Tasks whose documents and targets are equal and whose prompts are not: the same questions in two chat templates."""
    if not (teacher.table.has("prompt_digest") and student.table.has("prompt_digest")):
        return []
    names = [name for name, digest in teacher.asked.items() if name.endswith(_DOCUMENTS) and digest and student.asked.get(name) == digest]
    tasks = [name.removesuffix(_DOCUMENTS) for name in names]
    return sorted(task for task in tasks if _prompts(teacher.table, task) != _prompts(student.table, task))


def _prompts(table: ItemTable, task: str) -> set[str]:
    rows = table.data.filter(pc.equal(_plain(table.data.column("task")), task))
    return set(rows.column("prompt_digest").to_pylist())


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _without_prompts(table: ItemTable, tasks: list[str]) -> ItemTable:
    concerned = pc.is_in(_plain(table.data.column("task")), value_set=pa.array(tasks, type=pa.string()))
    prompts = table.data.column("prompt_digest")
    left = pc.if_else(concerned, pa.nulls(len(table), prompts.type), prompts)
    return ItemTable(table.data.set_column(table.data.column_names.index("prompt_digest"), "prompt_digest", left), table.source)


def _two_templates(tasks: list[str]) -> Finding:
    named = ", ".join(tasks[:_NAMED]) + (f" and {len(tasks) - _NAMED} more" if len(tasks) > _NAMED else "")
    reason = f"{named}: the two models were asked about the same documents through two chat templates."
    mend = f"Ask both through one template, or let the policy say `allowed_differences: [{CHAT_TEMPLATE}]`."
    return evidence_finding("chat-template", "prompts", reason, mend)


def _assumed(teacher: Results, student: Results, metrics: tuple[MetricDeclaration, ...], policy: Policy) -> tuple[MetricDeclaration, ...]:
    """Ranges of other tools' numbers; item tables and evaluations by kdgov state theirs, or the policy does."""
    if _OWN & {*teacher.readers, *student.readers} or not teacher.readers or not student.readers:
        return ()
    stated = [
        (key, criterion.direction)
        for key in teacher.table.partitions
        for criterion in reversed(policy.criteria)
        if criterion.direction is not None and criterion.matches(key)
    ]
    return assumed_ranges(teacher.table, student.table, metrics, directions=stated)


def _who_measured(teacher: Results, student: Results) -> str:
    is_signed = all(side.folder and (Path(side.folder) / EVALUATION_SIGNATURE).is_file() for side in (teacher, student))
    return "whether the signatures under both evaluations count" if is_signed else "who measured (evaluation unsigned)"


def _not_checked(teacher: Results, student: Results, assumed: tuple[MetricDeclaration, ...]) -> Finding:
    parts = []
    if teacher.evidence is None or student.evidence is None:
        parts.append("which weights answered, and with which software, number format and judges")
        if not (teacher.table.has("prompt_digest") and student.table.has("prompt_digest")):
            parts.append("whether both were asked the same")
    if assumed:
        ranges = list(dict.fromkeys(f"{d.metric} {d.low:g} to {d.high:g}" for d in assumed))
        named = ", ".join(ranges[:_NAMED]) + (" …" if len(ranges) > _NAMED else "")
        parts.append(f"how bad a score can be ({named} is assumed from those seen; `range:` in the policy states it)")
    parts += [_who_measured(teacher, student), "whether the student was trained on these items", "licences and provenance"]
    reason = f"not checked: {'; '.join(parts)}. Files of results do not tell; `kdgov gate RELEASE` does."
    return evidence_finding("not-checked", "files of results", reason)
