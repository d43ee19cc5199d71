"""Classifiers on labelled rows with group columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.evaluation.plan.media import file_context
from kdgov.evaluation.plan.request import PlannedItem, Request
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Answers, Kind, field_of

_PLACEHOLDER = re.compile(r"LABEL_\d+")


def classify_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """The class of one labelled item: a text, or an image or sound where `options.file` names the field of its file."""
    field_of(doc, declared.label or "label", where)
    if (file := declared.options.get("file")) is not None:
        return (Request(kind="classify", context=file_context(doc, str(file))),)
    return (Request(kind="classify", context=str(field_of(doc, str(declared.options.get("text", "text")), where))),)


def classify_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """Right or wrong, selected or not, over-confidence, and the two error rates on the items that can show them."""
    positive, found = str(declared.options.get("positive", "1")), []
    for item in items:
        answer, label = answers[item.item_id][0], str(item.doc[declared.label or "label"])
        said, probability = said_in_form_of(label, answer), float(answer["probability"])
        texts: dict[str, Any] = {"item_id": item.item_id, "prediction": said, "label": label, "confidence": probability}
        found.append(ItemScore(metric="correct", score=float(said == label), **texts))
        found.append(ItemScore(metric="selected", score=float(said == positive), **texts))
        found.append(ItemScore(metric="overconfidence", score=probability - float(said == label), **texts))
        # A rate over the items that can show it: the mean over a group is that group's false positive (negative) rate.
        name = "false_negative" if label == positive else "false_positive"
        found.append(ItemScore(metric=name, score=float(said != label) if name == "false_negative" else float(said == positive), **texts))
    return found


def said_in_form_of(label: str, answer: Mapping[str, Any]) -> str:
    """The class an answer names, written as the data writes classes: by name, by number, or as transformers' `LABEL_0`."""
    name, number = str(answer["label"]), str(answer.get("number", answer["label"]))
    if label.isdecimal():
        return number
    return f"LABEL_{number}" if _PLACEHOLDER.fullmatch(label) else name


KIND = Kind(
    metrics=("correct", "selected", "overconfidence", "false_positive", "false_negative"),
    requests=classify_requests,
    scores=classify_scores,
)
