"""Tool calls: which tool a model calls with which arguments, and whether it leaves tools alone where none is needed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.digest import canonical_json
from kdgov.errors import InputError
from kdgov.evaluation.plan.request import PlannedItem, Request, chat_context
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Answers, Kind, field_of, generation_of, json_in, number_text, prompt_of

CALLS = "calls"
Call = tuple[str, Any]


def tool_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """One greedy answer to messages that offer the item's tools, or those of the task's options."""
    tools = doc.get("tools") or declared.options.get("tools")
    if (
        not isinstance(tools, list)
        or not all(isinstance(t, Mapping) and isinstance(t.get("function"), Mapping) for t in tools)
        or not tools
    ):
        mend = "Write OpenAI's list: `[{type: function, function: {name: …, parameters: {…}}}]`, per item or under `options.tools`."
        raise InputError("an item offers no tools", where=where, mend=mend)
    if not isinstance(field_of(doc, CALLS, where), list):
        raise InputError(
            "an item's `calls` is no list", where=where, mend='Write `"calls": [{"name": "weather", "arguments": {…}}]`, or [].'
        )
    messages = [{"role": "user", "content": prompt_of(doc, declared, where)}]
    generation = {**generation_of(declared), "until": list(declared.options.get("until", []))}
    return (Request(kind="generate", context=chat_context(messages, tools=tools), generation=generation),)


def tool_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """Whether the right tools were called, and with the right arguments; order does not count."""
    found = []
    for item in items:
        said = str(answers[item.item_id][0])
        given, right = list(calls_in(said)), [(str(c["name"]), c.get("arguments") or {}) for c in item.doc[CALLS]]
        texts: dict[str, Any] = {"item_id": item.item_id, "prediction": said, "label": canonical_json(item.doc[CALLS]).decode()}
        names = sorted(name for name, _ in given) == sorted(name for name, _ in right)
        found.append(ItemScore(metric="right_tool", score=float(names), **texts))
        found.append(ItemScore(metric="right_call", score=float(_bag(given) == _bag(right)), **texts))
    return found


def calls_in(said: str) -> Iterator[Call]:
    """Calls that an answer makes: JSON with ``name`` and ``arguments`` (or ``parameters``), alone, in a list or inside ``function``.

    >>> list(calls_in('<tool_call>{"name": "weather", "arguments": {"city": "Bonn"}}</tool_call>'))
    [('weather', {'city': 'Bonn'})]
    """
    for value in json_in(said):
        for part in value if isinstance(value, list) else [value]:
            call = part.get("function") if isinstance(part, Mapping) and isinstance(part.get("function"), Mapping) else part
            if not isinstance(call, Mapping) or not isinstance(call.get("name"), str):
                continue
            arguments = call.get("arguments", call.get("parameters", {}))
            if isinstance(arguments, str):
                # Arguments that are not JSON are wrong, and stay visible as what they are.
                with contextlib.suppress(ValueError, RecursionError):
                    arguments = json.loads(arguments or "{}")
            yield call["name"], arguments


def _bag(calls: Sequence[Call]) -> list[str]:
    return sorted(f"{name} {json.dumps(_plain(arguments), sort_keys=True)}" for name, arguments in calls)


def _plain(value: Any) -> Any:
    """A value in which 1 and 1.0 are equal and outer spaces of texts do not count."""
    match value:
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case str():
            return value.strip()
        case bool() | None:
            return value
        case int() | float():
            return number_text(value)
        case _:
            return str(value)


KIND = Kind(metrics=("right_tool", "right_call"), requests=tool_requests, scores=tool_scores)
