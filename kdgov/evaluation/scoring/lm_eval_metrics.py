"""lm-eval's own metrics, re-run on recorded answers."""

from __future__ import annotations

import copy
import json
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean, perplexity
from lm_eval.api.registry import aggregation_registry

from kdgov.declarations.suite_parts.suite_metric import MetricInSuite
from kdgov.errors import InputError
from kdgov.evaluation.plan.lm_eval_tasks import LmTask
from kdgov.evaluation.plan.request import PlannedItem
from kdgov.evaluation.scoring.repeats import RepeatedMetric, Samples, repeated_metric, repeated_score
from kdgov.evaluation.scoring.scores import Answer, ItemScore, Scored, item_number, item_value
from kdgov.items.per_item_rules import rule_of

_KINDS = {"loglikelihood": "loglikelihood", "loglikelihood_rolling": "rolling", "generate_until": "generate"}
_EMPTY: Mapping[str, Answer] = {"loglikelihood": (-1.0, False), "rolling": -1.0, "generate": ""}
DERIVED = ("overconfidence", "confidence", "brier")
"""Metrics kdgov adds to every multiple-choice task: calibration needs no task of its own."""


class _StatisticError(InputError):
    """A statistic over all items that fails on those it was given."""


def score_lm_task(built: LmTask, items: Sequence[PlannedItem], answers: Mapping[str, Sequence[Answer]]) -> Scored:
    """The task's own metrics on recorded answers, through its own filters.

    Raises:
        InputError: if the suite declares a metric that the task does not give.
    """
    instances = {item.item_id: _instances(built, item, answers[item.item_id]) for item in items}
    built.task._instances = [i for group in instances.values() for i in group]  # noqa: SLF001 - the one way to hand answers to filters
    _apply_filters(built)
    filters = list(built.task._instances[0].filtered_resps)  # noqa: SLF001
    repeated = _repeated(built, items, answers) if built.repeats > 1 else {}
    raw: dict[tuple[str, str], list[Any]] = {}
    scores: list[ItemScore] = []
    for item in items:
        group = instances[item.item_id]
        per_filter: dict[str, dict[str, Any]] = {}
        for name in filters:
            per_filter[name] = dict(built.task.process_results(dict(item.doc), [i.filtered_resps[name] for i in group]))
            for metric, value in per_filter[name].items():
                raw.setdefault((metric, name), []).append(value)
        scores += _item_scores(built, item, group, per_filter, repeated.get(item.item_id, {}))
    return Scored(scores=tuple(scores), aggregates=_aggregates(built, raw))


