"""lm-eval tasks: built once, their requests frozen, their own metrics re-run on recorded answers.

This is the one module that knows lm-eval's task interface; the rest of kdgov sees frozen requests and typed scores. lm-eval's
two caches are never used: both have been seen to serve one model's answers as another's.
"""

from __future__ import annotations

import copy
import functools
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from lm_eval import utils as lm_eval_utils
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean
from lm_eval.api.task import ConfigurableTask, Task
from lm_eval.tasks._yaml_loader import load_yaml

from kdgov.declare.suite import TaskInSuite
from kdgov.digest import canonical_json, digest_file, digest_json
from kdgov.errors import InputError, UnavailableError
from kdgov.evaluate.builtin import builtin_task_file, lm_eval_version
from kdgov.evaluate.data import Row, read_data
from kdgov.evaluate.request import CHAT, PlannedItem, Request, jsonable
from kdgov.evaluate.scored import Answer, ItemScore, Scored, item_value

# Not part of a task's meaning: where it lies on this machine.
_PLACES = ("dataset_kwargs", "custom_dataset", "metadata", "task_alias", "tag", "group")
_KINDS = {"loglikelihood": "loglikelihood", "loglikelihood_rolling": "rolling", "generate_until": "generate"}
DERIVED = ("overconfidence", "confidence", "brier")
"""Metrics kdgov adds to every multiple-choice task: calibration needs no task of its own."""


# lm-eval compiles a prompt's template anew for every item: a third of the time to freeze a plan. A template is a pure function of
# its text, so compiling it once changes no prompt.
if not hasattr(lm_eval_utils.env.from_string, "cache_info"):
    lm_eval_utils.env.from_string = functools.lru_cache(maxsize=4096)(lm_eval_utils.env.from_string)


@dataclass(frozen=True, slots=True, kw_only=True)
class LmTask:
    """One lm-eval task, built, with what decides its numbers."""

    task: Task
    """lm-eval's own object."""
    declared: TaskInSuite
    """What the suite says of it."""
    settings: Mapping[str, Any]
    """Everything but the items that decides its numbers."""
    where: str
    """Place for messages."""


def build_lm_task(declared: TaskInSuite, *, suite_file: Path) -> LmTask:
    """Load one task, its data pinned and its few-shot draw seeded.

    Raises:
        InputError: if the task or its data are at fault.
        UnavailableError: if its hub data are not here and the hub is not reachable.
    """
    where = f"{suite_file}: tasks.{declared.task}"
    name = declared.lm_eval or declared.task
    file = (suite_file.parent / declared.file) if declared.file else builtin_task_file(name, where=where)
    config = dict(load_yaml(file, resolve_func=True))
    for key in ("tag", "group", "task_list"):
        config.pop(key, None)
    data_facts = _point_at_data(config, declared, suite_file)
    if declared.num_fewshot is not None:
        config["num_fewshot"] = declared.num_fewshot
    task = _construct(config, declared, where)
    task.set_fewshot_seed(declared.fewshot_seed)
    if getattr(task, "MULTIMODAL", False) or getattr(task, "UNSAFE_CODE", False):
        raise InputError("the task needs images, sound or to run code that a model wrote", where=where, mend="Choose a text task.")
    return LmTask(task=task, declared=declared, settings=_settings(task, declared, file, data_facts), where=where)


def _point_at_data(config: dict[str, Any], declared: TaskInSuite, suite_file: Path) -> dict[str, Any]:
    if declared.data is None:
        kwargs = dict(config.get("dataset_kwargs") or {})
        if declared.hub is not None and declared.hub.revision:
            kwargs["revision"] = declared.hub.revision
        config["dataset_kwargs"] = kwargs or None
        revision = kwargs.get("revision")
        return {"hub": config.get("dataset_path"), "name": config.get("dataset_name"), "revision": revision}
    rows, digest = read_data(declared.data, suite_file=suite_file, key=f"tasks.{declared.task}.data")
    splits = {config.get("test_split") or config.get("validation_split") or "test": rows}
    config.setdefault("test_split", next(iter(splits)))
    facts = {"digest": digest, "rows": len(rows)}
    if declared.fewshot_data is not None:
        shots, facts["fewshot_digest"] = read_data(declared.fewshot_data, suite_file=suite_file, key=f"tasks.{declared.task}.fewshot_data")
        config["fewshot_split"] = "fewshot"
        splits["fewshot"] = shots
    # In memory: the hub library's own cache of local files is keyed by path and time, not by content.
    built = {split: _dataset(values, suite_file) for split, values in splits.items()}
    config.update(dataset_path="json", dataset_kwargs=None, custom_dataset=lambda **_: built)
    config["metadata"] = {k: v for k, v in dict(config.get("metadata") or {}).items() if k == "version"}
    return facts


