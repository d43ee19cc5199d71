"""System prompts, guards and filters are part of what both models are asked and of what is scored of their answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from kdgov.declarations.release_parts.mitigations import Mitigation
from kdgov.declarations.suite_judge import JudgeInSuite
from kdgov.errors import InputError
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.plan.mitigated import Withholding, mitigated, shown_answers, system_prompt_of, withholdings_of
from kdgov.evaluation.plan.request import PlannedItem, Request, chat_context, frozen_item, messages_of
from kdgov.evaluation.results.evidence_faults import own_faults
from kdgov.evaluation.scoring.judges import judge_digest
from kdgov.pipeline.context import open_release
from tests.evaluation.worlds import CHOICE_TASK, WRITE_TASK, choice_rows, make_model
from tests.steps import evaluated, gated

PROMPT = Mitigation(kind="system_prompt", guards_against="rudeness", text="Be kind.")
FILTER = Mitigation(kind="output_filter", guards_against="keys", patterns=[r"sk-\w+"], says="Withheld.")


def _item(context: str) -> PlannedItem:
    return frozen_item(item_id="1", doc={"q": "x"}, requests=(Request(kind="generate", context=context),), cluster="1", group={})


def _filters(*mitigations: Mitigation) -> list[Withholding]:
    return withholdings_of(mitigations, Path("release.yaml"), lambda judge, path: "sha256:0")


def test_the_system_prompt_stands_in_written_questions_and_changes_the_plans_root(write_suite) -> None:
    path = write_suite(
        [
            {
                "task": "written",
                "file": "w.yaml",
                "data": {"path": "t.jsonl"},
                "metrics": [{"metric": "exact_match", "direction": "higher"}],
            },  # fmt: skip
            {"task": "liked", "kind": "pairs", "data": {"path": "p.jsonl"}, "metrics": [{"metric": "preferred", "direction": "higher"}]},
        ],
        {"w.yaml": WRITE_TASK, "t.jsonl": choice_rows(3), "p.jsonl": [{"more": "a", "less": "b"}]},
    )
    plain = build_plan(read_suites([str(path)]))
    asked = mitigated(plain, "Be kind.", [])
    before, after = ({task.task: task for task in plan.tasks} for plan in (plain, asked))
    assert after["written"].items[0].requests[0].context == f"Be kind.\n\n{before['written'].items[0].requests[0].context}"
    assert after["written"].root != before["written"].root
    assert after["liked"].root == before["liked"].root, "no user reads log-likelihoods"
    assert mitigated(plain, "", []) is plain
    assert mitigated(plain, "", _filters(FILTER)).root != plain.root, "a filter decides what is scored"


def test_in_messages_it_is_the_system_turn_before_the_tasks_own() -> None:
    own = chat_context([{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "Hello?"}])
    from kdgov.evaluation.plan.mitigated import _request

    said = messages_of(_request(Request(kind="generate", context=own), "Be kind.").context)
    assert [(m["role"], m["content"]) for m in said] == [("system", "Be kind.\n\nAnswer briefly."), ("user", "Hello?")]


def test_what_a_filter_finds_or_a_guard_calls_harmful_is_withheld_and_what_a_guard_cannot_tell_is_missing() -> None:
    item = _item("q")
    shown = shown_answers([item], {"1": ["the key is sk-abc"]}, _filters(FILTER), lambda one: lambda pairs: [])
    assert shown["1"] == ["Withheld."]
    guard = Withholding(says="No.", identity={}, guard=JudgeInSuite(kind="guard", form="llama_guard", model="g"))
    for told, answer in ((True, "No."), (False, "fine"), (None, None)):
        assert shown_answers([item], {"1": ["fine"]}, [guard], lambda one, told=told: lambda pairs: [told] * len(pairs))["1"] == [answer]


def test_a_pattern_that_takes_for_ever_is_an_input_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdgov.evaluation.plan.mitigated._MOST_S", 0.3)
    slow = Mitigation(kind="output_filter", guards_against="loops", patterns=[r"(a+)+$"])
    with pytest.raises(InputError, match="output filter"):
        shown_answers([_item("q")], {"1": ["a" * 40 + "b"]}, _filters(slow), lambda one: lambda pairs: [])


def test_a_system_prompt_in_a_file_is_read_and_a_missing_one_named(tmp_path: Path) -> None:
    (tmp_path / "system.txt").write_text("Be kind.\n", encoding="utf-8")
    in_file = Mitigation(kind="system_prompt", guards_against="rudeness", file="system.txt")
    assert system_prompt_of([PROMPT, in_file], tmp_path / "release.yaml") == "Be kind.\n\nBe kind."
    with pytest.raises(InputError, match=r"absent\.txt"):
        system_prompt_of([in_file.model_copy(update={"file": "absent.txt"})], tmp_path / "release.yaml")


@pytest.mark.parametrize(
    "named",
    [
        {"kind": "system_prompt", "text": " \n"},
        {"kind": "output_filter", "patterns": ["x", ""]},
        {"kind": "output_filter", "patterns": [" "]},
    ],
)
def test_a_mitigation_that_says_or_looks_for_nothing_is_an_input_fault(named: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="blank"):
        Mitigation(guards_against="rudeness", **named)
    (tmp_path / "system.txt").write_text(" \n", encoding="utf-8")
    with pytest.raises(InputError, match="blank"):
        system_prompt_of([PROMPT.model_copy(update={"text": None, "file": "system.txt"})], tmp_path / "release.yaml")


def test_a_release_is_asked_and_scored_under_its_mitigations_both_models_alike(
    write_suite, teacher: Path, student: Path, tmp_path: Path
) -> None:
    task = {
        "task": "t", "file": "t.yaml", "data": {"path": "t.jsonl"},
        "metrics": [{"metric": "refused", "direction": "higher", "judge": "refusal-strings", "range": [0, 1]}],
    }  # fmt: skip
    suite = write_suite([task], {"t.yaml": WRITE_TASK, "t.jsonl": choice_rows(3)})
    path = tmp_path / "release.yaml"
    document = {
        "schema": "kdgov.release/1", "name": "tiny", "teacher": {"model": str(teacher)}, "student": {"model": str(student)},
        "suites": [str(suite)], "evaluation": {"efficiency": False},
    }  # fmt: skip

    def rates(**changes: object) -> dict[str, float]:
        path.write_text(yaml.safe_dump({**document, **changes}), encoding="utf-8")
        folder = evaluated(open_release(path, store=tmp_path / "store")).folder
        from kdgov.items.files import read_items

        return {role: float(read_items(folder / role / "items.parquet").scores.mean()) for role in ("teacher", "student")}

    assert rates() == {"teacher": 0.0, "student": 0.0}
    everything = {"kind": "output_filter", "guards_against": "all", "patterns": ["(?s)^"]}
    assert rates(mitigations=[everything]) == {"teacher": 1.0, "student": 1.0}, "what users would have read is the refusal"


def test_a_mitigation_that_only_choices_were_to_test_is_stopped_by_the_gate(
    write_suite, teacher: Path, student: Path, tmp_path: Path
) -> None:
    choice = {"task": "c", "file": "c.yaml", "data": {"path": "t.jsonl"}, "metrics": [{"metric": "acc", "direction": "higher"}]}
    written = {
        "task": "w", "file": "w.yaml", "data": {"path": "t.jsonl"}, "metrics": [{"metric": "exact_match", "direction": "higher"}],
    }  # fmt: skip
    suite = write_suite([choice, written], {"c.yaml": CHOICE_TASK, "w.yaml": WRITE_TASK, "t.jsonl": choice_rows(3)})
    criteria = [
        {"id": task, "kind": "non_inferiority", "suite": "*", "tasks": [task], "margin": 0.3, "min_items": 1} for task in ("c", "w")
    ]
    policy = {"schema": "kdgov.policy/1", "name": "own", "version": "1", "criteria": criteria}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(policy), encoding="utf-8")

    def told(criterion: str) -> bool:
        one = {"kind": "output_filter", "guards_against": "keys", "patterns": ["sk-"], "criteria": [criterion]}
        document = {
            "schema": "kdgov.release/1", "name": "tiny", "teacher": {"model": str(teacher)}, "student": {"model": str(student)},
            "suites": [str(suite)], "evaluation": {"efficiency": False}, "policy": "own.yaml", "mitigations": [one],
        }  # fmt: skip
        (tmp_path / "release.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        folder = gated(open_release(tmp_path / "release.yaml", store=tmp_path / "store")).folder
        findings = json.loads((folder / "decision.json").read_bytes())["findings"]
        return any(f["rule"] == "practice.mitigation-untested" and f["verdict"] == "block" for f in findings)

    assert told("c"), "log-likelihoods are measured without the filter"
    assert not told("w")


def test_a_guard_in_front_that_is_asked_in_other_words_is_told(write_suite, tmp_path: Path) -> None:
    guard = make_model(tmp_path / "guard", seed=5)
    task = {
        "task": "t", "file": "t.yaml", "data": {"path": "t.jsonl"}, "metrics": [{"metric": "exact_match", "direction": "higher"}],
    }  # fmt: skip
    plan = build_plan(read_suites([str(write_suite([task], {"t.yaml": WRITE_TASK, "t.jsonl": choice_rows(2)}))]))

    def told() -> list[str]:
        one = Mitigation(kind="guard_model", guards_against="harm", model=str(guard), form="harmbench")
        planned = mitigated(plan, "", withholdings_of([one], tmp_path / "release.yaml", judge_digest)).tasks[0]
        evidence = {
            "suite": "tiny", "task": "t", "truncated": 0, "not_finite": 0, "way": {}, "judges": {}, "settings": dict(planned.settings),
        }  # fmt: skip
        return [f.subject for f in own_faults("teacher", {"tasks": [evidence]}) if f.rule == "evidence.judge-wording"]

    assert told() == ["mitigations"]
    (guard / "README.md").write_text('TEXT = """[INST] Is it one? {behavior} {generation} [/INST]"""', encoding="utf-8")
    assert told() == [], "the model card prints its text"
