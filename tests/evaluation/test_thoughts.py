"""Models that think: thoughts are cut off before scoring, have a budget of their own, and are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.release_parts.evaluation_settings import Reasoning
from kdgov.errors import InputError
from kdgov.evaluation.backends.chat_endpoint import body_of
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.plan.request import Request
from kdgov.evaluation.results.comparability import compare_evidence
from kdgov.evaluation.results.endpoint_findings import endpoint_findings
from kdgov.evaluation.results.evaluation_run import evaluate
from kdgov.evaluation.scoring.thoughts import scored_text, split_thoughts
from kdgov.items.files import read_items
from tests.endpoints.scripted_server import scripted_server
from tests.evaluation.worlds import WRITE_TASK, choice_rows, make_model

THINKS = Reasoning()
TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[answer]{% endif %}"
    "{% if enable_thinking is defined and not enable_thinking %}(no thoughts){% endif %}"
)


@pytest.mark.parametrize(
    ("text", "answer", "thoughts", "is_open"),
    [
        ("<think>I can't help with that? I can.</think>\n\nTwo.", "Two.", "I can't help with that? I can.", False),
        ("opened by the template</think> Two.", "Two.", "opened by the template", False),
        ("<think>a</think>no<think>b</think>yes", "yes", "a</think>no<think>b", False),
        ("<think>never ends", "", "never ends", True),
        ("<think>a</think>Two.<think>never ends", "Two.", "a</think>Two.<think>never ends", True),
        ("<think>a<think>b</think>c</think>Two.", "Two.", "a<think>b</think>c", False),
        ("Two.", "Two.", "", False),
        ("", "", "", False),
    ],
)
def test_an_answer_is_what_follows_the_last_thought(text: str, answer: str, thoughts: str, is_open: bool) -> None:
    split = split_thoughts(text, THINKS)
    assert (split.answer, split.thoughts, split.is_open) == (answer, thoughts, is_open)
    assert split_thoughts(text, None).answer == text


def test_other_marks_and_stops_after_the_thoughts_alone() -> None:
    other = Reasoning(start="[THINK]", end="[/THINK]")
    assert scored_text("[THINK]a\nb[/THINK]yes\nno", {"until": ["\n"]}, other) == "yes"
    assert scored_text("a\nb", {"until": "\n"}, None) == "a"


def test_a_request_has_room_for_thoughts_and_no_stop_inside_them() -> None:
    endpoint = Endpoint(base_url="http://127.0.0.1:9/v1", model="m", terms="MIT")
    request = Request(kind="generate", context="q", generation={"until": ["\n"], "max_gen_toks": 8})
    assert body_of(request, endpoint, None, seed=0) == {
        "messages": [{"role": "user", "content": "q"}], "max_tokens": 8, "temperature": 0.0, "stop": ["\n"],
    }  # fmt: skip
    asked = body_of(request, endpoint, Reasoning(enabled=True, budget_tokens=100), seed=0)
    assert (asked["max_tokens"], "stop" in asked, asked["chat_template_kwargs"]) == (108, False, {"enable_thinking": True})
    assert body_of(request, endpoint, Reasoning(enabled=False, budget_tokens=100), seed=0)["max_tokens"] == 8


@pytest.fixture
def write_suite_in_messages(write_suite: Any) -> Path:
    task = {
        "task": "write", "file": "write.yaml", "data": {"path": "choice.jsonl"}, "options": {"chat": True},
        "metrics": [{"metric": "exact_match", "direction": "higher", "chance": 0.0, "range": [0, 1]}],
    }  # fmt: skip
    path: Path = write_suite([task], {"write.yaml": WRITE_TASK, "choice.jsonl": choice_rows(6)})
    return path


def test_thoughts_of_an_endpoint_are_cut_and_one_that_never_ends_is_told(write_suite_in_messages: Path, tmp_path: Path) -> None:
    plan = build_plan(read_suites([str(write_suite_in_messages)]))
    right = {row["id"]: row["answer"] for row in choice_rows(6)}
    order = [item.item_id for task in plan.tasks for item in task.items]
    script = [{"text": f"<think>red? blue?\n</think>\n\n{right[name]}\nmore"} for name in order[:-1]] + [{"text": "<think>hm"}]
    with scripted_server(script) as server:
        endpoint = Endpoint(base_url=server.url, model="m", terms="MIT", concurrency=1)
        how = BackendSettings(backend="chat", endpoint=endpoint, reasoning=THINKS, reask=0)
        found = evaluate(plan, endpoint, tmp_path / "a", cache=tmp_path / "c", how=how)
    scores = dict(zip(found.table.column("item_id").to_pylist(), found.table.scores.tolist(), strict=True))
    assert [scores[name] for name in order] == [1.0] * 5 + [0.0]
    assert found.document["endpoint"]["thoughts"]["with"] == 6
    rules = {f.rule: f.verdict for f in endpoint_findings("teacher", found.document)}
    assert rules["evidence.thoughts-unfinished"] == "review"
    assert rules["evidence.endpoint-drift"] == "warn"


def test_reasoning_content_is_no_answer(write_suite_in_messages: Path, tmp_path: Path) -> None:
    plan = build_plan(read_suites([str(write_suite_in_messages)]), limit=1)
    message = {"role": "assistant", "content": "grey", "reasoning_content": "I can't help? I can."}
    with scripted_server([{"answer": {"choices": [{"message": message}]}}]) as server:
        endpoint = Endpoint(base_url=server.url, model="m", terms="MIT")
        how = BackendSettings(backend="chat", endpoint=endpoint, reasoning=THINKS, reask=0)
        found = evaluate(plan, endpoint, tmp_path / "a", cache=tmp_path / "c", how=how)
    assert read_items(tmp_path / "a" / "items.parquet").column("prediction").to_pylist() == ["grey"]
    assert found.document["endpoint"]["thoughts"]["with"] == 1


def test_a_model_here_gets_the_switch_the_budget_and_its_thoughts_kept(write_suite_in_messages: Path, tmp_path: Path) -> None:
    plan = build_plan(read_suites([str(write_suite_in_messages)]))
    model = make_model(tmp_path / "model", seed=3, template=TEMPLATE)
    run = {}
    # A random model closes no mark; its most frequent letters stand for one.
    for name, reasoning in (("plain", None), ("thinks", Reasoning(end="e", budget_tokens=24)), ("not", Reasoning(enabled=False, end="e"))):
        run[name] = evaluate(plan, model, tmp_path / name, cache=tmp_path / "c", how=BackendSettings(reasoning=reasoning)).document
    (plain,), (thinks,), (off,) = (run[name]["tasks"] for name in ("plain", "thinks", "not"))
    assert plain["delivered"] == thinks["delivered"] != off["delivered"]
    assert thinks["way"]["thoughts"]["answers"] == 6
    kept = [json.loads(line) for line in (tmp_path / "thinks" / "thoughts.jsonl").read_text().splitlines()]
    assert sum(bool(row["thoughts"]) for row in kept) == thinks["way"]["thoughts"]["with"]
    assert not (tmp_path / "plain" / "thoughts.jsonl").exists()
    rules = {
        f.rule: f.verdict for f in compare_evidence(run["plain"], {**run["thinks"], "model": {**run["plain"]["model"], "weights": "x"}})
    }
    assert rules["evidence.by-design-reasoning"] == "warn"
    assert "evidence.reasoning" not in rules


@pytest.mark.parametrize("backend", ["hf", "hf-plain"])
def test_thoughts_that_the_template_opened_and_nothing_closed_are_no_answer(
    write_suite_in_messages: Path, tmp_path: Path, backend: str
) -> None:
    plan = build_plan(read_suites([str(write_suite_in_messages)]), limit=2)
    model = make_model(tmp_path / "model", seed=3, template=TEMPLATE.replace("[answer]", "[answer]<think>\n"))
    how = BackendSettings(backend=backend, reasoning=Reasoning(budget_tokens=8))
    found = evaluate(plan, model, tmp_path / "a", cache=tmp_path / "c", how=how)
    assert set(read_items(tmp_path / "a" / "items.parquet").column("prediction").to_pylist()) == {""}
    assert found.document["tasks"][0]["way"]["thoughts"]["unfinished"] == 2


def test_a_budget_that_does_not_fit_the_model_is_refused_by_name(write_suite_in_messages: Path, tmp_path: Path) -> None:
    plan = build_plan(read_suites([str(write_suite_in_messages)]), limit=1)
    model = make_model(tmp_path / "model", seed=3, template=TEMPLATE)
    with pytest.raises(InputError, match="for thoughts") as caught:
        evaluate(plan, model, tmp_path / "a", cache=tmp_path / "c", how=BackendSettings(reasoning=Reasoning(budget_tokens=4096)))
    assert "budget_tokens" in caught.value.mend


def test_thoughts_of_a_model_of_which_nobody_said_that_it_thinks_are_told(write_suite_in_messages: Path, tmp_path: Path) -> None:
    """Scored as answers, as lm-eval does, and never without a word: by their marks, or by a template that opens them."""
    plan = build_plan(read_suites([str(write_suite_in_messages)]))
    told = {}
    for name, said in (("plain", "grey"), ("r1", "so</think>grey"), ("harmony", "analysisHe asksassistantfinalgrey")):
        with scripted_server([{"text": said if number < 2 else "grey"} for number in range(6)]) as server:
            endpoint = Endpoint(base_url=server.url, model="m", terms="MIT", concurrency=1)
            how = BackendSettings(backend="chat", endpoint=endpoint, reask=0)
            told[name] = evaluate(plan, endpoint, tmp_path / name, cache=tmp_path / f"c-{name}", how=how).document
    model = make_model(tmp_path / "model", seed=3, template=TEMPLATE.replace("[answer]", "[answer]<think>\n"))
    told["opened"] = evaluate(plan, model, tmp_path / "opened", cache=tmp_path / "c").document
    told["closed"] = evaluate(
        plan, make_model(tmp_path / "closed-model", seed=3, template=TEMPLATE), tmp_path / "closed", cache=tmp_path / "c"
    ).document
    counts = {name: document["tasks"][0]["way"].get("thoughts_undeclared", {}).get("with", 0) for name, document in told.items()}
    assert counts == {"plain": 0, "r1": 2, "harmony": 2, "opened": 6, "closed": 0}
    other = {**told["closed"], "model": {**told["closed"]["model"], "weights": "x"}}
    found = [f for f in compare_evidence(other, told["opened"]) if f.rule == "evidence.thoughts-undeclared"]
    assert [(f.verdict, f.subject.split()[0]) for f in found] == [("review", "student")]
    assert "evaluation.reasoning" in found[0].mend


def test_messages_that_a_template_refuses_are_named_before_the_first_question(write_suite: Any, tmp_path: Path) -> None:
    metrics = [{"metric": "exact_match", "direction": "higher"}]
    common = {"file": "write.yaml", "data": {"path": "choice.jsonl"}, "metrics": metrics}
    tasks = [{"task": name, **common, "options": {"chat": True, **said}} for name, said in (("a", {}), ("b", {"system": "Be kind."}))]
    plan = build_plan(read_suites([str(write_suite(tasks, {"write.yaml": WRITE_TASK, "choice.jsonl": choice_rows(2)}))]))
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TEMPLATE
    model = make_model(tmp_path / "model", seed=3, template=refusing)
    asked: list[str] = []
    with pytest.raises(InputError, match=r"tiny/b: .*System role not supported"):
        evaluate(plan, model, tmp_path / "a", cache=tmp_path / "c", progress=lambda label, done, total: asked.append(label))
    assert not asked


def test_one_model_takes_keys_of_evaluation_and_no_others() -> None:
    from kdgov.cli.evaluation_flags import added_settings

    flags = {"dtype": None, "reasoning": {"enabled": True}}
    set_keys = ["evaluation.reasoning.end=</t>", "evaluation.dtype=bfloat16"]
    assert added_settings(flags, set_keys) == {"dtype": "bfloat16", "reasoning": {"enabled": True, "end": "</t>"}}
    assert added_settings({"reasoning": None}, ["evaluation.reasoning={}"]) == {"reasoning": {}}
    for text in ("distillation.steps=3", "evaluation.limit=3", "evaluation.dtype.x=1", "evaluation.reasoning.enabled=false"):
        with pytest.raises(InputError):
            added_settings(flags, [text])
