"""What a metric's value for one item means: the one table that evaluation's scorer and the readers of foreign logs share.

Harnesses log per item whatever their aggregation needs: a log-likelihood under the name ``perplexity``, a pair of gold and prediction
under ``f1``, a text and its reference under ``bleu``. Each becomes the number whose mean is, or orders like, the aggregate; or it is
named as something that no item has a number for.

Example:
    >>> per_item("word_perplexity", [-30.0, 10.0])
    PerItem(score=3.0, metric='word_perplexity_nats', weight=10.0, label=None, prediction=None)
    >>> per_item("acc", True).score
    1.0
    >>> per_item("bleu", ["a cat", "a dog"])
    Unjudged(reason='bleu is a statistic of the whole corpus, which no single item has')
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from kdgov.items.metric import Direction

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf)")
_WORDS = {"true": 1.0, "false": 0.0, "nan": math.nan, "none": math.nan}
_PAIR = 2
_ONE_LABEL = (bool, int, float, str, np.integer, np.floating, np.bool_, np.str_)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerItem:
    """One item's number under the name that says what it is."""

    score: float
    """The number; NaN where it is missing."""
    metric: str
    """Name of what the number is: the metric's own, or one that tells the difference."""
    weight: float | None = None
    """How much the item counts in the metric's aggregate; None: as much as every other."""
    label: str | None = None
    """Reference of a classification, where the value was a pair."""
    prediction: str | None = None
    """Prediction of a classification, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unjudged:
    """Why a metric has no number for one item."""

    reason: str
    """In a plain sentence."""


Aggregate = Callable[[Sequence[PerItem]], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one family of metrics is read."""

    metrics: str
    """Metric name or glob."""
    value: Callable[[str, Any], PerItem | Unjudged | None]
    """The item's number; None where the item takes no part in the metric."""
    direction: Direction | None = None
    """Which way the item's number is better; None: as the harness states for the metric."""
    low: float | None = None
    """Smallest possible number."""
    high: float | None = None
    """Largest possible number."""
    aggregate: Aggregate | None = None
    """The harness's own aggregate, from the items' numbers; None where it cannot be computed from them."""
    beside: bool = False
    """Whether the metric itself stays unjudged although its items have a number: the number is another quantity."""


def per_item(metric: str, value: Any) -> PerItem | Unjudged | None:
    """What one item's value of a metric means; None where the item takes no part in the metric."""
    return rule_of(metric).value(metric, value)


def rule_of(metric: str) -> Rule:
    """The row of the table for a metric."""
    return next(rule for rule in RULES if fnmatchcase(metric, rule.metrics))


def scalar(value: Any) -> float | None:
    """A value as one number; None where it is not one.

    Texts count where a harness wrote a number as text; ``None`` is NaN.
    """
    if value is None:
        return math.nan
    if isinstance(value, (bool, int, float, np.integer, np.floating, np.bool_)):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, np.ndarray) and value.size == 1:
        return float(value.item())
    if isinstance(value, str):
        text = value.strip().lower()
        if text in _WORDS:
            return _WORDS[text]
        return float(text) if _NUMBER.fullmatch(text) else None
    return None


def mean_score(items: Sequence[PerItem]) -> float:
    """The plain mean."""
    return math.fsum(item.score for item in items) / len(items) if items else math.nan


def weighted_mean(items: Sequence[PerItem]) -> float:
    """The mean weighted by words, bytes or answers."""
    total = math.fsum(item.weight or 0.0 for item in items)
    return math.fsum(item.score * (item.weight or 0.0) for item in items) / total if total else math.nan


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _plain(metric: str, value: Any) -> PerItem | Unjudged | None:
    number = scalar(value)
    if number is not None:
        return PerItem(score=number, metric=metric)
    kind = "a list" if isinstance(value, (list, tuple)) else "an object" if isinstance(value, dict) else f"a {type(value).__name__}"
    return Unjudged(reason=f"{metric} is {kind} per item, for which there is no rule")


def _nats_per_unit(metric: str, value: Any) -> PerItem | Unjudged | None:
    pair = _numbers(value)
    if len(pair) != _PAIR:
        return _plain(f"{metric}_nats", value) if scalar(value) is not None else _plain(metric, value)
    log_likelihood, units = pair
    # The aggregate is exp of the unit-weighted mean of this, so both move together.
    return PerItem(score=-log_likelihood / units if units > 0 else math.nan, metric=f"{metric}_nats", weight=units)


def _nats_of_item(metric: str, value: Any) -> PerItem | Unjudged | None:
    pair = _numbers(value)
    return PerItem(score=-pair[0], metric=f"{metric}_nats") if len(pair) == _PAIR else _plain(metric, value)


def _bits_per_unit(metric: str, value: Any) -> PerItem | Unjudged | None:
    pair = _numbers(value)
    if len(pair) != _PAIR:
        return _plain(metric, value)
    log_likelihood, units = pair
    return PerItem(score=-log_likelihood / (units * math.log(2)) if units > 0 else math.nan, metric=metric, weight=units)


def _brier(metric: str, value: Any) -> PerItem | Unjudged | None:
    if not (isinstance(value, (list, tuple)) and len(value) == _PAIR):
        return _plain(metric, value)
    gold, probabilities = scalar(value[0]), np.asarray(_numbers(value[1]), dtype=float)
    if gold is None or not 0 <= gold < len(probabilities) or gold != int(gold):
        return Unjudged(reason=f"{metric} is not [gold, probabilities] in every item")
    truth = np.zeros_like(probabilities)
    truth[int(gold)] = 1.0
    return PerItem(score=float(np.sum((probabilities - truth) ** 2)), metric=metric, label=str(int(gold)))


