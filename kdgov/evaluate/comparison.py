"""Whether two evaluations may be compared: every way in which two models can have been asked differently, as findings.

A difference that must not be is refused with its reason, never averaged away. A difference that belongs to the models (two
tokenizers, two chat templates) is reported as such. Pure: reads two evidence documents and two item tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdgov.finding import Finding
from kdgov.items.table import ItemTable

Document = Mapping[str, Any]
RULE = "evidence"
_SCORING_VERSIONS = ("kdgov", "lm_eval")


def compare_evidence(
    teacher: Document,
    student: Document,
    *,
    teacher_table: ItemTable | None = None,
    student_table: ItemTable | None = None,
    allowed: Sequence[str] = (),
) -> tuple[Finding, ...]:
    """What keeps two evaluations from being compared, and what differs by design.

    Args:
        teacher: evidence document of the one model.
        student: evidence document of the other.
        teacher_table: its item table, to prove that the table is the one the evidence speaks of.
        student_table: likewise.
        allowed: names of differences the policy allows: ``backend``, ``dtype``, ``device``.
    """
    found = [
        *_plan(teacher, student),
        *_tasks(teacher, student),
        *_how(teacher, student, allowed),
        *_versions(teacher, student),
        *_declarations(teacher, student),
        *_own_faults("teacher", teacher),
        *_own_faults("student", student),
        *_by_design(teacher, student),
    ]
    for name, document, table in (("teacher", teacher, teacher_table), ("student", student, student_table)):
        if table is not None:
            found += _table(name, document, table)
    if teacher_table is not None and student_table is not None:
        found += _pairing(teacher_table, student_table)
    return tuple(found) or (_same(teacher),)


def _invalid(rule: str, subject: str, reason: str, mend: str, **details: Any) -> Finding:
    return Finding(check="evidence", verdict="invalid", subject=subject, reason=reason, mend=mend, rule=f"{RULE}.{rule}", details=details)


def _same(teacher: Document) -> Finding:
    requests = sum(t["requests"] for t in teacher["tasks"])
    return Finding(
        check="evidence",
        verdict="pass",
        subject="plan",
        reason=f"Both models were asked the same {requests} requests of {len(teacher['tasks'])} tasks in the same way.",
        rule=f"{RULE}.identical",
        details={"plan": teacher["plan"]},
    )


def _plan(teacher: Document, student: Document) -> list[Finding]:
    if teacher["plan"] == student["plan"]:
        return []
    return [
        _invalid(
            "plan",
            "plan",
            "The two models replayed different plans: their Merkle roots differ.",
            "Evaluate both against one plan: `kdgov evaluate RELEASE` does.",
            teacher=teacher["plan"],
            student=student["plan"],
        )
    ]


def _by_name(document: Document) -> dict[str, Mapping[str, Any]]:
    return {f"{t['suite']}/{t['task']}": t for t in document["tasks"]}


_REASONS = {
    "num_fewshot": ("few-shot", "The number of few-shot examples differs."),
    "fewshot_seed": ("few-shot", "Few-shot examples were drawn with different seeds."),
    "generation": ("generation", "The generation settings differ."),
    "metric_code": ("metric-code", "The code that computes the metric differs."),
    "config": ("task-config", "The task's definition differs."),
    "judges": ("judge", "The judges differ in name, version or digest: a difference between judges would pass for one between models."),
    "data": ("data", "The items come from different data: another revision, another copy or another file."),
    "lm_eval": ("version", "Two versions of lm-eval built the task."),
    "options": ("task-config", "The task's options differ."),
    "chat": ("task-config", "One was asked in messages, the other in plain text."),
}


def _tasks(teacher: Document, student: Document) -> list[Finding]:
    ours, theirs = _by_name(teacher), _by_name(student)
    found = [
        _invalid("missing-task", name, "Only one of the two models answered this task.", "Evaluate both on the same suites.")
        for name in sorted(set(ours) ^ set(theirs))
    ]
    for name in sorted(set(ours) & set(theirs)):
        a, b = ours[name], theirs[name]
        if a["root"] == b["root"]:
            continue
        keys = sorted(k for k in {*a["settings"], *b["settings"]} if a["settings"].get(k) != b["settings"].get(k))
        for key in keys:
            rule, reason = _REASONS.get(key, ("task-config", f"The setting {key!r} differs."))
            details = {"teacher": a["settings"].get(key), "student": b["settings"].get(key)}
            found.append(_invalid(rule, name, reason, "Evaluate both with the same suite files and versions.", **details))
        if a["items"] != b["items"] or not keys:
            counts = f"{a['items']} and {b['items']} items" if a["items"] != b["items"] else "the items or prompts themselves"
            found.append(
                _invalid(
                    "items",
                    name,
                    f"The two were not asked the same questions: {counts} differ.",
                    "Evaluate both against one plan; compare the leaves of the two plan.json files to see which items.",
                )
            )
    return found


def _how(teacher: Document, student: Document, allowed: Sequence[str]) -> list[Finding]:
    found = []
    for key in sorted({*teacher["how"], *student["how"]}):
        a, b = teacher["how"].get(key), student["how"].get(key)
        if a == b:
            continue
        reason = f"The teacher was run with {key} {a!r}, the student with {b!r}."
        if key in allowed:
            found.append(
                Finding(check="evidence", verdict="warn", subject=key, reason=f"{reason} The policy allows it.", rule=f"{RULE}.{key}")
            )
        else:
            found.append(
                _invalid(key.replace("_", "-"), key, reason, f"Run both alike, or have the policy allow a difference of {key} by name.")
            )
    return found


def _versions(teacher: Document, student: Document) -> list[Finding]:
    found = []
    for name in sorted({*teacher["versions"], *student["versions"]}):
        a, b = teacher["versions"].get(name), student["versions"].get(name)
        if a != b:
            verdict = "invalid" if name in _SCORING_VERSIONS else "review"
            found.append(
                Finding(
                    check="evidence",
                    verdict=verdict,  # type: ignore[arg-type]
                    subject=name,
                    reason=f"{name} was {a} for the teacher and {b} for the student.",
                    mend="Evaluate both with the same installation.",
                    rule=f"{RULE}.version",
                )
            )
    return found


def _declarations(teacher: Document, student: Document) -> list[Finding]:
    if teacher["metrics"] == student["metrics"]:
        return []
    return [
        _invalid(
            "polarity",
            "metrics",
            "The suites declare the metrics differently for the two models.",
            "Evaluate both with the same suite files.",
        )
    ]


def _own_faults(who: str, document: Document) -> list[Finding]:
    found = []
    for name, task in sorted(_by_name(document).items()):
        if task["truncated"]:
            found.append(
                _invalid(
                    "truncated",
                    f"{who} {name}",
                    f"{task['truncated']} of {task['items']} items did not fit the {who} and were cut, such as "
                    f"{', '.join(task['truncated_items'][:3])}.",
                    "Choose a task that fits both models, fewer few-shot examples, or a model with a longer context.",
                    items=task["truncated_items"],
                )
            )
        if task["not_finite"]:
            found.append(
                _invalid(
                    "not-finite",
                    f"{who} {name}",
                    f"{task['not_finite']} values are not finite numbers, such as that of {', '.join(task['not_finite_items'][:3])}: "
                    "the model, the scorer or the judge failed on them.",
                    "Mend what failed; a failed item is missing, not zero.",
                    items=task["not_finite_items"],
                )
            )
        alone = task["way"].get("alone", {})
        if alone.get("differed"):
            found.append(
                _invalid(
                    "batch-dependent",
                    f"{who} {name}",
                    f"{alone['differed']} of {alone['asked_alone']} requests got another answer alone than in a batch.",
                    "Evaluate in float32, or with KDGOV_BATCH_TOKENS so small that every request stands alone.",
                )
            )
        for judge, facts in sorted(task["judges"].items()):
            if facts.get("n") and facts.get("low", 1.0) < _JUDGE_DOUBT:
                found.append(
                    Finding(
                        check="evidence",
                        verdict="warn",
                        subject=f"{name} {judge}",
                        reason=f"The judge agrees with people on {facts['agreement']:.1%} of {facts['n']} labelled answers.",
                        mend="Read its errors on both models' answers before trusting a small difference.",
                        rule=f"{RULE}.judge-agreement",
                    )
                )
    return found


_JUDGE_DOUBT = 0.9


def _by_design(teacher: Document, student: Document) -> list[Finding]:
    a, b = teacher["model"], student["model"]
    found = []
    if a["tokenizer"] != b["tokenizer"]:
        found.append(_difference("tokenizer", "The two models cut text into different tokens; per-token numbers are not comparable."))
    if a["template"] != b["template"] and any(t["settings"].get("chat") for t in teacher["tasks"]):
        found.append(_difference("template", "The same messages were rendered through two chat templates."))
    if a["tokenizer"] == b["tokenizer"] and a["template"] == b["template"]:
        ours, theirs = _by_name(teacher), _by_name(student)
        for name in sorted(set(ours) & set(theirs)):
            if ours[name]["root"] == theirs[name]["root"] and ours[name]["delivered"] != theirs[name]["delivered"]:
                found.append(
                    _invalid(
                        "delivered",
                        name,
                        "One plan and one tokenizer, and yet different tokens entered the two models.",
                        "Look for code that changes prompts on their way: a truncation, a template, a wrapper.",
                    )
                )
    if a["weights"] == b["weights"]:
        found.append(
            _invalid(
                "same-model",
                "weights",
                "Teacher and student have the same weights: the teacher was compared with itself.",
                "Name the student's own checkpoint.",
            )
        )
    return found


def _difference(subject: str, reason: str) -> Finding:
    return Finding(check="evidence", verdict="warn", subject=subject, reason=reason, rule=f"{RULE}.by-design-{subject}")


def _table(who: str, document: Document, table: ItemTable) -> list[Finding]:
    if table.content_digest == document["items"]:
        return []
    return [
        _invalid(
            "table",
            f"{who} items",
            f"The {who}'s item table is not the one its evidence speaks of.",
            "Restore the table or evaluate again: one of the two files was changed.",
        )
    ]


def _pairing(teacher: ItemTable, student: ItemTable) -> list[Finding]:
    found = []
    ours, theirs = _keys(teacher), _keys(student)
    for who, table, keys in (("teacher", teacher, ours), ("student", student, theirs)):
        if len(keys) != len(table):
            found.append(
                _invalid(
                    "duplicates",
                    f"{who} items",
                    f"{len(table) - len(keys)} rows of the {who} repeat another row's item and metric.",
                    "Every item counts once.",
                )
            )
        if bad := int(np.sum(~np.isfinite(table.scores))):
            found.append(
                _invalid(
                    "not-finite",
                    f"{who} items",
                    f"{bad} scores of the {who} are not finite.",
                    "Mend what failed; a failed item is missing, not zero.",
                )
            )
    if lost := sorted(ours - theirs)[:3] + sorted(theirs - ours)[:3]:
        count = len(ours ^ theirs)
        found.append(
            _invalid(
                "items", "items", f"{count} rows have no counterpart, such as {'/'.join(lost[0])}.", "Evaluate both on the same items."
            )
        )
    return found


def _keys(table: ItemTable) -> set[tuple[str, ...]]:
    columns = [table.column(name).to_pylist() for name in ("suite", "task", "item_id", "metric")]
    return set(zip(*columns, strict=True))
