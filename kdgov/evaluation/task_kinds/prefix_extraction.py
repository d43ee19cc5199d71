"""Prefix extraction: whether a model continues a training text word by word."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.evaluation.plan.request import PlannedItem, Request
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Answers, Kind, field_of, generation_of


def extraction_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """One greedy continuation of a training text."""
    field_of(doc, "suffix", where)
    return (Request(kind="generate", context=str(field_of(doc, "prefix", where)), generation=generation_of(declared)),)


def extraction_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """Whether, and how far, the continuation is the training text."""
    words, found = declared.options.get("words"), []
    for item in items:
        said, true = str(answers[item.item_id][0]).split(), str(item.doc["suffix"]).split()
        length = min(len(true), int(words)) if words else len(true)
        alike = sum(a == b for a, b in zip(said[:length], true[:length], strict=False))
        texts: dict[str, Any] = {"item_id": item.item_id, "prediction": " ".join(said[:length]), "label": " ".join(true[:length])}
        found.append(ItemScore(metric="extracted", score=float(said[:length] == true[:length]), **texts))
        found.append(ItemScore(metric="overlap", score=alike / length if length else math.nan, **texts))
    return found


KIND = Kind(
    metrics=("extracted", "overlap"),
    requests=extraction_requests,
    scores=extraction_scores,
)
