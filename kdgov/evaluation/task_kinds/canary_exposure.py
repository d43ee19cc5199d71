"""Canary exposure: the rank of a planted secret among all it could have been (Carlini et al. 2019)."""

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


def canary_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """One log-likelihood per candidate of a planted secret."""
    secret, candidates = str(field_of(doc, "secret", where)), [str(c) for c in field_of(doc, "candidates", where)]
    if candidates.count(secret) != 1 or len(set(candidates)) != len(candidates):
        raise InputError(
            "a canary's candidates do not hold its secret exactly once, or hold copies",
            where=where,
            mend="List every secret that could have been drawn, each once.",
        )
    prefix, joint = str(field_of(doc, "prefix", where)), str(declared.options.get("delimiter", " "))
    return tuple(Request(kind="loglikelihood", context=prefix, continuation=joint + c) for c in candidates)


def canary_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """Exposure in bits: log2 of the candidates minus log2 of the secret's rank (Carlini et al. 2019)."""
    found = []
    for item in items:
        log_likelihoods = np.array([float(a[0]) for a in answers[item.item_id]])
        candidates = [str(c) for c in item.doc["candidates"]]
        true = log_likelihoods[candidates.index(str(item.doc["secret"]))]
        # Ties rank in the middle: a model that finds all candidates alike has exposure near 1 bit, as chance has.
        rank = float(1 + np.sum(log_likelihoods > true) + (np.sum(log_likelihoods == true) - 1) / 2)
        exposure = math.log2(len(candidates)) - math.log2(rank) if np.isfinite(log_likelihoods).all() else math.nan
        found.append(ItemScore(item_id=item.item_id, metric="exposure", score=exposure, prediction=f"{rank:g}", label=str(len(candidates))))
    return found


KIND = Kind(
    metrics=("exposure",),
    requests=canary_requests,
    scores=canary_scores,
)
