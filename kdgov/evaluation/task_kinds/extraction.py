"""Extraction: the model writes a JSON object, whose fields are compared with what is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.digest import canonical_json
from kdgov.errors import InputError
from kdgov.evaluation.plan.request import PlannedItem, Request
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Answers, Kind, field_of, generation_of, json_in, number_text, prompt_of

EXPECTED = "expected"


def extraction_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """One greedy answer that should hold a JSON object."""
    if not isinstance(field_of(doc, EXPECTED, where), Mapping):
        raise InputError("an item's `expected` is not an object", where=where, mend='Write `"expected": {"name": "Ada", "year": 1815}`.')
    generation = {**generation_of(declared), "until": list(declared.options.get("until", []))}
    return (Request(kind="generate", context=prompt_of(doc, declared, where), generation=generation),)


def extraction_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """F1 over fields, whether all are right, and whether there was an object at all."""
    found = []
    for item in items:
        said = str(answers[item.item_id][0])
        objects = [value for value in json_in(said) if isinstance(value, Mapping)]
        # The last object counts: models think aloud, or repeat the schema, before they answer.
        given: Mapping[str, Any] = objects[-1] if objects else {}
        right = item.doc[EXPECTED]
        score = fields_f1(given, right)
        texts: dict[str, Any] = {"item_id": item.item_id, "prediction": said, "label": canonical_json(right).decode()}
        found.append(ItemScore(metric="fields_f1", score=score, **texts))
        found.append(ItemScore(metric="exact_object", score=float(bool(objects) and score == 1.0), **texts))
        found.append(ItemScore(metric="valid_json", score=float(bool(objects)), **texts))
    return found


def fields_f1(given: Mapping[str, Any], right: Mapping[str, Any]) -> float:
    """Harmonic mean of precision and recall over pairs of path and value; 1 where both are empty.

    >>> fields_f1({"name": "Ada", "year": 1816}, {"name": "ada ", "year": 1815})
    0.5
    """
    ours, theirs = Counter(_leaves(given)), Counter(_leaves(right))
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((ours & theirs).values())
    return 2 * shared / (ours.total() + theirs.total())


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every value with its path; lists are bags, text counts without case and outer spaces, 1 and 1.0 are equal."""
    match value:
        case Mapping():
            for key, inner in value.items():
                yield from _leaves(inner, f"{path}.{key}")
        case list():
            for inner in value:
                yield from _leaves(inner, f"{path}[]")
        case str():
            yield path, " ".join(value.split()).casefold()
        case bool() | None:
            yield path, repr(value)
        case _:
            yield path, number_text(value)


KIND = Kind(metrics=("fields_f1", "exact_object", "valid_json"), requests=extraction_requests, scores=extraction_scores)