def _dataset(rows: Sequence[Row], suite_file: Path) -> datasets.Dataset:
    try:
        return datasets.Dataset.from_list(list(rows))
    except Exception as error:  # noqa: BLE001 - pyarrow raises several unrelated classes for uneven columns
        raise InputError(
            f"its items do not share one type per field: {error}",
            where=str(suite_file),
            mend="Give every field the same type in every item.",
        ) from error


def _construct(config: dict[str, Any], declared: TaskInSuite, where: str) -> Task:
    custom = config.get("class")
    try:
        if custom is not None:
            accepts = "config" in inspect.signature(custom.__init__).parameters
            return custom(config=config) if accepts else custom()
        return ConfigurableTask(config=config)
    except (ConnectionError, datasets.exceptions.DatasetNotFoundError) as error:
        raise _absent_data(config, declared, where) from error
    except (FileNotFoundError, OSError) as error:
        if "ffline" in str(error) or "ouldn't" in str(error) or "reach" in str(error):
            raise _absent_data(config, declared, where) from error
        raise


def _absent_data(config: Mapping[str, Any], declared: TaskInSuite, where: str) -> UnavailableError:
    name = "/".join(str(config[k]) for k in ("dataset_path", "dataset_name") if config.get(k))
    return UnavailableError(
        f"the hub dataset {name} of {declared.task} is not here and the hub cannot be reached",
        where=where,
        mend="Fetch it once with a connection (huggingface-cli download --repo-type dataset …), point HF_ENDPOINT at a mirror that serves "
        "datasets/<id>, or set HF_HOME to a cache that holds it.",
    )


def _settings(task: Task, declared: TaskInSuite, file: Path, data_facts: Mapping[str, Any]) -> dict[str, Any]:
    config = {k: v for k, v in task.dump_config().items() if k not in _PLACES}
    code = {p.name: digest_file(p) for p in sorted(file.parent.glob("*.py"))}
    return {
        "lm_eval": lm_eval_version(),
        "output_type": str(task.OUTPUT_TYPE),
        "config": digest_json(jsonable(json.loads(json.dumps(config, default=str)))),
        "metric_code": digest_json(code),
        "num_fewshot": int(getattr(task.config, "num_fewshot", 0) or 0),
        "fewshot_seed": declared.fewshot_seed,
        "generation": jsonable(getattr(task.config, "generation_kwargs", None) or {}),
        "chat": bool(declared.options.get("chat", False)),
        "data": dict(data_facts),
    }


def freeze_docs(built: LmTask, positions: Sequence[int]) -> list[tuple[dict[str, Any], tuple[Request, ...]]]:
    """The chosen source items with their requests; few-shot examples are drawn here, once, for both models."""
    task, chat = built.task, bool(built.declared.options.get("chat", False))
    docs = task.eval_docs
    shots = int(getattr(task.config, "num_fewshot", 0) or 0)
    frozen = []
    for position in positions:
        doc = docs[position]
        context = task.fewshot_context(
            doc,
            num_fewshot=shots,
            system_instruction=built.declared.options.get("system"),
            apply_chat_template=chat,
            fewshot_as_multiturn=chat,
            chat_template=_as_messages if chat else None,
            gen_prefix=task.doc_to_prefix(doc),
        )
        made = task.construct_requests(
            doc=doc,
            ctx=context,
            metadata=(built.declared.task, position, 1),
            apply_chat_template=chat,
            chat_template=_as_messages if chat else None,
        )
        instances = made if isinstance(made, list) else [made]
        frozen.append((dict(doc), tuple(_request(i, built.where) for i in instances)))
    return frozen


def _as_messages(messages: list[dict[str, Any]], add_generation_prompt: bool = True) -> str:
    # Two models may carry two templates: what is frozen is what is said, not how either model spells it.
    return CHAT + canonical_json({"messages": messages, "add_generation_prompt": add_generation_prompt}).decode()