def rehearse(built: LmTask, item: PlannedItem) -> None:
    """Score one item on empty answers, so that what no answer could mend is told before anything is asked.

    Raises:
        InputError: if an aggregation, a metric, a filter's pattern or a template of the task is at fault.
    """
    if unknown := sorted(metric for metric, rule in built.task.aggregation().items() if rule is None):
        known = ", ".join(sorted(aggregation_registry))
        raise InputError(f"{unknown[0]} has an aggregation that lm-eval does not know", where=built.where, mend=f"It knows {known}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of one item many a statistic is undefined
            score_lm_task(built, [item], {item.item_id: [_EMPTY[request.kind] for request in item.requests]})
    except re.error as error:
        raise InputError(f"a filter's pattern is no regular expression: {error}", where=built.where, mend="Correct it.") from error
    except _StatisticError:
        return  # of one item many a statistic cannot be told
    except InputError:
        raise
    except Exception:  # noqa: BLE001 - a task's own code may not bear an empty answer: the real ones then decide
        return


def _apply_filters(built: LmTask, named: Collection[str | None] | None = None) -> None:
    """The task's filters on its instances; of them those that are named alone, None being the first."""
    every = list(getattr(built.task, "_filters", ()))
    try:
        if named is None:
            built.task.apply_filters()
        for chosen in (one for one in every if named is not None and (one.name in named or (None in named and one is every[0]))):
            chosen.apply(built.task._instances)  # noqa: SLF001 - as above
    except AssertionError as error:
        what = f"a filter cannot read the answers: {error}"
        raise InputError(
            what, where=built.where, mend="Set `repeats` of the task file to what its filters take, or correct them."
        ) from error


def _instances(built: LmTask, item: PlannedItem, answers: Sequence[Answer]) -> list[Instance]:
    fresh = []
    own = item.requests[:: built.repeats]
    # Asked once, a greedy answer is what every repeat of it would be: filters that vote over repeats find as many as the task names.
    copies = int(getattr(built.task.config, "repeats", 1) or 1) if built.repeats == 1 else 1
    for index, request in enumerate(own):
        said = answers[index * built.repeats : (index + 1) * built.repeats]
        kind = next(k for k, v in _KINDS.items() if v == request.kind)
        arguments: tuple[Any, ...] = (request.context,)
        if kind == "loglikelihood":
            arguments = (request.context, request.continuation)
        elif kind == "generate_until":
            arguments = (request.context, copy.deepcopy(dict(request.generation)))
        made = Instance(request_type=kind, doc=dict(item.doc), arguments=arguments, idx=index, metadata=(built.declared.task, 0, 1))  # type: ignore[arg-type]
        made.resps = [_response(kind, answer) for answer in said for _ in range(copies)]
        fresh.append(made)
    return fresh


def _repeated(built: LmTask, items: Sequence[PlannedItem], answers: Mapping[str, Sequence[Answer]]) -> dict[str, dict[str, Samples]]:
    """Every repeated answer scored alone: item → filter → its samples."""
    found: dict[str, dict[str, list[tuple[str, Mapping[str, Any]]]]] = {}
    over = [m for m in built.declared.metrics if m.judge is None and repeated_metric(m.source or m.metric)]
    # A filter that votes over repeats cannot read one answer: only those are applied that a metric over single answers names.
    named = {m.filter for m in over}
    for number in range(built.repeats):
        alone = {item.item_id: _instances(built, item, answers[item.item_id]) for item in items}
        for group in alone.values():
            for instance in group:
                instance.resps = [instance.resps[number]]
        built.task._instances = [i for group in alone.values() for i in group]  # noqa: SLF001 - as above
        _apply_filters(built, named)
        for item in items if named else ():
            group = alone[item.item_id]
            for name in group[0].filtered_resps:
                values = dict(built.task.process_results(dict(item.doc), [i.filtered_resps[name] for i in group]))
                found.setdefault(item.item_id, {}).setdefault(name, []).append((str(group[0].filtered_resps[name]), values))
    return {
        item: {name: Samples(texts=tuple(t for t, _ in rows), values=tuple(v for _, v in rows)) for name, rows in named.items()}
        for item, named in found.items()
    }


def _over_repeats(said: RepeatedMetric, samples: Samples, built: LmTask, item: PlannedItem) -> float | None:
    def of_one(values: Mapping[str, Any]) -> float | None:
        if said.metric not in values:
            known = ", ".join(sorted(values))
            raise InputError(f"metrics: the task gives no {said.metric!r}", where=built.where, mend=f"It gives {known}.")
        return item_value(said.metric, values[said.metric], where=built.where)

    def of_text(text: str) -> float | None:
        return of_one(dict(built.task.process_results(dict(item.doc), [text])))

    return repeated_score(said, samples, of_one=of_one, of_text=of_text, where=built.where)


def _response(kind: str, answer: Answer) -> Any:
    match kind:
        case "loglikelihood":
            return (float(answer[0]), bool(answer[1]))
        case "loglikelihood_rolling":
            return float(answer[0])
        case _:
            return str(answer)


def _item_scores(
    built: LmTask,
    item: PlannedItem,
    group: Sequence[Instance],
    per_filter: Mapping[str, Mapping[str, Any]],
    samples: Mapping[str, Samples],
) -> list[ItemScore]:
    found = []
    prediction, label, confidence = _answered(built, item, group)
    score: float | None
    for declared in built.declared.metrics:
        if declared.judge is not None:
            continue
        key = declared.source or declared.metric
        values = per_filter[declared.filter or next(iter(per_filter))]
        weight = None
        over = repeated_metric(key)
        if over is not None and samples:
            score = _over_repeats(over, samples[declared.filter or next(iter(samples))], built, item)
        elif over is not None:
            mend = "Write `repeats: 5` and a temperature into the task file."
            raise InputError(f"metrics: {key!r} needs repeated answers, and the task asks once", where=built.where, mend=mend)
        elif key in values:
            score, weight = _of_item(declared, key, values[key], built)
        elif key in DERIVED and confidence is not None and label:
            score = _derived(key, built, item, group, confidence=confidence, is_right=prediction == label)
        else:
            known = ", ".join(sorted(values))
            raise InputError(f"metrics: the task gives no {key!r}", where=built.where, mend=f"It gives {known}; name one as `source`.")
        if score is not None:
            found.append(
                ItemScore(
                    item_id=item.item_id,
                    metric=declared.metric,
                    score=score,
                    prediction=prediction,
                    label=label,
                    confidence=confidence,
                    weight=weight,
                )
            )
    return found


def _of_item(declared: MetricInSuite, key: str, value: Any, built: LmTask) -> tuple[float | None, float | None]:
    """An item's score, and what it counts in the task's own number.

    Raises:
        InputError: if the suite takes it for what it is not: agreement for F1, a log-likelihood for a perplexity.
    """
    found = item_number(key, value, where=built.where)
    if found is None:
        return None, None
    if rule_of(key).beside and found.metric != key == declared.metric:
        what = f"metrics: {key} is a statistic of the whole task; what an item has is whether label and prediction agree"
        statistic = "mcc" if key.startswith("mcc") else "macro_f1"
        mend = f"Declare `{{metric: {key}_agreement, source: {key}, …}}`, and let a criterion with `statistic: {statistic}` judge it."
        raise InputError(what, where=built.where, mend=mend)
    if built.task.aggregation().get(key) is perplexity and declared.direction == "lower":
        what = f"metrics: what an item has under {key!r} is its log-likelihood, of which more is better"
        raise InputError(what, where=built.where, mend="Write `direction: higher`, and a name such as `log_likelihood` with `source`.")
    return found.score, found.weight


def _answered(built: LmTask, item: PlannedItem, group: Sequence[Instance]) -> tuple[str, str, float | None]:
    task, doc = built.task, dict(item.doc)
    if group[0].request_type == "generate_until":
        return str(next(iter(group[0].filtered_resps.values()))), _label(built, doc), None
    if group[0].request_type != "loglikelihood" or len(group) < 2:
        return "", "", None
    choices = [str(c) for c in task.doc_to_choice(doc)] if getattr(task.config, "doc_to_choice", None) is not None else []
    log_likelihoods = np.array([i.resps[0][0] for i in group[: len(choices) or len(group)]])
    best = int(np.argmax(log_likelihoods))
    prediction = choices[best] if choices else str(best)
    return prediction, _label(built, doc, choices), float(_softmax(log_likelihoods)[best])


def _label(built: LmTask, doc: dict[str, Any], choices: Sequence[str] = ()) -> str:
    if built.declared.label is not None:
        return str(doc.get(built.declared.label, ""))
    multiple_inputs = bool(getattr(built.task, "multiple_input", 0))
    gold = built.task.doc_to_text(doc) if multiple_inputs else built.task.doc_to_target(doc)
    if isinstance(gold, int) and 0 <= gold < len(choices):
        return choices[gold]
    return json.dumps(gold, ensure_ascii=False, default=str) if isinstance(gold, (list, dict)) else str(gold)


def _derived(name: str, built: LmTask, item: PlannedItem, group: Sequence[Instance], *, confidence: float, is_right: bool) -> float:
    match name:
        case "overconfidence":
            return confidence - float(is_right)
        case "confidence":
            return confidence
        case _:
            choices = [str(c) for c in built.task.doc_to_choice(dict(item.doc))]
            probabilities = _softmax(np.array([i.resps[0][0] for i in group[: len(choices)]]))
            truth = np.array([float(c == _label(built, dict(item.doc), choices)) for c in choices])
            return float(np.sum((probabilities - truth) ** 2))


def _softmax(log_likelihoods: np.ndarray) -> np.ndarray:
    shifted = np.exp(log_likelihoods - np.max(log_likelihoods))
    return np.asarray(shifted / shifted.sum())


def _aggregates(built: LmTask, raw: Mapping[tuple[str, str], list[Any]]) -> dict[str, float]:
    rules, found = built.task.aggregation(), {}
    declared = {metric.source or metric.metric for metric in built.declared.metrics}
    for (metric, name), values in raw.items():
        try:
            value = rules.get(metric, mean)(values)
        except Exception as error:
            if metric not in declared:
                continue
            what = f"metrics: {metric} cannot be computed over the answers: {error}"
            raise _StatisticError(what, where=built.where, mend="Take another metric, or another aggregation in the task file.") from error
        if isinstance(value, (int, float, np.number)):
            found[f"{metric},{name}"] = float(value)
    return found
