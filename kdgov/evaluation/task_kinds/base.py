"""What a kind of task is: rows become items, items become questions, answers become numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdgov.declarations.suite import TaskInSuite
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
