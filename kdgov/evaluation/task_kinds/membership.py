"""Membership inference: whether training texts are told from others by their loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.errors import InputError
from kdgov.evaluation.plan.request import PlannedItem, Request
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Answers, Kind, field_of


def membership_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """One log-likelihood per text."""
    if not isinstance(field_of(doc, "member", where), bool):
        raise InputError("`member` is not true or false", where=where, mend="Say of every text whether it was trained on.")
    return (Request(kind="rolling", context=str(field_of(doc, "text", where))),)


def membership_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """Bits per byte, placement values of the loss-threshold attack, and its power at 1 % false alarms."""
    bits = {i.item_id: -float(answers[i.item_id][0][0]) / (math.log(2) * max(1, len(str(i.doc["text"]).encode()))) for i in items}
    outside = np.sort([bits[i.item_id] for i in items if not i.doc["member"]])
    found = [
        ItemScore(item_id=i.item_id, metric="bits_per_byte", score=bits[i.item_id], label="member" if i.doc["member"] else "outside")
        for i in items
    ]
    for item in items:
        if item.doc["member"] and len(outside):
            # Placement value: the share of outside texts the model finds harder. Its mean is the attack's AUC, so the AUC has
            # an item-wise interval like any other mean; 0.5 is what an attack without knowledge reaches.
            value = bits[item.item_id]
            above = len(outside) - np.searchsorted(outside, value, side="right")
            ties = np.searchsorted(outside, value, side="right") - np.searchsorted(outside, value, side="left")
            score = math.nan if math.isnan(value) else float(above + ties / 2) / len(outside)
            found.append(ItemScore(item_id=item.item_id, metric="attack_auc", score=score, label="member"))
            # Power where it matters: caught at the strictest threshold that flags at most 1 % of outside texts.
            allowed = int(math.floor(0.01 * len(outside)))
            found.append(
                ItemScore(
                    item_id=item.item_id,
                    metric="caught_at_1pct",
                    score=float(value < outside[min(allowed, len(outside) - 1)]),
                    label="member",
                )
            )
    return found


KIND = Kind(
    metrics=("bits_per_byte", "attack_auc", "caught_at_1pct"),
    requests=membership_requests,
    scores=membership_scores,
)
