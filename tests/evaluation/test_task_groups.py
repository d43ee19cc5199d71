"""A suite that names a group: its tasks are asked once, its mean stands in the evidence of both models, and a criterion decides on it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdgov.decision.judgement import judge
from kdgov.decision.policy import Criterion, Policy
from kdgov.errors import InputError
from kdgov.evaluation.early_stopping import is_stoppable
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.plan.request import Plan
from kdgov.evaluation.plan.sources import suites_digest
from kdgov.evaluation.plan.suite_catalogue import suite_facts
from kdgov.evaluation.plan.suite_code import allowed_code
from kdgov.evaluation.results.compare_results import compare_results
from kdgov.evaluation.results.evaluation_run import evaluate
from kdgov.items.results import read_results
from tests.evaluation.worlds import CHOICE_TASK, choice_rows

ACC = {"metric": "acc", "direction": "higher", "chance": 0.25, "range": [0, 1]}


def entries(*, weighted: bool = False, members: tuple[Any, ...] = ("first", "second")) -> list[dict[str, Any]]:
    own = [{"task": n, "file": f"{n}.yaml", "data": {"path": f"{n}.jsonl"}, "metrics": [ACC]} for n in ("first", "second")]
    mean = {"metric": "acc", "weight_by_size": weighted}
    return [
        *own,
        {"task": "both", "group": {"task": list(members), "group_alias": "Both", "aggregate_metric_list": [mean]}, "metrics": [ACC]},
    ]


@pytest.fixture
def grouped(write_suite):
    """Writes the suite of `entries`: two tasks of 16 and 24 items, and a group of them."""

    def write(**keys: Any) -> Path:
        files = {"first.yaml": {**CHOICE_TASK, "task": "first"}, "second.yaml": {**CHOICE_TASK, "task": "second"}}
        return write_suite(entries(**keys), {**files, "first.jsonl": choice_rows(16), "second.jsonl": choice_rows(24, seed=3)})

    return write


def plan_of(path: Path, **options: Any) -> Plan:
    return build_plan(read_suites([str(path)]), **options)


def test_the_mean_stands_in_the_evidence_and_a_criterion_decides_on_it(grouped, teacher, student, tmp_path):
    plan = plan_of(grouped())
    assert [task.task for task in plan.tasks] == ["first", "second"]
    sides = {}
    for role, model in (("teacher", teacher), ("student", student)):
        found = evaluate(plan, model, tmp_path / role, cache=tmp_path / "answers")
        means = [task["aggregates"]["acc,none"] for task in found.document["tasks"]]
        (group,) = found.document["groups"]
        # As lm-eval's own Group.aggregate: the plain mean of the tasks' numbers where weight_by_size is false.
        assert group["value"] == pytest.approx(sum(means) / 2, abs=1e-12)
        assert (group["group"], group["alias"], group["tasks"]) == ("both", "Both", ["first", "second"])
        sides[role] = read_results(tmp_path / role)
    kept = Criterion(id="kept", kind="non_inferiority", suite="tiny", tasks=("both",), margin=0.9, assay="skip")
    policy = Policy(name="p", version="1", digest="sha256:" + "0" * 64, criteria=(kept,))
    compared = compare_results(sides["teacher"], sides["student"], policy)
    decision = judge(compared.teacher, compared.student, policy, metrics=compared.metrics, findings=compared.findings)
    (result,) = decision.criteria
    values = [json.loads((tmp_path / role / "evidence.json").read_text())["groups"][0]["value"] for role in ("teacher", "student")]
    assert [result.teacher, result.student] == pytest.approx(values, abs=1e-12)
    assert (result.verdict, result.n) == ("pass", 40)
    assert "evidence.not-judged" not in {f.rule for f in decision.findings}
    document = json.loads((tmp_path / "student" / "evidence.json").read_text())
    document["groups"][0]["value"] += 0.01
    (tmp_path / "student" / "evidence.json").write_text(json.dumps(document))
    edited = compare_results(sides["teacher"], read_results(tmp_path / "student"), policy)
    assert [f.verdict for f in edited.findings if f.rule == "evidence.aggregate"] == ["invalid"]


def test_lm_eval_itself_gives_the_same_number(grouped, teacher, tmp_path):
    from lm_eval.api.group import Group
    from lm_eval.config.group import AggMetricConfig

    for weighted in (True, False):
        found = evaluate(plan_of(grouped(weighted=weighted)), teacher, tmp_path / str(weighted), cache=tmp_path / "answers").document
        leaves = {t["task"]: {**t["aggregates"], "sample_len": t["items"]} for t in found["tasks"]}

        class Named(Group):
            def get_all_tasks(self, recursive=True, names=tuple(leaves)):
                return [type("T", (), {"task_name": name})() for name in names]

        theirs = Named(name="both", aggregate_metric_list=[AggMetricConfig(metric="acc", weight_by_size=weighted)]).aggregate(leaves)
        assert found["groups"][0]["value"] == pytest.approx(theirs["acc,none"], abs=1e-12)


def test_another_definition_of_a_group_is_another_plan_and_another_key(grouped):
    roots, keys = set(), set()
    for change in ({}, {"weighted": True}, {"members": ("second",)}, {"members": ("first", {"group": "x", "task": ["first", "second"]})}):
        path = grouped(**change)
        roots.add(plan_of(path).root)
        keys.add(suites_digest([str(path)], beside=None))
    assert len(roots) == len(keys) == 4


def test_a_group_is_chosen_by_name_and_a_part_of_it_has_no_mean(grouped):
    path = grouped()
    assert [t.task for t in plan_of(path, tasks=["both"]).tasks] == ["first", "second"]
    assert plan_of(path, tasks=["both"]).groups
    assert plan_of(path, tasks=["first"]).groups == ()
    facts = suite_facts(str(path))["groups"]
    assert facts == [
        {"group": "both", "alias": "Both", "tasks": ["first", "second"], "means": ["acc: mean of 2 tasks, each task counts alike"]}
    ]


def test_a_task_that_a_groups_mean_reads_is_not_stopped_early(grouped):
    plan = plan_of(grouped())
    criteria = [Criterion(id=n, kind="non_inferiority", suite="tiny", tasks=(n,), sequential=n == "first") for n in ("first", "both")]
    apart, whole = (Policy(name="p", version="1", digest="sha256:" + "0" * 64, criteria=tuple(kept)) for kept in (criteria[:1], criteria))
    first = replace(plan.tasks[0], items=tuple(replace(item, cluster=item.item_id) for item in plan.tasks[0].items))
    assert is_stoppable(first, apart, plan.groups)
    assert not is_stoppable(first, whole, plan.groups)


PARTS = """
def results(doc, likelihoods):
    best = max(range(len(likelihoods)), key=lambda k: likelihoods[k][0])
    return {"acc": float("nan") if doc["gender"] == "female" else float(best == doc["label"])}
