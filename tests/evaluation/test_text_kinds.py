"""Kinds of task that are answered in text: labels, extracted objects, calls of tools; each scored by hand here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.errors import InputError
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.plan.messages import answerable
from kdgov.evaluation.plan.request import tools_of
from kdgov.evaluation.results.evaluation_run import evaluate
from kdgov.evaluation.task_kinds.base import json_in
from kdgov.evaluation.task_kinds.extraction import fields_f1
from kdgov.evaluation.task_kinds.label_text import label_in
from kdgov.evaluation.task_kinds.tool_calls import calls_in
from tests.endpoints.scripted_server import scripted_server

TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("weather", "search")]


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("spam", "spam"),
        ("**Not spam**", "not spam"),
        ("It is not spam.", "not spam"),
        ("spam or not spam?", ""),
        ("Spam! Definitely spam.", "spam"),
        ("spamming", ""),
        ("", ""),
    ],
)
def test_one_label_is_read_and_several_are_none(said: str, label: str) -> None:
    assert label_in(said, ["spam", "not spam"]) == label


@pytest.mark.parametrize(
    ("given", "right", "score"),
    [
        ({"a": 1, "b": "X y"}, {"a": 1.0, "b": " x  Y "}, 1.0),
        ({"a": 1}, {"a": 1, "b": 2}, 2 / 3),
        ({"a": 1, "b": 2, "c": 3}, {"a": 1}, 0.5),
        ({"l": ["a", "b"]}, {"l": ["b", "a"]}, 1.0),
        ({"l": ["a", "a"]}, {"l": ["a"]}, 2 / 3),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, 1.0),
        ({"a": True}, {"a": 1}, 0.0),
        ({"a": None}, {"a": "none"}, 0.0),
        ({}, {}, 1.0),
        ({}, {"a": 1}, 0.0),
        ({"a": 10**400}, {"a": 10**400}, 1.0),
    ],
)
def test_fields_are_compared_by_path_and_value(given: dict[str, Any], right: dict[str, Any], score: float) -> None:
    assert fields_f1(given, right) == pytest.approx(score)


def test_json_is_found_among_words_and_no_text_is_too_hostile() -> None:
    assert json_in('so: {"a": [1, 2]} and [3] {"b": ') == [{"a": [1, 2]}, [3]]
    assert json_in("[" * 100_000) == []
    assert json_in('{"a":' * 50_000) == []


@pytest.mark.parametrize(
    ("said", "calls"),
    [
        ('{"name": "weather", "arguments": {"city": "Bonn"}}', [("weather", {"city": "Bonn"})]),
        ('<tool_call>\n{"name": "weather", "parameters": {"days": 2}}\n</tool_call>', [("weather", {"days": 2})]),
        ('[{"function": {"name": "search", "arguments": "{\\"q\\": 1}"}}, {"name": "weather"}]', [("search", {"q": 1}), ("weather", {})]),
        ('{"name": "search", "arguments": "{broken"}', [("search", "{broken")]),
        ("It rains.", []),
        ('{"city": "Bonn"}', []),
    ],
)
def test_calls_are_read_from_what_models_write(said: str, calls: list[Any]) -> None:
    assert list(calls_in(said)) == calls


def _suite(write_suite: Any) -> Path:
    metric = {"direction": "higher", "range": [0, 1]}
    path: Path = write_suite(
        [
            {"task": "labels", "kind": "label_text", "data": {"path": "l.jsonl"},
             "options": {"labels": ["ham", "spam"], "prompt": "{input}\nOne of {labels}:"}, "metrics": [{"metric": "correct", **metric}]},
            {"task": "objects", "kind": "extraction", "data": {"path": "o.jsonl"}, "metrics": [{"metric": "fields_f1", **metric}]},
            {"task": "tools", "kind": "tool_calls", "data": {"path": "t.jsonl"}, "options": {"tools": TOOLS},
             "metrics": [{"metric": "right_call", **metric}, {"metric": "right_tool", **metric}]},
        ],
        {
            "l.jsonl": [{"id": "a", "input": "Win {now}!", "label": "spam"}],
            "o.jsonl": [{"id": "a", "input": "Ada, 1815", "expected": {"name": "Ada", "year": 1815}}],
            "t.jsonl": [{"id": "a", "input": "Rain in Bonn?", "calls": [{"name": "weather", "arguments": {"city": "Bonn"}}]},
                        {"id": "b", "input": "Hello", "calls": []}],
        },
    )  # fmt: skip
    return path


def test_all_three_are_asked_of_an_endpoint_and_scored(write_suite: Any, tmp_path: Path) -> None:
    plan, left = answerable(build_plan(read_suites([str(_suite(write_suite))])))
    assert left == ()
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": json.dumps({"city": "Bonn"})}}
    script = [
        {"text": "Spam."},
        {"text": 'Here: {"name": "Ada", "year": 1816}'},
        {"answer": {"choices": [{"message": {"content": None, "tool_calls": [call]}}]}},
        {"text": "Hello!"},
    ]
    with scripted_server(script) as server:
        endpoint = Endpoint(base_url=server.url, model="m", terms="MIT", concurrency=1)
        how = BackendSettings(backend="chat", endpoint=endpoint, reask=0)
        found = evaluate(plan, endpoint, tmp_path / "a", cache=tmp_path / "c", how=how)
    scores = {(r["task"], r["item_id"], r["metric"]): r["score"] for r in found.table.to_rows()}
    assert scores == {
        ("labels", "a", "correct"): 1.0, ("objects", "a", "fields_f1"): 0.5, ("tools", "a", "right_call"): 1.0,
        ("tools", "a", "right_tool"): 1.0, ("tools", "b", "right_call"): 1.0, ("tools", "b", "right_tool"): 1.0,
    }  # fmt: skip
    bodies = [body for _, _, body, _ in server.asked]
    assert bodies[0]["messages"][0]["content"] == "Win {now}!\nOne of ham, spam:"
    assert [("tools" in body) for body in bodies] == [False, False, True, True]
    tasks = {task.task: task for task in plan.tasks}
    assert tools_of(tasks["tools"].items[0].requests[0].context) == TOOLS


@pytest.mark.parametrize(
    ("kind", "row", "options", "says"),
    [
        ("label_text", {"input": "x", "label": "c"}, {"labels": ["a", "b"]}, "has the label 'c'"),
        ("label_text", {"input": "x", "label": "a"}, {"labels": ["a", "A"]}, "two or more different labels"),
        ("extraction", {"input": "x", "expected": [1]}, {}, "not an object"),
        ("tool_calls", {"input": "x", "calls": []}, {}, "offers no tools"),
        ("tool_calls", {"input": "x", "calls": {}}, {"tools": TOOLS}, "no list"),
    ],
)
def test_items_at_fault_are_refused_before_anything_is_asked(
    write_suite: Any, kind: str, row: dict[str, Any], options: dict[str, Any], says: str
) -> None:
    metric = {"label_text": "correct", "extraction": "fields_f1", "tool_calls": "right_tool"}[kind]
    task = {
        "task": "t",
        "kind": kind,
        "data": {"path": "d.jsonl"},
        "options": options,
        "metrics": [{"metric": metric, "direction": "higher"}],
    }
    with pytest.raises(InputError, match=says):
        build_plan(read_suites([str(write_suite([task], {"d.jsonl": [row]}))]))
