"""What a kind of task is: rows become items, items become questions, answers become numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.errors import InputError
from kdgov.evaluation.plan.item_data import Row
from kdgov.evaluation.plan.request import PlannedItem, Request
from kdgov.evaluation.scoring.scores import Answer, ItemScore

Answers = Mapping[str, Sequence[Answer]]
Documents = Callable[[Sequence[Row], TaskInSuite, str], Sequence[Row]]
Requests = Callable[[Mapping[str, Any], TaskInSuite, str], tuple[Request, ...]]
Scores = Callable[[Sequence[PlannedItem], Answers, TaskInSuite, "Answers | None"], list[ItemScore]]


def as_they_are(rows: Sequence[Row], declared: TaskInSuite, where: str) -> Sequence[Row]:
    """The rows themselves: most kinds take an item per row."""
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One way to ask and score."""

    metrics: tuple[str, ...]
    """Metrics it can give."""
    requests: Requests
    """Item → questions."""
    scores: Scores
    """Answers (and, where it compares, the teacher's) → numbers."""
    documents: Documents = as_they_are
    """Rows of the file → items."""
    version: str = "1"
    """Raised whenever the meaning of a number changes."""
    compares: bool = False
    """Whether the numbers need the teacher's answers."""


def field_of(doc: Mapping[str, Any], name: str, where: str) -> Any:
    """A field of an item.

    Raises:
        InputError: if the item lacks it.
    """
    if doc.get(name) is None:
        raise InputError(
            f"an item has no {name!r}", where=where, mend=f"Its fields are {', '.join(sorted(map(str, doc)))}; `columns` renames."
        )
    return doc[name]


def prompt_of(doc: Mapping[str, Any], declared: TaskInSuite, where: str, **further: str) -> str:
    """What is asked of an item: its ``input`` (or ``options.field``), put into ``options.prompt`` where there is one.

    Args:
        doc: the item.
        declared: the task.
        where: place for messages.
        further: names that a prompt may use besides ``{input}``.
    """
    text = str(field_of(doc, str(declared.options.get("field", "input")), where))
    asked = str(declared.options.get("prompt", "{input}"))
    for name, value in further.items():
        asked = asked.replace(f"{{{name}}}", value)
    # Last, so that braces in an item are no placeholders.
    return asked.replace("{input}", text)


_LONGEST_ANSWER, _MOST_STARTS = 200_000, 200


def json_in(text: str) -> list[Any]:
    """JSON objects and lists that a text holds, in order, none inside another; what is no JSON is passed over."""
    decoder, found, place = json.JSONDecoder(), [], 0
    text = text[:_LONGEST_ANSWER]
    for _ in range(_MOST_STARTS):
        starts = [at for at in (text.find("{", place), text.find("[", place)) if at >= 0]
        if not starts:
            break
        place = min(starts)
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            place += 1
            continue
        found.append(value)
        place = end
    return found


def number_text(value: float) -> str:
    """A number as it is compared: 1 and 1.0 are equal; one too large for a float is compared by its digits."""
    try:
        return f"{float(value):.12g}"
    except OverflowError:
        return str(value)


def generation_of(declared: TaskInSuite) -> dict[str, Any]:
    """Greedy settings of an answer, with the task's stops and length."""
    options = declared.options
    return {
        "until": list(options.get("until", ["\n"])),
        "max_gen_toks": int(options.get("max_gen_toks", 64)),
        "do_sample": False,
        "temperature": 0.0,
    }


def comparable(text: str) -> str:
    """An answer without case, punctuation and spacing."""
    return re.sub(r"\W+", " ", text).strip().lower()
