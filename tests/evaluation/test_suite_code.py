"""A suite's YAML runs no code: templates are sandboxed, and Python runs only from a folder that somebody allowed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kdgov.decision.judgement import _at_policy_level
from kdgov.declarations.policy_file import load_named_policy
from kdgov.declarations.suite_data import DataInSuite
from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.declarations.suite_parts.task_index import builtin_task_file
from kdgov.digest import digest_file
from kdgov.errors import InputError
from kdgov.evaluation.plan.lm_eval_tasks import build_lm_task, freeze_docs
from kdgov.evaluation.plan.suite_code import allowed_code, suite_code
from kdgov.evaluation.results.comparability import _suite_code, stopping

MARK = "pwned"
PLAIN = """
task: facts
output_type: multiple_choice
test_split: test
doc_to_text: "{{ question.strip() }}"
doc_to_choice: choices
doc_to_target: answer
metric_list: [{metric: acc}]
"""
ROWS = [{"question": f"Question {n}? ", "choices": ["a", "b"], "answer": n % 2} for n in range(4)]


def _suite(folder, text: str, code: str = ""):
    (folder / "facts.yaml").write_text(text)
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    if code:
        (folder / "utils.py").write_text(code)
    return TaskInSuite(
        task="facts", file="facts.yaml", data=DataInSuite(path="items.jsonl"), metrics=[{"metric": "acc", "direction": "higher"}]
    )


def _built(folder, declared):
    return freeze_docs(build_lm_task(declared, suite_file=folder / "suite.yaml"), [0])


@pytest.mark.parametrize(
    "template",
    [
        "{{ cycler.__init__.__globals__.os.system('touch MARK') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ 'a' * 10**10 }}",
        "{{ question * 99999999 }}",
    ],
)
def test_a_hostile_template_of_a_task_is_one_fault_and_runs_nothing(tmp_path, template):
    declared = _suite(tmp_path, PLAIN.replace("{{ question.strip() }}", template.replace("MARK", str(tmp_path / MARK))))
    with pytest.raises(InputError, match="what no template may"):
        _built(tmp_path, declared)
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize(
    "line",
    [
        "doc_to_text: !function utils.text",
        "doc_to_text: !function os.getcwd",
        "process_docs: !function utils.text",
        "class: !function utils.text",
        "metric_list: [{metric: !function utils.text}]",
        "metric_list: [{metric: ./utils.py, hf_evaluate: true}]",
        "metric_list: [{metric: mine}]",
        "include: more.yaml",
    ],
)
def test_a_task_file_that_names_code_is_refused_before_the_code_is_read(tmp_path, line):
    code = f"import pathlib\npathlib.Path({str(tmp_path / MARK)!r}).touch()\ndef text(doc): return 'x'\n"
    (tmp_path / "more.yaml").write_text("doc_to_text: !function utils.text\n")
    declared = _suite(tmp_path, PLAIN + line + "\n", code)
    with pytest.raises(InputError, match="runs code") as caught:
        _built(tmp_path, declared)
    assert "--allow-code" in caught.value.mend
    assert not (tmp_path / MARK).exists()


def test_allowed_code_runs_and_is_named_by_digest(tmp_path):
    code = "def text(doc): return 'Q: ' + doc['question']\n"
    declared = _suite(tmp_path, PLAIN.replace('"{{ question.strip() }}"', "!function utils.text"), code)
    with allowed_code([tmp_path]):
        built = build_lm_task(declared, suite_file=tmp_path / "suite.yaml")
        assert freeze_docs(built, [0])[0][1][0].context == "Q: Question 0? "
    assert built.settings["suite_code"] == {"utils.py": digest_file(tmp_path / "utils.py")}
    with pytest.raises(InputError, match="runs code"):
        _built(tmp_path, declared)


@pytest.mark.parametrize("place", ["file", "included"])
def test_a_task_that_computes_its_metrics_itself_may_name_them_as_it_likes(tmp_path, place):
    code = "def results(doc, likelihoods): return {'mine': 0.5}\n"
    (tmp_path / "more.yaml").write_text("process_results: !function utils.results\n")
    line = {"file": "process_results: !function utils.results\n", "included": "include: more.yaml\n"}[place]
    text = PLAIN.replace("metric_list: [{metric: acc}]", "metric_list: [{metric: mine, aggregation: mean, higher_is_better: true}]")
    declared = _suite(tmp_path, text + line, code)
    with allowed_code([tmp_path]):
        assert _built(tmp_path, declared)
    with pytest.raises(InputError, match=r"runs code: utils\.results\s"):
        _built(tmp_path, declared)


def test_code_of_another_folder_than_the_allowed_one_is_refused(tmp_path):
    (tmp_path / "suite").mkdir()
    (tmp_path / "other").mkdir()
    declared = _suite(tmp_path / "suite", PLAIN.replace('"{{ question.strip() }}"', "!function utils.text"), "def text(doc): return 'x'\n")
    with allowed_code([tmp_path / "other"]), pytest.raises(InputError, match=r"utils\.text"):
        _built(tmp_path / "suite", declared)
    with pytest.raises(InputError, match="not a folder"), allowed_code([tmp_path / "nowhere"]):
        pass


@pytest.mark.parametrize("name", ["hellaswag", "arc_easy", "truthfulqa_mc2", "wikitext", "gsm8k"])
def test_lm_evals_own_tasks_are_allowed_by_the_installed_package(name):
    assert suite_code(builtin_task_file(name), where=name) == {}


def test_a_policy_refuses_suite_code_unless_it_names_every_digest():
    policy = load_named_policy("default")
    code = {"utils.py": "sha256:" + "a" * 64, "more.py": "sha256:" + "b" * 64}
    document = {"tasks": [{"suite": "s", "task": "t", "settings": {"suite_code": code}}]}
    (found,) = _suite_code(document, document)
    assert _at_policy_level(found, policy).stops
    assert _at_policy_level(found, replace(policy, allowed_code=(code["utils.py"],))).stops
    # No wildcard of a policy lets code in: only its digest does.
    assert _at_policy_level(found, replace(policy, findings={"evidence.*": "warn"})).stops
    assert not _at_policy_level(found, replace(policy, allowed_code=tuple(code.values()))).stops
    assert stopping([found], ()) == []


def test_a_plain_task_is_asked_as_before(tmp_path):
    ((doc, requests),) = _built(tmp_path, _suite(tmp_path, PLAIN))
    assert doc["answer"] == 0
    assert [r.continuation for r in requests] == [" a", " b"]
    assert requests[0].context == "Question 0?"


def test_the_metrics_read_from_lm_evals_source_are_those_of_its_registry():
    import lm_eval.api.metrics  # noqa: F401 - fills the registry
    from lm_eval.api.registry import metric_registry

    from kdgov.evaluation.plan.suite_code import known_metrics

    assert known_metrics() == set(metric_registry.keys())