def _request(instance: Instance, where: str) -> Request:
    arguments = instance.args
    match instance.request_type:
        case "loglikelihood":
            return Request(kind="loglikelihood", context=str(arguments[0]), continuation=str(arguments[1]))
        case "loglikelihood_rolling":
            return Request(kind="rolling", context=str(arguments[0]))
        case "generate_until":
            return Request(kind="generate", context=str(arguments[0]), generation=copy.deepcopy(dict(arguments[1])))
        case other:
            raise InputError(f"asks for {other!r}", where=where, mend="Tasks ask for log-likelihoods or generated text.")


def score_lm_task(built: LmTask, items: Sequence[PlannedItem], answers: Mapping[str, Sequence[Answer]]) -> Scored:
    """The task's own metrics on recorded answers, through its own filters.

    Raises:
        InputError: if the suite declares a metric that the task does not give.
    """
    instances = {item.item_id: _instances(built, item, answers[item.item_id]) for item in items}
    built.task._instances = [i for group in instances.values() for i in group]  # noqa: SLF001 - the one way to hand answers to filters
    built.task.apply_filters()
    filters = list(built.task._instances[0].filtered_resps)  # noqa: SLF001
    raw: dict[tuple[str, str], list[Any]] = {}
    scores: list[ItemScore] = []
    for item in items:
        group = instances[item.item_id]
        per_filter: dict[str, dict[str, Any]] = {}
        for name in filters:
            per_filter[name] = dict(built.task.process_results(dict(item.doc), [i.filtered_resps[name] for i in group]))
            for metric, value in per_filter[name].items():
                raw.setdefault((metric, name), []).append(value)
        scores += _item_scores(built, item, group, per_filter)
    return Scored(scores=tuple(scores), aggregates=_aggregates(built.task, raw))


def _instances(built: LmTask, item: PlannedItem, answers: Sequence[Answer]) -> list[Instance]:
    fresh = []
    for index, (request, answer) in enumerate(zip(item.requests, answers, strict=True)):
        kind = next(k for k, v in _KINDS.items() if v == request.kind)
        arguments: tuple[Any, ...] = (request.context,)
        if kind == "loglikelihood":
            arguments = (request.context, request.continuation)
        elif kind == "generate_until":
            arguments = (request.context, copy.deepcopy(dict(request.generation)))
        made = Instance(request_type=kind, doc=dict(item.doc), arguments=arguments, idx=index, metadata=(built.declared.task, 0, 1))  # type: ignore[arg-type]
        made.resps = [_response(kind, answer)]
        fresh.append(made)
    return fresh


def _response(kind: str, answer: Answer) -> Any:
    match kind:
        case "loglikelihood":
            return (float(answer[0]), bool(answer[1]))
        case "loglikelihood_rolling":
            return float(answer[0])
        case _:
            return str(answer)


def _item_scores(
    built: LmTask, item: PlannedItem, group: Sequence[Instance], per_filter: Mapping[str, Mapping[str, Any]]
) -> list[ItemScore]:
    found = []
    prediction, label, confidence = _answered(built, item, group)
    for declared in built.declared.metrics:
        if declared.judge is not None:
            continue
        key = declared.source or declared.metric
        values = per_filter[declared.filter or next(iter(per_filter))]
        if key in values:
            score = item_value(key, values[key], where=built.where)
        elif key in DERIVED and confidence is not None and label:
            score = _derived(key, built, item, group, confidence=confidence, is_right=prediction == label)
        else:
            known = ", ".join(sorted(values))
            raise InputError(f"metrics: the task gives no {key!r}", where=built.where, mend=f"It gives {known}; name one as `source`.")
        if score is not None:
            found.append(
                ItemScore(
                    item_id=item.item_id, metric=declared.metric, score=score, prediction=prediction, label=label, confidence=confidence
                )
            )
    return found


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


def _aggregates(task: Task, raw: Mapping[tuple[str, str], list[Any]]) -> dict[str, float]:
    rules = task.aggregation()
    found = {}
    for (metric, name), values in raw.items():
        value = rules.get(metric, mean)(values)
        if isinstance(value, (int, float, np.number)):
            found[f"{metric},{name}"] = float(value)
    return found
