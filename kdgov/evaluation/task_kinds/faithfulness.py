"""Faithfulness: how far the student's next token is the teacher's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.errors import InputError
from kdgov.evaluation.plan.request import PlannedItem, Request
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Answers, Kind, field_of


def next_token_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """The distribution of the next token after a text."""
    return (Request(kind="next_token", context=str(field_of(doc, "text", where))),)


def faithfulness_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """Agreement with the teacher's likeliest token, and the divergence from its distribution in nats."""
    reference = answers if teacher is None else teacher
    found = []
    for item in items:
        own, other = answers[item.item_id][0], reference[item.item_id][0]
        texts: dict[str, Any] = {"item_id": item.item_id, "prediction": str(own["top"]), "label": str(other["top"])}
        found.append(ItemScore(metric="top1_agreement", score=float(own["top"] == other["top"]), **texts))
        p, q = np.asarray(other["log_probs"], dtype=np.float64), np.asarray(own["log_probs"], dtype=np.float64)
        if p.shape != q.shape and any((m.source or m.metric) == "kl" for m in declared.metrics):
            raise InputError(
                f"kl: the teacher has {len(p)} tokens and the student {len(q)}: there is no divergence between two vocabularies",
                where=declared.task,
                mend="Leave `kl` out of the suite; top1_agreement holds for two tokenizers as well.",
            )
        if p.shape == q.shape:
            # KL(teacher ‖ student) in nats.
            found.append(ItemScore(metric="kl", score=float(np.sum(np.exp(p) * (p - q))), **texts))
    return found


KIND = Kind(
    metrics=("top1_agreement", "kl"),
    requests=next_token_requests,
    scores=faithfulness_scores,
    compares=True,
)
