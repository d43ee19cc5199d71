"""Suites written from items: task files in lm-eval's format, the items beside them, and what every number means."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import yaml

from kdgov.digest import digest_bytes
from kdgov.scaffold.item_files import ItemTask

FOLDER = "suites"
_TITLES = {
    "capability": ("What the teacher can do that its student must still be able to do", "Questions with one right answer or choice."),
    "safety": (
        "Refuses what must be refused, and answers what need not be",
        "Answers are labelled by rules in thirteen languages, which no labelled answers of these models have validated yet: add some under "
        "`judges.refusals.validation` before you trust small differences.",
    ),
}
_METRICS = {
    "answer": "exact_match",
    "choice": "acc",
    "letter": "exact_match",
    "refuse": "refused",
    "comply": "answered",
    "class": "correct",
}
_FIRST = {"function": "take_first"}
_SHORTEST_ANSWER, _REPLY_TOKENS, _CHARACTERS_PER_TOKEN = 16, 64, 2


def metric_of(task: ItemTask) -> str:
    """Name of the one metric of a task."""
    return _METRICS[task.shape]


def suite_files(tasks: Sequence[ItemTask], *, schema: str, licence: str | None = None, context: int | None = None) -> dict[str, str]:
    """Path → text of every suite the tasks need.

    Args:
        tasks: what `read_item_files` gave.
        schema: first line of every suite file, which names the schema for editors.
        licence: identifier of the items' licence, where somebody said it.
        context: tokens that both models take in all, where their configurations say so.
    """
    files: dict[str, str] = {}
    for suite in dict.fromkeys(task.suite for task in tasks):
        own = [task for task in tasks if task.suite == suite]
        for task in own:
            files[f"{FOLDER}/{suite}/{task.name}.jsonl"] = _lines(task)
            if task.shape != "class":
                files[f"{FOLDER}/{suite}/{task.name}.yaml"] = _yaml(_lm_eval_task(task, context))
        files[f"{FOLDER}/{suite}/suite.yaml"] = schema + _yaml(_suite(suite, own, licence))
    return files


def _lines(task: ItemTask) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in task.rows)


def _suite(name: str, tasks: Sequence[ItemTask], licence: str | None) -> dict[str, Any]:
    title, description = _TITLES[name]
    judges = {"judges": {"refusals": {"kind": "refusal"}}} if name == "safety" else {}
    return {
        "schema": "kdgov.suite/1",
        "name": name,
        "title": title,
        "description": description,
        **({"license": licence} if licence else {}),
        **judges,
        "tasks": [_task(t) for t in tasks],
    }


def _task(task: ItemTask) -> dict[str, Any]:
    metric: dict[str, Any] = {"metric": metric_of(task)}
    if task.suite == "safety":
        metric["judge"] = "refusals"
    metric |= {"direction": "higher", "ideal": 1.0, "chance": task.chance, "range": [0, 1]}
    file = f"{task.name}.jsonl"
    asked = (
        {"kind": "classification", "label": "label", "options": {"text": "text"}}
        if task.shape == "class"
        else {"file": f"{task.name}.yaml"}
    )
    return {
        "task": task.name,
        **asked,
        "data": {"path": file, "digest": digest_bytes(_lines(task).encode())},
        **({"cluster": "cluster"} if task.has_clusters else {}),
        **({"label": "answer"} if task.shape in ("answer", "letter") else {}),
        **({"sensitive": "harmful"} if task.shape == "refuse" else {}),
        "metrics": [metric],
    }


def _lm_eval_task(task: ItemTask, context: int | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "task": task.name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": f"{task.name}.jsonl"}},
        "test_split": "test",
        "doc_to_text": "{{question}}",
        "target_delimiter": " ",
        "metadata": {"version": 1},
    }
    if task.shape == "choice":
        score = {"metric": "acc", "aggregation": "mean", "higher_is_better": True}
        return {**made, "output_type": "multiple_choice", "doc_to_choice": "choices", "doc_to_target": "label", "metric_list": [score]}
    if task.shape == "letter":
        made |= {"filter_list": [{"name": "letter", "filter": [{"function": "regex", "regex_pattern": r"\b([A-Z])\b"}, _FIRST]}]}
    score = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True, "ignore_case": True, "ignore_punctuation": True}
    answered = task.shape in ("answer", "letter")
    return {
        **made,
        "output_type": "generate_until",
        "doc_to_target": "{{answer}}" if answered else "",
        "generation_kwargs": {"until": ["\n"] if answered else ["\n\n"], "do_sample": False, "max_gen_toks": _answer_tokens(task, context)},
        "metric_list": [score],
    }


def _answer_tokens(task: ItemTask, context: int | None) -> int:
    """Room for the longest right answer, or for a refusal in full; a quarter of what the models take at most."""
    longest = max((len(row.get("answer", "")) for row in task.rows), default=0)
    tokens = max(_SHORTEST_ANSWER, longest // _CHARACTERS_PER_TOKEN) if task.shape in ("answer", "letter") else _REPLY_TOKENS
    return tokens if context is None else max(1, min(tokens, context // 4))


def _yaml(value: Any) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    return text
