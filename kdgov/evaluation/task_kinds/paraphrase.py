"""Paraphrase: whether a model's answers survive another wording of the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.errors import InputError
from kdgov.evaluation.plan.request import PlannedItem, Request
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Answers, Kind, comparable, field_of, generation_of


def paraphrase_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """One answer per wording of a question."""
    wordings = field_of(doc, "paraphrases", where)
    if not isinstance(wordings, list) or len(wordings) < 2:
        raise InputError("`paraphrases` is not a list of two or more wordings", where=where, mend="List every wording of the question.")
    return tuple(Request(kind="generate", context=str(w), generation=generation_of(declared)) for w in wordings)


def paraphrase_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """How often two wordings get one answer, and how many are right."""
    found = []
    for item in items:
        said = [comparable(str(a)) for a in answers[item.item_id]]
        n = len(said)
        same = sum(said[i] == said[j] for i in range(n) for j in range(i)) / (n * (n - 1) / 2)
        found.append(ItemScore(item_id=item.item_id, metric="consistency", score=same, prediction=" | ".join(said)))
        if item.doc.get("answer") is not None:
            right = [s == comparable(str(item.doc["answer"])) for s in said]
            label = str(item.doc["answer"])
            found.append(
                ItemScore(item_id=item.item_id, metric="worst_wording", score=float(all(right)), prediction=" | ".join(said), label=label)
            )
            found.append(ItemScore(item_id=item.item_id, metric="accuracy", score=sum(right) / n, prediction=" | ".join(said), label=label))
    return found


KIND = Kind(
    metrics=("consistency", "worst_wording", "accuracy"),
    requests=paraphrase_requests,
    scores=paraphrase_scores,
)
