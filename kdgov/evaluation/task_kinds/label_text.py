"""Classification in text: the model writes a label instead of choosing among log-probabilities, as an endpoint must."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.errors import InputError
from kdgov.evaluation.plan.request import PlannedItem, Request
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Answers, Kind, comparable, field_of, generation_of, prompt_of


def label_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """One greedy answer, of which a label is read."""
    known = _labels(declared, where)
    label = str(field_of(doc, str(declared.label or "label"), where))
    if comparable(label) not in map(comparable, known):
        raise InputError(f"an item has the label {label!r}", where=where, mend=f"`options.labels` are {', '.join(known)}.")
    return (Request(kind="generate", context=prompt_of(doc, declared, where, labels=", ".join(known)), generation=generation_of(declared)),)


def label_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """Whether the label is right, and whether exactly one was given; an answer with none or several is wrong, never left out."""
    known = _labels(declared, declared.task)
    found = []
    for item in items:
        said = str(answers[item.item_id][0])
        given, label = label_in(said, known), str(item.doc[str(declared.label or "label")])
        texts: dict[str, Any] = {"item_id": item.item_id, "prediction": given or said, "label": label}
        found.append(ItemScore(metric="correct", score=float(bool(given) and comparable(given) == comparable(label)), **texts))
        found.append(ItemScore(metric="labelled", score=float(bool(given)), **texts))
    return found


def label_in(said: str, known: Sequence[str]) -> str:
    """The one label an answer gives; empty where it gives none or several. A longer label hides a shorter one inside it.

    >>> label_in("It is not spam.", ["spam", "not spam"])
    'not spam'
    """
    text, found = f" {comparable(said)} ", []
    for label in sorted(known, key=lambda name: -len(comparable(name))):
        pattern = rf" {re.escape(comparable(label))} "
        if comparable(label) and re.search(pattern, text):
            found.append(label)
            text = re.sub(pattern, " | ", text)
    return found[0] if len(found) == 1 else ""


def _labels(declared: TaskInSuite, where: str) -> list[str]:
    known = declared.options.get("labels")
    if not isinstance(known, list) or len(known) < 2 or len({comparable(str(k)) for k in known}) != len(known):
        raise InputError("options.labels is not a list of two or more different labels", where=where, mend="Write `labels: [spam, ham]`.")
    return [str(label) for label in known]


KIND = Kind(metrics=("correct", "labelled"), requests=label_requests, scores=label_scores)
