"""What a reader of result files is: whose file is this, and which rows does it hold.

A reader is one module of `kdgov.items.readers` with a row ``READER``, listed in `kdgov.items.readers.item_readers`; packages add theirs
through the entry points ``kdgov.item_readers``, whose objects are rows as well.

Example:
    >>> def claims(source):
    ...     return "scores" if "my_tool" in source.first else ""
    >>> def read(scores, beside):
    ...     rows = [{"suite": "mine", "task": "t", "item_id": str(n), "metric": "m", "score": r["score"]}
    ...             for source in scores for n, r in source.records()]
    ...     return Reading(rows=rows)
    >>> READER = Reader(name="mine", tool="My tool", seen="1.0", claims=claims, read=read)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kdgov.errors import InputError
from kdgov.finding import Finding, FindingVerdict
from kdgov.finding_rules import RULES
from kdgov.items.formats.source import Source
from kdgov.items.metric import MetricDeclaration
from kdgov.items.per_item_rules import scalar
from kdgov.items.table import ItemTable

TOOL_SUITES = frozenset(
    {
        "lm_eval", "inspect", "lighteval", "helm", "openai_evals", "evalplus", "alpaca_eval", "promptfoo", "deepeval", "nemo_evaluator",
        "mlflow",
    }
)  # fmt: skip
"""Suite names that the readers of other tools give to rows."""

Claim = Literal["scores", "beside", ""]
"""``scores``: the file holds scores of items; ``beside``: it is the tool's and holds none; empty: it is not the tool's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a reader made of one model's files."""

    rows: Sequence[Mapping[str, Any]] = ()
    """Rows of the item table."""
    table: ItemTable | None = None
    """The table itself, where it was read as one; then ``rows`` is empty."""
    metrics: tuple[MetricDeclaration, ...] = ()
    """Which way each metric is better, where the tool states it."""
    findings: tuple[Finding, ...] = ()
    """What could not be judged, and what contradicts itself."""
    asked: Mapping[str, str] = field(default_factory=dict)
    """How the items were asked, as far as the files tell: a name such as ``gsm8k: few-shot examples`` → its value."""
    model: str = ""
    """The model's name, as the tool wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One tool's result files."""

    name: str
    """Short name, also the suite of the rows where the tool has no suites."""
    tool: str
    """The tool's name, for messages."""
    seen: str
    """Versions whose files the reader has been tried on, for docs/gate.md."""
    claims: Callable[[Source], Claim]
    """Whose file it is, from its name, its first bytes or its keys."""
    read: Callable[[Sequence[Source], Sequence[Source]], Reading]
    """The rows of files that hold scores, given those that lie beside them."""


def one_model(known: str, named: str, source: Source) -> str:
    """The model of all files so far, given the next file's.

    Raises:
        InputError: if the two differ: then nobody knows whose results they are.
    """
    if known and named and known != named:
        what = f"names the model {named!r}, other results here {known!r}"
        raise InputError(what, where=str(source), mend="Keep one folder per model, and name that folder.")
    return known or named


def evidence_finding(rule: str, subject: str, reason: str, mend: str = "", **details: Any) -> Finding:
    """A finding of the check ``evidence`` at the level its rule has in `kdgov.finding_rules`."""
    verdict: FindingVerdict = RULES[f"evidence.{rule}"].verdict
    return Finding(check="evidence", verdict=verdict, subject=subject, reason=reason, mend=mend, rule=f"evidence.{rule}", details=details)


def not_judged(task: str, metric: str, reason: str) -> Finding:
    """The finding that names a metric which was evaluated and cannot be judged."""
    mend = "Log one number per item, or let `findings: {evidence.not-judged: warn}` say that the release does not rest on it."
    return evidence_finding("not-judged", f"{task}/{metric}", f"{reason}; it is not judged.", mend)


def not_taking_part(subject: str, metric: str, left: int, items: int) -> Finding:
    """The finding that items take no part in a metric by the task's own word; another set of them for the other model is no comparison."""
    reason = f"{left:,} of {items:,} items take no part in {metric}, as the task itself says of them: the number rests on the others."
    return evidence_finding("items-not-applicable", subject, reason, "See that it is the item that decides this, and not the answer.")


def item_proxy(task: str, metric: str, judged: str) -> Finding:
    """The finding that names a statistic of a whole task whose items are judged one by one instead."""
    reason = f"{metric} is a statistic of the whole task: its items are judged as {judged}, {metric} itself is not."
    return evidence_finding("item-proxy", f"{task}/{metric}", reason)


def one_row_per_item(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose repeats are brought together: an item's score is the mean over its samples.

    Samples of one item are no items: counted as such they would pretend to more evidence than there is.
    """
    kept: dict[tuple[str, ...], dict[str, Any]] = {}
    scores: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        key: tuple[str, ...] = (str(row["suite"]), str(row["task"]), str(row["item_id"]), str(row["metric"]))
        kept.setdefault(key, dict(row))
        number = scalar(row["score"])
        scores.setdefault(key, []).append(math.nan if number is None else number)
    for place, row in kept.items():
        row["score"] = scores[place][0]
        if len(scores[place]) > 1:
            row["score"] = math.fsum(scores[place]) / len(scores[place])
            row.pop("prediction", None)
    return list(kept.values())
