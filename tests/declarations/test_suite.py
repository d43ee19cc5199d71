"""Suites: every shipped one is whole, pinned and honest about polarity; adding one takes no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.declarations.load import validate
from kdgov.declarations.suite import Suite, find_suite, load_suite, shipped_suites
from kdgov.declarations.suite_parts.suite_options import OPTIONS
from kdgov.declarations.suite_parts.suite_task import TASK_KINDS
from kdgov.errors import DeclarationError, InputError
from kdgov.evaluation.plan.suite_catalogue import hub_dataset, not_pinned, pin, suite_facts
from kdgov.evaluation.task_kinds.catalogue import KINDS

NAMES = shipped_suites()


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_suite_says_what_it_measures_and_how_each_number_is_read(name: str) -> None:
    suite = load_suite(find_suite(name))
    assert suite.name == name
    assert suite.title
    assert len(suite.description) > 80
    assert suite.license == "Apache-2.0"
    for task in suite.tasks:
        for metric in task.metrics:
            assert metric.direction == "target" or metric.ideal is not None, f"{name}/{task.task}/{metric.metric} has no ideal value"
        if task.kind != "lm_eval":
            assert {m.source or m.metric for m in task.metrics if m.judge is None} <= set(KINDS[task.kind].metrics)


@pytest.mark.parametrize("name", NAMES)
def test_items_that_a_suite_ships_are_pinned(name: str) -> None:
    for task in load_suite(find_suite(name)).tasks:
        if task.data is not None and "${" not in task.data.path:
            assert task.data.digest is not None, f"{name}/{task.task} ships items without a digest"


@pytest.mark.parametrize("name", NAMES)
def test_a_hub_task_names_the_dataset_its_task_file_reads(name: str) -> None:
    path = find_suite(name)
    for task in load_suite(path).tasks:
        if task.hub is not None:
            assert hub_dataset(task, path) == task.hub.id


def test_polarity_is_ours_where_lm_evals_is_wrong_for_a_gate() -> None:
    metrics = {(t.task, m.metric): m for n in ("safety-core", "bias-core") for t in load_suite(find_suite(n)).tasks for m in t.metrics}
    assert metrics["wmdp_bio", "hazard_accuracy"].direction == "lower"
    assert metrics["sycophancy_on_nlp_survey", "follows_asker"].direction == "lower"
    assert (metrics["crows_pairs", "stereotyped"].direction, metrics["crows_pairs", "stereotyped"].ideal) == ("target", 0.5)
    assert (metrics["bbq_ambig", "bias"].direction, metrics["bbq_ambig", "bias"].ideal) == ("target", 0.0)


def _suite(tmp_path: Path, data: str = "{path: items.jsonl}") -> Path:
    (tmp_path / "items.jsonl").write_text('{"more": "a", "less": "b"}\n')
    text = (
        "schema: kdgov.suite/1\nname: own\ntasks:\n  - task: pairs\n    kind: pairs\n"
        f"    data: {data}\n    metrics: [{{metric: preferred, direction: target, ideal: 0.5}}]\n"
    )
    (tmp_path / "suite.yaml").write_text(text)
    return tmp_path / "suite.yaml"


def test_pinning_writes_the_digest_and_nothing_else_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    path = _suite(tmp_path)
    before = path.read_text()
    written = pin(tmp_path)
    digest = load_suite(path).tasks[0].data.digest
    assert written == [{"task": "pairs", "key": "data.digest", "value": digest}]
    assert path.read_text() == before.replace("{path: items.jsonl}", f'{{path: items.jsonl, digest: "{digest}"}}')
    assert pin(tmp_path) == []
    (tmp_path / "items.jsonl").write_text('{"more": "b", "less": "a"}\n')
    assert pin(tmp_path)[0]["value"] != digest


@pytest.mark.parametrize("data", ["{path: items.jsonl}", '{path: "${KDGOV_DATA}/items.jsonl"}'])
def test_pinning_says_that_all_is_pinned_only_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    monkeypatch.setenv("KDGOV_DATA", str(tmp_path))
    _suite(tmp_path, data)
    pin(tmp_path)
    told = CliRunner().invoke(app, ["suites", "pin", str(tmp_path)]).stdout
    left = {reason: tasks for reason, tasks in not_pinned(tmp_path).items() if "KDGOV_DATA" in reason}
    assert left == ({"the file is found by KDGOV_DATA, write its digest by hand": ["pairs"]} if "$" in data else {})
    assert ("everything was pinned already" in told) is not bool(left)
    assert ("not pinned: pairs" in told) is bool(left)


def test_a_data_declaration_that_cannot_be_edited_in_place_is_left_alone(tmp_path: Path) -> None:
    path = _suite(tmp_path, "\n      path: items.jsonl")
    before = path.read_text()
    with pytest.raises(InputError, match="in place"):
        pin(tmp_path)
    assert path.read_text() == before


def test_a_users_own_copy_that_is_absent_is_named_and_does_not_break_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KDGOV_DATA", raising=False)
    facts = suite_facts("refusal")
    assert {t["available"] for t in facts["tasks"]} == {False}
    assert "KDGOV_DATA" in facts["tasks"][0]["missing"]


def test_an_unknown_suite_lists_those_that_exist() -> None:
    with pytest.raises(InputError) as caught:
        find_suite("nowhere")
    assert "capability" in caught.value.mend


def test_all_faults_of_a_suite_are_told_at_once() -> None:
    value = {
        "schema": "kdgov.suite/1",
        "name": "x y",
        "tasks": [{"task": "a", "kind": "guess", "metrics": [{"metric": "m", "direction": "up"}]}],
    }
    with pytest.raises(DeclarationError) as caught:
        validate(value, Suite, file="suite.yaml")
    assert {f.key for f in caught.value.faults} >= {"name", "tasks[0].kind", "tasks[0].metrics[0].direction"}


def test_pinning_writes_the_commit_of_hub_data_that_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refs = tmp_path / "hf" / "hub" / "datasets--a--b" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("c" * 40)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    text = (
        "schema: kdgov.suite/1\nname: own\ntasks:\n"
        "  - {task: truthfulqa_mc1, hub: {id: a/b, license: MIT}, metrics: [{metric: acc, direction: higher}]}\n"
        "  - {task: truthfulqa_mc2, hub: {id: x/y}, metrics: [{metric: acc, direction: higher}]}\n"
    )
    (tmp_path / "suite.yaml").write_text(text)
    assert [w["key"] for w in pin(tmp_path)] == ["hub.revision"]
    pinned = load_suite(tmp_path / "suite.yaml")
    assert [t.hub.revision for t in pinned.tasks] == ["c" * 40, None]
    assert pin(tmp_path) == []
    assert not_pinned(tmp_path) == {"no commit of x/y is known here, ask with --from-hub": ["truthfulqa_mc2"]}


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        ("open_answer", {"promt": "question"}, "Did you mean `prompt`?"),
        ("membership", {"chat": True}, "Its options are id."),
        ("lm_eval", {"chatt": True}, "Did you mean `chat`?"),
        ("lm_eval", {"chat": "yes"}, "Write true or false."),
        ("label_text", {"labels": ["a", "b"], "max_gen_toks": "8"}, "Write a whole number, such as 128."),
    ],
)
def test_an_option_that_its_kind_does_not_read_is_refused_with_file_and_key(
    tmp_path: Path, kind: str, options: dict[str, Any], told: str
) -> None:
    task = {"task": "t", "kind": kind, "data": {"path": "d.jsonl"}, "metrics": [{"metric": "right", "direction": "higher"}]}
    file = tmp_path / "suite.yaml"
    file.write_text(yaml.safe_dump({"schema": "kdgov.suite/1", "name": "s", "version": "1", "tasks": [{**task, "options": options}]}))
    with pytest.raises(DeclarationError) as caught:
        load_suite(file)
    (fault,) = [one for one in caught.value.faults if "options" in one.key]
    assert (Path(fault.file).name, fault.key, fault.mend) == ("suite.yaml", "tasks[0].options", told)
    assert fault.what.startswith(next(key for key in options if key != "labels"))


def test_every_kind_of_kdgovs_own_says_which_options_it_takes() -> None:
    assert set(OPTIONS) == set(TASK_KINDS)
