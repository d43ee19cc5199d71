"""What scoring an answered task gives: one value per item and metric, and the task's own aggregates beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdgov.errors import InputError

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One task scored for one model."""

    scores: tuple[ItemScore, ...]
    """Every item and metric."""
    aggregates: Mapping[str, float]
    """The task's own numbers, ``metric,filter`` → value, as lm-eval prints them."""


def item_value(metric: str, value: Any, *, where: str) -> float | None:
    """One item's value as a number whose mean can be compared; None where the item does not take part in the metric.

    Some lm-eval tasks return pairs that only their aggregation understands; each becomes the quantity whose mean is, or
    orders like, the aggregate.

    Raises:
        InputError: if the value is of a kind that no rule covers.
    """
    if isinstance(value, (bool, int, float, np.integer, np.floating, np.bool_)):
        return float(value)
    if isinstance(value, np.ndarray) and value.size == 1:
        return float(value.item())
    for prefix, rule in _RULES.items():
        if metric.startswith(prefix) and isinstance(value, (tuple, list)):
            return rule(value)
    raise InputError(
        f"metric {metric!r} gives {type(value).__name__} per item, which has no single value",
        where=where,
        mend="Choose a metric that is one number per item.",
    )


def _bits_per_unit(value: Sequence[Any]) -> float:
    log_likelihood, units = float(value[0]), float(value[1])
    return -log_likelihood / (units * math.log(2)) if units else math.nan


def _nats_per_unit(value: Sequence[Any]) -> float:
    # The aggregate is exp of the unit-weighted mean of this, so both move together.
    log_likelihood, units = float(value[0]), float(value[1])
    return -log_likelihood / units if units else math.nan


def _brier(value: Sequence[Any]) -> float:
    gold, probabilities = value[0], np.asarray(value[1], dtype=float)
    truth = np.zeros_like(probabilities)
    truth[int(gold)] = 1.0
    return float(np.sum((probabilities - truth) ** 2))


def _agreement(value: Sequence[Any]) -> float:
    return float(value[0] == value[1])


def _accuracy_where(is_disambiguated: bool) -> Callable[[Sequence[Any]], float | None]:
    return lambda value: float(value[0]) if bool(value[1]) is is_disambiguated else None


def _signed_bias(is_disambiguated: bool) -> Callable[[Sequence[Any]], float | None]:
    def rule(value: Sequence[Any]) -> float | None:
        # BBQ: +1 a biased answer, -1 an answer against the bias, 0 "unknown". In ambiguous contexts the mean equals
        # s_AMB exactly, because there 1 - accuracy is the share of answers that are not "unknown".
        _, biased, known, mask = value
        if np.isnan(known) or bool(mask) is not is_disambiguated:
            return None
        return 2.0 * float(biased) - float(known)

    return rule


_RULES: dict[str, Callable[[Sequence[Any]], float | None]] = {
    "bits_per_byte": _bits_per_unit,
    "byte_perplexity": _nats_per_unit,
    "word_perplexity": _nats_per_unit,
    "brier_score": _brier,
    "f1": _agreement,
    "mcc": _agreement,
    "accuracy_amb": _accuracy_where(False),
    "accuracy_disamb": _accuracy_where(True),
    "amb_bias_score": _signed_bias(False),
    "disamb_bias_score": _signed_bias(True),
}
