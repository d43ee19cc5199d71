"""Replay: whether the student answers logged inputs as the teacher does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.evaluation.plan.item_data import Row
from kdgov.evaluation.plan.request import PlannedItem, Request
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Answers, Kind, comparable, field_of, generation_of


def replay_documents(rows: Sequence[Row], declared: TaskInSuite, where: str) -> Sequence[Row]:
    """Logged inputs, equal ones once, with how often each came (``times`` of the row, else counted)."""
    field = str(declared.options.get("field", "input"))
    kept: dict[str, Row] = {}
    for row in rows:
        text = field_of(row, field, where)
        # The same input logged a thousand times is one item; how often it came stays with it.
        known = kept.setdefault(str(text), {**row, "input": str(text), "times": 0})
        known["times"] += int(row.get("times") or 1)
    return list(kept.values())


def replay_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """One greedy answer to a logged input."""
    return (Request(kind="generate", context=str(doc["input"]), generation=generation_of(declared)),)


def replay_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """Whether the answer is the teacher's, and how many words they share."""
    reference = answers if teacher is None else teacher
    found = []
    for item in items:
        own, other = str(answers[item.item_id][0]), str(reference[item.item_id][0])
        texts: dict[str, Any] = {"item_id": item.item_id, "prediction": own, "label": other}
        found.append(ItemScore(metric="same_answer", score=float(comparable(own) == comparable(other)), **texts))
        found.append(ItemScore(metric="word_overlap", score=word_f1(own, other), **texts))
        if known := item.doc.get(str(declared.options.get("reference", ""))):
            # Against a known good answer both models are judged alike: the teacher may be wrong.
            score = word_f1(own, str(known))
            found.append(ItemScore(item_id=item.item_id, metric="reference_quality", score=score, prediction=own, label=str(known)))
    return found


def word_f1(own: str, other: str) -> float:
    """Harmonic mean of word precision and recall between two answers; 1 where both are empty."""
    a, b = comparable(own).split(), comparable(other).split()
    if not a or not b:
        return float(a == b)
    shared = sum(min(a.count(w), b.count(w)) for w in set(a))
    return 2 * shared / (len(a) + len(b))


KIND = Kind(
    metrics=("same_answer", "word_overlap", "reference_quality"),
    requests=replay_requests,
    scores=replay_scores,
    compares=True,
    documents=replay_documents,
)
