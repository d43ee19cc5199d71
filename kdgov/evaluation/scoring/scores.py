"""What scoring an answered task gives: one value per item and metric, and the task's own aggregates beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kdgov.errors import InputError
from kdgov.items.per_item_rules import PerItem, Unjudged, per_item

Answer = Any
"""What a model answered to one request: ``[log-likelihood, is greedy]``, a log-likelihood, a text, a list of numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemScore:
    """One value of one metric on one item."""

    item_id: str
    """Which item."""
    metric: str
    """Which metric, as the suite names it."""
    score: float
    """The value; NaN where scoring failed, which no comparison accepts."""
    prediction: str = ""
    """What the model answered."""
    label: str = ""
    """What the reference says."""
    confidence: float | None = None
    """Probability the model gave its own answer, where it has one."""
    text: str = ""
    """Text for a reader."""
    weight: float | None = None
    """How much the item counts in a weighted mean, such as the words of its reference."""
    gold: float | None = None
    """What a person's label scores the same answer, where ``score`` is a judge's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One task scored for one model."""

    scores: tuple[ItemScore, ...]
    """Every item and metric."""
    aggregates: Mapping[str, float]
    """The task's own numbers, ``metric,filter`` → value, as lm-eval prints them."""


def item_value(metric: str, value: Any, *, where: str) -> float | None:
    """The number alone of `item_number`."""
    found = item_number(metric, value, where=where)
    return None if found is None else found.score


def item_number(metric: str, value: Any, *, where: str) -> PerItem | None:
    """One item's value as a number whose mean can be compared; None where the item does not take part in the metric.

    The rules are those that read foreign logs, `kdgov.items.per_item_rules`: one metric means one thing at every door.

    Raises:
        InputError: if the value is of a kind that no rule covers.
    """
    found = per_item(metric, value)
    if isinstance(found, Unjudged):
        raise InputError(
            f"metric {metric!r} gives {type(value).__name__} per item, which has no single value: {found.reason}",
            where=where,
            mend="Choose a metric that is one number per item.",
        )
    return found
