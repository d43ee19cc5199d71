"""Whether two evaluations may be compared: every way in which two models can have been asked differently, as findings.

A difference that must not be is refused with its reason, never averaged away. A difference that belongs to the models (two
tokenizers, two chat templates) is reported as such. Pure: reads two evidence documents and two item tables.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kdgov.checkpoints.class_names import first_difference
from kdgov.evaluation.results.endpoint_findings import endpoint_findings, one_endpoint
from kdgov.evaluation.results.evidence_faults import (
    RULE,
    Document,
    by_name,
    few,
    invalid,
    other_declarations,
    other_sizes,
    own_faults,
    pairing_faults,
    table_faults,
)
from kdgov.finding import Finding
from kdgov.items.table import ItemTable
from kdgov.passing_rules import passing
from kdgov.quantities import quantity

_ENGINE = ("dtype", "device", "devices", "batch_tokens")
_SCORING_VERSIONS = ("kdgov", "lm_eval")


def compare_evidence(
    teacher: Document,
    student: Document,
    *,
    teacher_table: ItemTable | None = None,
    student_table: ItemTable | None = None,
) -> tuple[Finding, ...]:
    """What keeps two evaluations from being compared, and what differs by design.

    Args:
        teacher: evidence document of the one model.
        student: evidence document of the other.
        teacher_table: its item table, to prove that the table is the one the evidence speaks of.
        student_table: likewise.
    """
    found = [
        *_plan(teacher, student),
        *_tasks(teacher, student),
        *_classes(teacher, student),
        *_how(teacher, student),
        *_versions(teacher, student),
        *other_declarations(teacher, student),
        *_may_move(teacher, student),
        *other_sizes(teacher, student),
        *_suite_code(teacher, student),
        *own_faults("teacher", teacher),
        *own_faults("student", student),
        *endpoint_findings("teacher", teacher),
        *endpoint_findings("student", student),
        *_by_design(teacher, student),
    ]
    for name, document, table in (("teacher", teacher, teacher_table), ("student", student, student_table)):
        if table is not None:
            found += table_faults(name, document, table)
    if teacher_table is not None and student_table is not None:
        found += pairing_faults(teacher_table, student_table)
    # Items that neither was asked make no difference between the two.
    differs = any(f.verdict != "pass" and f.rule != f"{RULE}.limited" for f in found)
    return tuple(found) if differs else (*found, _same(teacher))


def stopping(findings: Sequence[Finding], allowed: Collection[str]) -> list[Finding]:
    """Findings after which two evaluations may not be compared, given the differences that a policy allows by name.

    The gate reads the same findings with the same policy. A dataset without a pin is for it alone: it speaks of who can repeat the
    evaluation, not of whether the two models were asked the same; likewise code that a suite ran.
    """
    return [
        f
        for f in findings
        if f.stops and f.rule not in (MAY_MOVE, SUITE_CODE) and f.rule.removeprefix(f"{RULE}.").replace("-", "_") not in allowed
    ]


def _same(teacher: Document) -> Finding:
    requests = sum(t["requests"] for t in teacher["tasks"])
    tasks = quantity(len(teacher["tasks"]), "task")
    if not requests:
        return invalid("plan", "plan", "The plan asks nothing: there is no request to compare.", "Give the suites tasks with items.")
    return passing(
        "evidence",
        f"{RULE}.identical",
        "plan",
        f"Both models were asked the same {quantity(requests, 'request')} of {tasks} in the same way.",
        looked_for={"requests": requests, "tasks": len(teacher["tasks"])},
        plan=teacher["plan"],
    )


def _plan(teacher: Document, student: Document) -> list[Finding]:
    if teacher["plan"] == student["plan"]:
        return []
    return [
        invalid(
            "plan",
            "plan",
            "The two models replayed different plans: their Merkle roots differ.",
            "Evaluate both against one plan: `kdgov evaluate RELEASE` does.",
            teacher=teacher["plan"],
            student=student["plan"],
        )
    ]


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
    ours, theirs = by_name(teacher), by_name(student)
    found = [
        invalid("missing-task", name, "Only one of the two models answered this task.", "Evaluate both on the same suites.")
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
            found.append(invalid(rule, name, reason, "Evaluate both with the same suite files and versions.", **details))
        if a["items"] != b["items"] or not keys:
            counts = f"{a['items']} and {b['items']} items" if a["items"] != b["items"] else "the items or prompts themselves"
            found.append(
                invalid(
                    "items",
                    name,
                    f"The two were not asked the same questions: {counts} differ.",
                    "Evaluate both against one plan; compare the leaves of the two plan.json files to see which items.",
                )
            )
    return found


def _classes(teacher: Document, student: Document) -> list[Finding]:
    """Labels written as numbers, which mean the class in that place of each model's own order."""
    ours, theirs = by_name(teacher), by_name(student)
    found = []
    for name in sorted(set(ours) & set(theirs)):
        ways = ours[name].get("way", {}), theirs[name].get("way", {})
        classes = [tuple(way.get("classes", ())) for way in ways]
        number = first_difference(*classes) if all(classes) else None
        if number is not None and any(way.get("numbered") for way in ways):
            both = f"{number} is {classes[0][number]!r} to the teacher and {classes[1][number]!r} to the student"
            found.append(invalid("class-order", name, f"Labels are written as numbers, and {both}.", "Write the labels by name."))
    return found


