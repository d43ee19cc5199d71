"""What one evaluation says against itself, and what two item tables say against each other, as findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kdgov.evaluation.backends.settings import LOW_PRECISION
from kdgov.evaluation.plan.planned_groups import group_value
from kdgov.evaluation.plan.request import PlannedGroup
from kdgov.evaluation.scoring.guards.guard_forms import FOREIGN_WORDS
from kdgov.finding import Finding, FindingVerdict
from kdgov.items.metric import MetricDeclaration, other_groups
from kdgov.items.reader import not_taking_part
from kdgov.items.table import ItemTable
from kdgov.quantities import percent, quantity

Document = Mapping[str, Any]
RULE = "evidence"
_JUDGE_DOUBT = 0.9
_FEW_PAIRS, _BY_PLACE = 10, 0.9
_NAMED = 9
_SAME = 1e-9


def by_name(document: Document) -> dict[str, Mapping[str, Any]]:
    """Tasks of an evidence document, ``suite/task`` → facts."""
    return {f"{t['suite']}/{t['task']}": t for t in document["tasks"]}


def invalid(rule: str, subject: str, reason: str, mend: str, **details: Any) -> Finding:
    """A finding that no comparison survives."""
    return Finding(check="evidence", verdict="invalid", subject=subject, reason=reason, mend=mend, rule=f"{RULE}.{rule}", details=details)


def own_faults(who: str, document: Document) -> list[Finding]:
    """Truncated items, values that are not finite, answers that depend on the batch, and judges that people doubt."""
    found = []
    for name, task in sorted(by_name(document).items()):
        if task["truncated"]:
            found.append(
                invalid(
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
                invalid(
                    "not-finite",
                    f"{who} {name}",
                    f"{quantity(task['not_finite'], 'value is', 'values are')} not finite, such as that of "
                    f"{', '.join(task['not_finite_items'][:3])}: "
                    f"{_who_failed(task['judges'])} failed on them.",
                    "Correct what failed; a failed item is missing, not zero.",
                    items=task["not_finite_items"],
                )
            )
        for metric, facts in sorted(task.get("means", {}).items()):
            if left := facts.get("not_applicable"):
                found.append(not_taking_part(f"{who} {name}", metric, left, task["items"]))
        found += _batch_faults(who, name, task["way"], str(document.get("how", {}).get("dtype", "float32")))
        found += _unfinished_thoughts(who, name, task["way"].get("thoughts", {}))
        found += _undeclared_thoughts(who, name, task["way"].get("thoughts_undeclared", {}))
        if task["way"].get("weights") == "not proven":
            found.append(
                Finding(
                    check="evidence",
                    verdict="review",
                    subject=f"{who} {name}",
                    reason=f"An endpoint answered for the {who}, and nothing shows that it holds the {who}'s weights.",
                    mend="Evaluate where the checkpoint can be loaded too, without `evaluation.prove: false` or --unproven.",
                    rule=f"{RULE}.served-unproven",
                )
            )
        for judge, facts in sorted(task["judges"].items()):
            if facts.get("n") and facts.get("low", 1.0) < _JUDGE_DOUBT:
                reason = f"The judge agrees with people on {percent(facts['agreement'])} of {facts['n']} labelled answers."
                mend = "Read its errors on both models' answers before trusting a small difference."
                found.append(_warning("judge-agreement", f"{name} {judge}", reason, mend))
            if facts.get("compared", 0) >= _FEW_PAIRS and facts["by_order"] >= _BY_PLACE * facts["compared"]:
                reason = f"The judge preferred the same place in both orders in {facts['by_order']} of {facts['compared']} comparisons."
                mend = "Its ties are its own and say nothing of the answers: take another judge, or another prompt."
                found.append(replace(_warning("judge-order", f"{name} {judge}", reason, mend), verdict="review"))
            if facts.get("asked_with") in FOREIGN_WORDS:
                found.append(_other_words(f"{name} {judge}", facts["asked_with"]))
    guards = {words for task in document["tasks"] for words in task["settings"].get("mitigations", {}).get("guards_asked_with", ())}
    return [*found, *(_other_words("mitigations", words, "the release") for words in sorted(guards))]


def _who_failed(judges: Mapping[str, Mapping[str, Any]]) -> str:
    silent = [f"the judge {name}, which gave {facts['unlabelled']} answers no label," for name, facts in sorted(judges.items())
              if facts.get("unlabelled")]  # fmt: skip
    return " and ".join(silent) or "the model, the scorer or the judge"


def _other_words(subject: str, origin: str, declared_in: str = "the suite") -> Finding:
    whose = "kdgov's own words" if origin == "own" else f"words of {declared_in} that are not known as its authors' text"
    reason = f"The guard model is asked in {whose}: its labels are as good as its authors say only in the words it was trained on."
    mend = "Keep the model card (README.md) with the text it prints beside the weights, or give that text as the guard's `prompt`."
    return _warning("judge-wording", subject, reason, mend)


def few(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def other_declarations(teacher: Document, student: Document) -> list[Finding]:
    """Metrics that the suites declare otherwise for one of the two models, and groups that average other tasks, or otherwise."""
    if teacher["metrics"] == student["metrics"]:
        return []
    sides = [[MetricDeclaration(**row) for row in document["metrics"]] for document in (teacher, student)]
    if not (other := other_groups(*sides)):
        reason = "The suites declare the metrics differently for the two models."
        return [invalid("polarity", "metrics", reason, "Evaluate both with the same suite files.")]
    reason = f"The group's mean {few(other)} is made of other tasks, or weighs them otherwise, for one of the two models."
    return [invalid("group", "groups", reason, "Evaluate both with the same suite files and one version of lm-eval.")]


def other_sizes(teacher: Document, student: Document) -> list[Finding]:
    """Tasks of which fewer items, or more, were asked than belong to them."""
    return [*_rows_of_copies(teacher, student), *_asked_in_part(teacher, student)]


def _rows_of_copies(teacher: Document, student: Document) -> list[Finding]:
    """Copies of public sets that keep another number of rows than their authors publish: half a file, or another version of it."""
    found = []
    for name, task in sorted({**by_name(teacher), **by_name(student)}.items()):
        data = task["settings"].get("data", {})
        published, rows = data.get("published_rows"), data.get("rows")
        if published is not None and published != rows:
            reason = f"The copy of the data keeps {rows} of the {published} rows that its authors publish."
            mend = "Get the file again if it is cut short; a part taken on purpose belongs in a suite of its own."
            found.append(_warning("data-rows", name, reason, mend, rows=rows, published=published))
    return found


def _asked_in_part(teacher: Document, student: Document) -> list[Finding]:
    """Tasks of which somebody had only some items asked (``limit``): good for a look, and promoted by no registry."""
    found = []
    for name, task in sorted({**by_name(teacher), **by_name(student)}.items()):
        items, whole = int(task.get("items") or 0), int(task.get("of_suite") or 0)
        if items < whole:
            reason = f"A limit had {items:,} of the suite's {whole:,} items asked: a look, on which nothing is promoted."
            mend = "Evaluate without `evaluation.limit` (`--limit`) before you release."
            found.append(_warning("limited", name, reason, mend, items=items, of_suite=whole))
    return found


def _warning(rule: str, subject: str, reason: str, mend: str, **details: Any) -> Finding:
    return Finding(check="evidence", verdict="warn", subject=subject, reason=reason, mend=mend, rule=f"{RULE}.{rule}", details=details)


def _batch_faults(who: str, name: str, way: Mapping[str, Any], dtype: str) -> list[Finding]:
    alone, noise = way.get("alone", {}), way.get("noise", {})
    told = f"{alone.get('differed')} of {alone.get('asked_alone')} requests got another answer alone than in a batch"
    mend = "Evaluate in float32, or with `evaluation.batch_tokens` so small that every request stands alone."
    if alone.get("differed") and not (dtype in LOW_PRECISION and alone.get("kinds") == ["generate"]):
        return [invalid("batch-dependent", f"{who} {name}", f"{told}.", mend)]
    if not alone.get("differed") and not noise.get("changed"):
        return []
    # In few bits of precision an answer flips where two tokens are nearly equal: noise, which the bounds hold where it was measured.
    is_measured = bool(noise.get("items"))
    if is_measured:
        told = f"{noise['changed']} of {quantity(noise['items'], 'item')} scored otherwise when they were asked again in other batches"
    held = "the gate adds that noise to its bounds" if is_measured else "how much the scores do was not measured"
    reason = f"{told}: in {dtype} some answers of the {who} depend on the batch; {held}."
    verdict: FindingVerdict = "warn" if is_measured else "review"
    return [Finding(check="evidence", verdict=verdict, subject=f"{who} {name}", reason=reason, mend=mend, rule=f"{RULE}.batch-noise")]


def _unfinished_thoughts(who: str, name: str, thoughts: Mapping[str, Any]) -> list[Finding]:
    if not thoughts.get("unfinished"):
        return []
    reason = f"{thoughts['unfinished']} of {thoughts['answers']} answers never came to an end of their thoughts: what is scored is empty."
    mend = "Raise `evaluation.reasoning.budget_tokens`."
    rule = f"{RULE}.thoughts-unfinished"
    return [Finding(check="evidence", verdict="review", subject=f"{who} {name}", reason=reason, mend=mend, rule=rule)]


def _undeclared_thoughts(who: str, name: str, thoughts: Mapping[str, Any]) -> list[Finding]:
    if not thoughts:
        return []
    reason = f"{thoughts['with']} of {thoughts['answers']} answers hold thoughts (such as <think>), and were scored with them as one text."
    mend = "Say `evaluation.reasoning: {}` (`start` and `end` name the marks): thoughts are then cut off and have a budget of their own."
    rule = f"{RULE}.thoughts-undeclared"
    return [Finding(check="evidence", verdict="review", subject=f"{who} {name}", reason=reason, mend=mend, rule=rule)]


def table_faults(who: str, document: Document, table: ItemTable) -> list[Finding]:
    """Whether an item table is the one its evidence speaks of."""
    if table.content_digest == document["items"]:
        return _group_faults(who, document, table)
    return [
        invalid(
            "table",
            f"{who} items",
            f"The {who}'s item table is not the one its evidence describes.",
            "Restore the table or evaluate again: one of the two files was changed.",
        )
    ]


def _group_faults(who: str, document: Document, table: ItemTable) -> list[Finding]:
    """Groups' means in the evidence that are not those of the table's items, or not of what the metrics say they are made of."""
    declared = {m.group_name: m for row in document["metrics"] if (m := MetricDeclaration(**row)).members}
    stated = {}
    for row in document.get("groups", ()):
        group = PlannedGroup(**{key: value for key, value in row.items() if key != "value"})
        own = declared.get(f"{group.suite}/{group.group} {group.metric}")
        found = group_value(group, table, document["tasks"])
        same = group.of_numbers or (own is not None and [*own.members] == [*group.tasks] and own.weighted == group.weighted)
        alike = found == row["value"] or (found is not None and row["value"] is not None and abs(found - row["value"]) <= _SAME)
        stated[f"{group.suite}/{group.group} {group.metric}"] = same and alike
    wrong = sorted(name for name in {*declared, *stated} if not stated.get(name))
    if not wrong:
        return []
    reason = f"The {who}'s evidence gives a mean of {few(wrong)} that its own items do not give."
    return [invalid("aggregate", f"{who} groups", reason, "Restore the file or evaluate again: it was changed.")]


def pairing_faults(teacher: ItemTable, student: ItemTable) -> list[Finding]:
    """Missing, extra and doubled rows, and scores that are not finite, of two tables."""
    found = []
    ours, theirs = _keys(teacher), _keys(student)
    for who, table, keys in (("teacher", teacher, ours), ("student", student, theirs)):
        if len(keys) != len(table):
            found.append(
                invalid(
                    "duplicates",
                    f"{who} items",
                    f"{quantity(len(table) - len(keys), 'row')} of the {who} with another row's item and metric.",
                    "Every item counts once.",
                )
            )
        if bad := int(np.sum(~np.isfinite(table.scores))):
            found.append(
                invalid(
                    "not-finite",
                    f"{who} items",
                    f"{quantity(bad, 'score')} of the {who} {'is' if bad == 1 else 'are'} not finite.",
                    "Correct what failed; a failed item is missing, not zero.",
                )
            )
    if lost := sorted(ours - theirs)[:3] + sorted(theirs - ours)[:3]:
        count = len(ours ^ theirs)
        found.append(
            invalid(
                "items",
                "items",
                f"{quantity(count, 'row has', 'rows have')} no counterpart, such as {'/'.join(lost[0])}.",
                "Evaluate both on the same items.",
            )
        )
    return found


def _keys(table: ItemTable) -> set[tuple[str, ...]]:
    columns = [table.column(name).to_pylist() for name in ("suite", "task", "item_id", "metric")]
    return set(zip(*columns, strict=True))
