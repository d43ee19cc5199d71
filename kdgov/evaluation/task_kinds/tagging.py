"""Token classification: a tag for every word of a sentence, scored by word and by span."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.digest import canonical_json
from kdgov.errors import InputError
from kdgov.evaluation.plan.request import PlannedItem, Request
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Answers, Kind, field_of

Span = tuple[str, int, int]


def tag_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """The words of one sentence.

    Raises:
        InputError: if words and tags are not two lists of one length.
    """
    words, tags = (field_of(doc, str(declared.options.get(name, name)), where) for name in ("tokens", "tags"))
    if not (isinstance(words, list) and isinstance(tags, list) and words and len(words) == len(tags)):
        raise InputError("`tokens` and `tags` are not two lists of one length", where=where, mend="Write one tag, by name, for every word.")
    return (Request(kind="tag", context=canonical_json([str(word) for word in words]).decode()),)


def tag_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """Share of words with the right tag, F1 of the sentence's spans (1 where there is none and none was found), all right or not."""
    found = []
    for item in items:
        right = [str(tag) for tag in item.doc[str(declared.options.get("tags", "tags"))]]
        said = [str(tag) for tag in answers[item.item_id][0]["tags"]]
        texts: dict[str, Any] = {"item_id": item.item_id, "prediction": json.dumps(said), "label": json.dumps(right)}
        share = sum(a == b for a, b in zip(said, right, strict=True)) / len(right)
        found.append(ItemScore(metric="right_tags", score=share, **texts))
        found.append(ItemScore(metric="span_f1", score=span_f1(said, right), **texts))
        found.append(ItemScore(metric="all_right", score=float(said == right), **texts))
    return found


def span_f1(said: Sequence[str], right: Sequence[str]) -> float:
    """F1 of spans in BIO tags: begin, length and kind must agree; a span may begin without B, as CoNLL's scorer reads it.

    >>> span_f1(["B-PER", "I-PER", "O"], ["B-PER", "O", "B-LOC"])
    0.0
    >>> span_f1(["B-PER", "O", "O"], ["B-PER", "O", "B-LOC"])
    0.6666666666666666
    """
    ours, theirs = set(_spans(said)), set(_spans(right))
    return 2 * len(ours & theirs) / (len(ours) + len(theirs)) if ours or theirs else 1.0


def _spans(tags: Sequence[str]) -> Iterator[Span]:
    kind, start = "", 0
    for place, tag in enumerate((*tags, "O")):
        mark, _, name = tag.partition("-")
        goes_on = mark == "I" and name == kind
        if kind and not goes_on:
            yield kind, start, place
            kind = ""
        if not goes_on and mark in ("B", "I") and name:
            kind, start = name, place


KIND = Kind(metrics=("right_tags", "span_f1", "all_right"), requests=tag_requests, scores=tag_scores)