def _agreement(metric: str, value: Any) -> PerItem | Unjudged | None:
    if scalar(value) is not None:
        return _plain(metric, value)
    if isinstance(value, (list, tuple)) and len(value) == _PAIR and all(isinstance(v, _ONE_LABEL) for v in value):
        gold, prediction = (v.item() if isinstance(v, np.generic) else v for v in value)
        return PerItem(score=float(gold == prediction), metric=f"{metric}_agreement", label=str(gold), prediction=str(prediction))
    return Unjudged(reason=f"{metric} is no pair of gold and prediction in every item")


def _corpus(metric: str, value: Any) -> PerItem | Unjudged | None:
    if scalar(value) is not None:
        return _plain(metric, value)
    return Unjudged(reason=f"{metric} is a statistic of the whole corpus, which no single item has")


def _share(metric: str, value: Any) -> PerItem | Unjudged | None:
    numbers = _numbers(value) if isinstance(value, (list, tuple)) else []
    if not numbers or len(numbers) != len(value):
        return _plain(metric, value)
    return PerItem(score=math.fsum(numbers) / len(numbers), metric=metric, weight=float(len(numbers)))


def _accuracy_where(is_disambiguated: bool) -> Callable[[str, Any], PerItem | Unjudged | None]:
    def rule(metric: str, value: Any) -> PerItem | Unjudged | None:
        if not isinstance(value, (list, tuple)):
            return _plain(metric, value)
        return PerItem(score=float(value[0]), metric=metric) if bool(value[1]) is is_disambiguated else None

    return rule


def _signed_bias(is_disambiguated: bool) -> Callable[[str, Any], PerItem | Unjudged | None]:
    def rule(metric: str, value: Any) -> PerItem | Unjudged | None:
        # BBQ: +1 a biased answer, -1 an answer against the bias, 0 "unknown". In ambiguous contexts the mean equals
        # s_AMB exactly, because there 1 - accuracy is the share of answers that are not "unknown".
        if not isinstance(value, (list, tuple)):
            return _plain(metric, value)
        _, biased, known, mask = value
        known = math.nan if known is None else float(known)
        if math.isnan(known) or bool(mask) is not is_disambiguated:
            return None
        return PerItem(score=2.0 * float(biased) - known, metric=metric)

    return rule


def _numbers(value: Any) -> list[float]:
    if isinstance(value, str):
        return [float(n) for n in _NUMBER.findall(value)]
    if isinstance(value, np.ndarray):
        return [float(n) for n in value.ravel()]
    found = [scalar(v) for v in value] if isinstance(value, (list, tuple)) else []
    return [n for n in found if n is not None]


RULES: tuple[Rule, ...] = (
    # lm_eval's `perplexity` of `output_type: loglikelihood` logs the log-likelihood itself; exp(-mean) is the aggregate.
    Rule(metrics="perplexity", value=_plain, direction="higher", high=0.0, aggregate=lambda items: _exp(-mean_score(items))),
    Rule(metrics="word_perplexity", value=_nats_per_unit, direction="lower", low=0.0, aggregate=lambda items: _exp(weighted_mean(items))),
    Rule(metrics="byte_perplexity", value=_nats_per_unit, direction="lower", low=0.0, aggregate=lambda items: _exp(weighted_mean(items))),
    # lighteval's `ppl`: exp of the plain mean of the items' nats, whatever their lengths.
    Rule(metrics="ppl", value=_nats_of_item, direction="lower", low=0.0),
    Rule(metrics="bits_per_byte", value=_bits_per_unit, direction="lower", low=0.0, aggregate=weighted_mean),
    Rule(metrics="brier_score", value=_brier, direction="lower", low=0.0, high=2.0, aggregate=mean_score),
    Rule(metrics="f1*", value=_agreement, direction="higher", low=0.0, high=1.0, beside=True),
    Rule(metrics="loglikelihood_f1", value=_agreement, direction="higher", low=0.0, high=1.0, beside=True),
    Rule(metrics="mcc*", value=_agreement, direction="higher", low=0.0, high=1.0, beside=True),
    Rule(metrics="bleu", value=_corpus),
    Rule(metrics="chrf", value=_corpus),
    Rule(metrics="ter", value=_corpus),
    Rule(metrics="inst_level_*", value=_share, direction="higher", low=0.0, high=1.0, aggregate=weighted_mean),
    Rule(metrics="accuracy_amb*", value=_accuracy_where(False), direction="higher", low=0.0, high=1.0, aggregate=mean_score),
    Rule(metrics="accuracy_disamb*", value=_accuracy_where(True), direction="higher", low=0.0, high=1.0, aggregate=mean_score),
    Rule(metrics="amb_bias_score*", value=_signed_bias(False), low=-1.0, high=1.0),
    Rule(metrics="disamb_bias_score*", value=_signed_bias(True), low=-1.0, high=1.0),
    *(
        Rule(metrics=name, value=_plain, low=0.0, high=1.0, aggregate=mean_score)
        for name in ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "acc_all", "exact_match", "em", "mc1", "pass@*", "prompt_level_*")
    ),
    Rule(metrics="*", value=_plain, aggregate=mean_score),
)
"""Every rule, the first that matches holds; the last is a plain number."""