"""


def test_items_that_take_no_part_in_a_metric_have_no_score_and_are_counted(write_suite, teacher, student, tmp_path):
    """NaN as a task's word for "takes no part": declared, it is left out; undeclared, and where an answer decides it, it is a fault."""
    task = "include: choice.yaml\nprocess_results: !function parts.results\n"
    files = {"choice.yaml": CHOICE_TASK, "parts.yaml": task, "parts.py": PARTS, "choice.jsonl": choice_rows(24)}

    def findings(**said: Any) -> dict[str, str]:
        entry = {"task": "c", "file": "parts.yaml", "data": {"path": "choice.jsonl"}, "metrics": [{**ACC, **said}]}
        path = write_suite([entry], files)
        with allowed_code([path.parent]):
            sides = []
            for role, model in (("t", teacher), ("s", student)):
                folder = tmp_path / f"{role}-{len(said)}"
                document = evaluate(plan_of(path), model, folder, cache=tmp_path / "answers").document
                sides.append(read_results(folder))
        assert document["tasks"][0]["means"]["acc"].get("not_applicable", 0) == (12 if said else 0)
        policy = Policy(name="p", version="1", digest="sha256:" + "0" * 64, criteria=())
        return {f.rule: f.verdict for f in compare_results(*sides, policy).findings}

    assert findings()["evidence.not-finite"] == "invalid"
    declared = findings(not_applicable=["nan"])
    assert declared["evidence.items-not-applicable"] == "warn"
    assert "evidence.not-finite" not in declared
    assert "evidence.items" not in declared


def test_a_value_that_hangs_on_the_answer_makes_no_comparison(write_suite, teacher, student, tmp_path):
    entry = {"task": "c", "file": "choice.yaml", "data": {"path": "choice.jsonl"}, "metrics": [{**ACC, "not_applicable": [0]}]}
    plan = plan_of(write_suite([entry], {"choice.yaml": CHOICE_TASK, "choice.jsonl": choice_rows(24)}))
    sides = []
    for role, model in (("t", teacher), ("s", student)):
        evaluate(plan, model, tmp_path / role, cache=tmp_path / "answers")
        sides.append(read_results(tmp_path / role))
    policy = Policy(name="p", version="1", digest="sha256:" + "0" * 64, criteria=())
    assert "invalid" in {f.verdict for f in compare_results(*sides, policy).findings if f.rule == "evidence.items"}


PARA = {
    **CHOICE_TASK,
    "doc_to_choice": [" no", " yes"],
    "doc_to_target": "{{label % 2}}",
    "metric_list": [{"metric": "acc"}, {"metric": "f1"}],
}
PAGES = {
    "dataset_path": "json",
    "test_split": "test",
    "output_type": "loglikelihood_rolling",
    "doc_to_text": "",
    "doc_to_target": "{{question}}",
    "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
}


