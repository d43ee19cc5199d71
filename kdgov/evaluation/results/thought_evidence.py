"""Thoughts of models that answer here: cut off before scoring, counted, and kept beside the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kdgov.digest import canonical_json, digest_bytes
from kdgov.evaluation.backends.response_log import Record
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.request import Plan, PlannedTask
from kdgov.evaluation.scoring.answer_text import holds_thoughts
from kdgov.evaluation.scoring.thoughts import scored_text, split_thoughts


def answers_without_thoughts(task: PlannedTask, record: Record, how: BackendSettings) -> list[Any]:
    """Recorded answers as they are scored; of an endpoint, thoughts were cut off when its answers were read."""
    if how.reasoning is None or how.endpoint is not None:
        return list(record.flat)
    requests = [request for item in task.items for request in item.requests]
    return [
        scored_text(answer, request.generation, how.reasoning) if request.kind == "generate" and isinstance(answer, str) else answer
        for request, answer in zip(requests, record.flat, strict=True)
    ]


def thought_facts(task: PlannedTask, record: Record, how: BackendSettings, way: Mapping[str, Any]) -> dict[str, Any]:
    """How many answers of a task had thoughts, how many never came to an end of them, and the digest of all thoughts.

    Args:
        task: the task.
        record: its answers.
        how: how they were asked for; without ``reasoning`` thoughts are scored as answers, which is told where there are any.
        way: what the backend noted.
    """
    if how.reasoning is None:
        return _undeclared(task, record, opened=bool(way.get("opens_thoughts")))
    if how.endpoint is not None:
        return {}
    rows = list(_rows(task, record, how))
    return {
        "thoughts": {
            "with": sum(bool(row["thoughts"]) for row in rows),
            "unfinished": sum(bool(row["unfinished"]) for row in rows),
            "answers": len(rows),
            "digest": digest_bytes(b"".join(canonical_json(row) for row in rows)),
        }
    }


def _undeclared(task: PlannedTask, record: Record, *, opened: bool) -> dict[str, Any]:
    requests = [request for item in task.items for request in item.requests]
    said = [a for request, a in zip(requests, record.flat, strict=True) if request.kind == "generate" and isinstance(a, str)]
    count = len(said) if opened else sum(map(holds_thoughts, said))
    return {"thoughts_undeclared": {"with": count, "answers": len(said)}} if count else {}


def thoughts_file(plan: Plan, records: Mapping[str, Record], how: BackendSettings) -> bytes:
    """All thoughts, one JSON line per answer; none of personal tasks."""
    rows = (row for task in plan.tasks if not _is_personal(task) for row in _rows(task, records[task.name], how))
    return b"".join(canonical_json(row) + b"\n" for row in rows)


def _rows(task: PlannedTask, record: Record, how: BackendSettings) -> Iterator[dict[str, Any]]:
    owner = [(item.item_id, number, request) for item in task.items for number, request in enumerate(item.requests)]
    for (item, number, request), answer in zip(owner, record.flat, strict=True):
        if request.kind == "generate" and isinstance(answer, str):
            split = split_thoughts(answer, how.reasoning)
            yield {
                "suite": task.suite,
                "task": task.task,
                "item_id": item,
                "request": number,
                "thoughts": split.thoughts,
                "unfinished": split.is_open,
            }


def _is_personal(task: PlannedTask) -> bool:
    return task.scorer is not None and task.scorer.declared.sensitive == "personal"
