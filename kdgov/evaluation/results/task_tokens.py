"""Tokens of one task: what a model reads and writes to answer one request, by its own tokenizer; what a price per token is multiplied by.

A student with another tokenizer, or one that answers at length, can cost more per task although it costs less per token.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from kdgov.checkpoints.tokens import token_counts
from kdgov.evaluation.backends.response_log import Record
from kdgov.evaluation.plan.request import Plan

_REPLAY = "production-replay"


def tokens_per_task(plan: Plan, records: Mapping[str, Record], model: Path) -> float | None:
    """Mean tokens of prompt and answer over requests that are answered in text: production inputs where there are any, else all suites.

    None where nothing is answered in text, or the model has no tokenizer file.
    """
    tasks = [task for task in plan.tasks if task.suite == _REPLAY] or list(plan.tasks)
    texts: list[str] = []
    for task in tasks:
        asked = [request for item in task.items for request in item.requests]
        for request, answered in zip(asked, records[task.name].answers, strict=True):
            if request.kind == "generate" and isinstance(answered.answer, str):
                texts.append(f"{request.context}{answered.answer}")
    counts = token_counts(model, texts) if texts else []
    return fmean(counts) if counts else None