def _how(teacher: Document, student: Document) -> list[Finding]:
    found = []
    # An endpoint decides for itself in which type, on what and in which batches it answers: nobody can compare that.
    is_known = not any(document.get("endpoint") for document in (teacher, student))
    for key in sorted({*teacher["how"], *student["how"]}):
        if (key in _ENGINE and not is_known) or key == "reasoning":
            # Thoughts are cut off before anything is scored: that one model has any is a property of the two.
            continue
        a, b = teacher["how"].get(key), student["how"].get(key)
        if a == b:
            continue
        reason = f"The teacher was run with {key} {a!r}, the student with {b!r}."
        # Strict here: the policy that allows a difference by name does so where findings are judged, in one place.
        found.append(invalid(key.replace("_", "-"), key, reason, f"Run both alike, or let the policy allow a difference of {key} by name."))
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


MAY_MOVE = f"{RULE}.data-unpinned"
"""Rule of a dataset without a pinned revision: nothing is wrong with the comparison, and nobody can repeat it for certain."""


SUITE_CODE = f"{RULE}.suite-code"
"""Rule of code that a suite ran: nothing is wrong with the comparison, and it was made by whatever that code did."""


def _suite_code(teacher: Document, student: Document) -> list[Finding]:
    """One finding per task that ran code; policies allow its files by digest."""
    return [
        Finding(
            check="evidence",
            verdict="block",
            subject=name,
            reason=f"The suite ran code of its own for this task: {', '.join(sorted(code))}.",
            mend="Read that code, then let the policy name its digests under `allowed_code`; or write the task without code.",
            rule=SUITE_CODE,
            details={"code": dict(code)},
        )
        for name, task in sorted({**by_name(teacher), **by_name(student)}.items())
        if (code := task["settings"].get("suite_code"))
    ]


def _may_move(teacher: Document, student: Document) -> list[Finding]:
    unpinned: dict[str, list[str]] = {}
    for name, task in sorted({**by_name(teacher), **by_name(student)}.items()):
        data = task["settings"].get("data", {})
        if data.get("hub") and not data.get("revision"):
            unpinned.setdefault(str(data["hub"]), []).append(name)
    return [
        Finding(
            check="evidence",
            verdict="review",
            subject=hub,
            reason=f"The hub dataset of {few(tasks)} has no pinned revision: it can change before anyone repeats this.",
            mend="Copy the suite's folder, run `kdgov suites pin FOLDER` where the data are, and name that folder in the release.",
            rule=MAY_MOVE,
            details={"tasks": tasks},
        )
        for hub, tasks in unpinned.items()
    ]


def _by_design(teacher: Document, student: Document) -> list[Finding]:
    a, b = teacher["model"], student["model"]
    found: list[Finding] = []
    if teacher["how"].get("reasoning") != student["how"].get("reasoning"):
        reason = "The two models think before they answer in different ways; thoughts are cut off before scoring."
        found.append(_difference("reasoning", reason))
    if teacher.get("endpoint") or student.get("endpoint"):
        same = one_endpoint(teacher, student)
        return [*found, _same_model(same)] if same else found
    if a["tokenizer"] != b["tokenizer"]:
        found.append(_difference("tokenizer", "The two models cut text into different tokens; per-token numbers are not comparable."))
    if a["template"] != b["template"] and any(t["settings"].get("chat") for t in teacher["tasks"]):
        found.append(_difference("template", "The same messages were rendered through two chat templates."))
    if a["tokenizer"] == b["tokenizer"] and a["template"] == b["template"]:
        ours, theirs = by_name(teacher), by_name(student)
        for name in sorted(set(ours) & set(theirs)):
            if ours[name]["root"] == theirs[name]["root"] and ours[name]["delivered"] != theirs[name]["delivered"]:
                found.append(
                    invalid(
                        "delivered",
                        name,
                        "One plan and one tokenizer, and yet different tokens entered the two models.",
                        "Look for code that changes prompts on their way: a truncation, a template, a wrapper.",
                    )
                )
    if a["weights"] == b["weights"]:
        found.append(_same_model("weights"))
    return found


def _same_model(what: str) -> Finding:
    return invalid(
        "same-model",
        "weights",
        f"Teacher and student have the same {what}: the teacher was compared with itself.",
        "Name the student's own checkpoint.",
    )


def _difference(subject: str, reason: str) -> Finding:
    return Finding(check="evidence", verdict="warn", subject=subject, reason=reason, rule=f"{RULE}.by-design-{subject}")
