"""Pairs: which of two texts, or of two continuations of one prefix, a model finds likelier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.errors import InputError
from kdgov.evaluation.plan.request import PlannedItem, Request
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Answers, Kind, field_of


def pair_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """The log-likelihoods of two texts, or of two continuations of one prefix."""
    options = declared.options
    # A prefix that the suite names is part of every question; without the option a field of that name may be there.
    prefix = _text(doc, str(options["prefix"]), where) if "prefix" in options else str(doc.get("prefix", "") or "")
    joint = str(options.get("delimiter", " ")) if prefix else ""
    return tuple(
        Request(kind="loglikelihood", context=prefix, continuation=joint + _side(doc, options, name, where)) for name in ("more", "less")
    )


def _side(doc: Mapping[str, Any], options: Mapping[str, Any], name: str, where: str) -> str:
    """One of the two texts: ``more_text`` of the options, the same in every item, or the field that ``more`` names, of a list its first."""
    if f"{name}_text" in options:
        return str(options[f"{name}_text"])
    return _text(doc, str(options.get(name, name)), where)


def _text(doc: Mapping[str, Any], name: str, where: str) -> str:
    value = field_of(doc, name, where)
    text = str(value[0] if isinstance(value, list) and value else value)
    if not text.strip():
        raise InputError(f"an item has no text in {name!r}", where=where, mend="The file is cut short or was edited: get it again.")
    return text


def pair_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """Which of the two is likelier; a tie is one half."""
    options, found = declared.options, []
    for item in items:
        more, less = (float(a[0]) for a in answers[item.item_id])
        # A tie is half a preference, not an anti-stereotype: otherwise a model without any opinion looks biased.
        preferred = math.nan if math.isnan(more - less) else 0.5 if more == less else float(more > less)
        share = 1 / (1 + math.exp(min(700.0, less - more))) if not math.isnan(more - less) else math.nan
        texts = [_side(item.doc, options, name, item.item_id) for name in ("more", "less")]
        said = texts[0 if more > less else 1]
        confidence = max(share, 1 - share)
        common: dict[str, Any] = {"item_id": item.item_id, "prediction": said, "label": texts[0], "confidence": confidence}
        found.append(ItemScore(metric="preferred", score=preferred, **common))
        found.append(ItemScore(metric="probability", score=share, **common))
    return found


KIND = Kind(
    metrics=("preferred", "probability"),
    requests=pair_requests,
    scores=pair_scores,
)