def _number_suite(write_suite, **f1: str) -> Path:
    """Numbers that are no means over items: F1, a perplexity per word, bits per byte; a group of each."""
    agrees = {"metric": "f1_agreement", "source": "f1", "direction": "higher", **f1}
    ways = {"choice": [agrees], "pages": [{"metric": name, "direction": "lower"} for name in ("word_perplexity", "bits_per_byte")]}
    entries, files = [], {}
    for kind, task in (("choice", PARA), ("pages", PAGES)):
        for n in (1, 2):
            name = f"{kind}{n}"
            files |= {f"{name}.yaml": {**task, "task": name}, f"{name}.jsonl": choice_rows(8 * n, seed=n)}
            entries.append({"task": name, "file": f"{name}.yaml", "data": {"path": f"{name}.jsonl"}, "metrics": ways[kind]})
        rows = [{"metric": m.get("source", m["metric"]), "weight_by_size": True} for m in ways[kind]]
        entries.append({"task": kind, "group": {"task": [f"{kind}1", f"{kind}2"], "aggregate_metric_list": rows}, "metrics": ways[kind]})
    return write_suite(entries, files)


def test_a_mean_of_numbers_that_are_no_means_over_items_is_lm_evals_own(write_suite, teacher, tmp_path):
    from lm_eval.api.group import Group
    from lm_eval.config.group import AggMetricConfig

    found = evaluate(plan_of(_number_suite(write_suite)), teacher, tmp_path / "t", cache=tmp_path / "answers").document
    tasks = {task["task"]: task for task in found["tasks"]}
    means = {(group["group"], group["metric"]): group["value"] for group in found["groups"]}
    assert len(means) == 3
    for (group, metric), value in means.items():
        source = "f1" if metric == "f1_agreement" else metric
        leaves = {name: {**task["aggregates"], "sample_len": task["items"]} for name, task in tasks.items() if name.startswith(group)}

        class Named(Group):
            def get_all_tasks(self, recursive=True, names=tuple(leaves)):
                return [type("T", (), {"task_name": name})() for name in names]

        theirs = Named(name=group, aggregate_metric_list=[AggMetricConfig(metric=source, weight_by_size=True)]).aggregate(leaves)
        assert value == pytest.approx(theirs[f"{source},none"], rel=1e-12)
        assert {task["means"][metric]["source"] for name, task in tasks.items() if name.startswith(group)} == {source}
    # Items of a rolling task count by their words or bytes, as in the task's own number.
    table = read_results(tmp_path / "t")
    statistics = {(m.task, m.metric): m.statistic for m in table.metrics}
    assert statistics["pages1", "word_perplexity"] == "weighted_mean"
    assert statistics["choice1", "f1_agreement"] == "mean"
    assert not any(m.members for m in table.metrics)
    policy = Policy(name="p", version="1", digest="sha256:" + "0" * 64, criteria=())
    assert not [f for f in compare_results(table, replace(table, folder=""), policy).findings if f.rule == "evidence.aggregate"]
    named = [Criterion(id=n, kind="non_inferiority", suite="tiny", tasks=(n,), metric="word_perplexity") for n in ("pages", "pages1")]
    found = compare_results(table, replace(table, folder=""), replace(policy, criteria=tuple(named))).findings
    assert [f.reason.split()[0] for f in found if f.rule == "evidence.group"] == ["pages"]


def test_a_statistic_that_fails_on_the_answers_is_one_message(write_suite, teacher, tmp_path):
    """F1 of lm-eval knows two classes: of four it is an error where the suite asks for it, and left out where it does not."""
    task = {**CHOICE_TASK, "metric_list": [{"metric": "acc"}, {"metric": "f1"}]}
    for metrics in ([ACC], [{"metric": "agrees", "source": "f1", "direction": "higher"}]):
        entry = {"task": "c", "file": "c.yaml", "data": {"path": "c.jsonl"}, "metrics": metrics}
        plan = plan_of(write_suite([entry], {"c.yaml": task, "c.jsonl": choice_rows(16)}))
        if metrics == [ACC]:
            found = evaluate(plan, teacher, tmp_path / "t", cache=tmp_path / "answers").document
            assert set(found["tasks"][0]["aggregates"]) == {"acc,none"}
            continue
        with pytest.raises(InputError, match="f1 cannot be computed over the answers: Target is multiclass"):
            evaluate(plan, teacher, tmp_path / "t", cache=tmp_path / "answers")


def test_f1_and_a_log_likelihood_are_not_taken_for_what_they_are_not(write_suite):
    with pytest.raises(InputError, match="f1 is a statistic of the whole task") as caught:
        plan_of(_number_suite(write_suite, metric="f1"))
    assert "f1_agreement" in caught.value.mend
    last = {**PAGES, "output_type": "loglikelihood", "doc_to_text": "{{question}}", "doc_to_target": " x", "task": "last"}
    last["metric_list"] = [{"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False}]
    for direction in ("lower", "higher"):
        metrics = [{"metric": "ll", "source": "perplexity", "direction": direction}]
        entry = {"task": "last", "file": "last.yaml", "data": {"path": "last.jsonl"}, "metrics": metrics}
        path = write_suite([entry], {"last.yaml": last, "last.jsonl": choice_rows(4)})
        if direction == "higher":
            assert plan_of(path).tasks
            continue
        with pytest.raises(InputError, match="log-likelihood, of which more is better"):
            plan_of(path)
