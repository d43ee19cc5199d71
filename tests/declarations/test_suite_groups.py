"""Groups and tags of lm-eval in a suite: which tasks they stand for, what they average, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kdgov.declarations.suite import load_suite
from kdgov.declarations.suite_parts.task_index import builtin_index, scanned
from kdgov.errors import InputError

ACC: dict[str, Any] = {"metric": "acc", "direction": "higher", "range": [0, 1]}
CHOICE = {
    "output_type": "multiple_choice",
    "dataset_path": "json",
    "test_split": "test",
    "doc_to_text": "{{q}}",
    "doc_to_target": 0,
    "doc_to_choice": ["a", "b"],
    "metric_list": [{"metric": "acc"}],
}


def suite_of(folder: Path, *entries: dict[str, Any], **files: Any):
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    document = {"schema": "kdgov.suite/1", "name": "s", "tasks": [{"metrics": [ACC], **entry} for entry in entries]}
    (folder / "suite.yaml").write_text(yaml.safe_dump(document))
    return load_suite(folder / "suite.yaml")


def test_a_built_in_group_stands_for_its_tasks_and_averages_as_its_file_says(tmp_path):
    suite = suite_of(tmp_path, {"task": "blimp", "limit": 20})
    (group,) = suite.task_groups
    assert len(suite.tasks) == len(group.tasks) == 67
    assert {task.limit for task in suite.tasks} == {20}
    assert group.means[0].metric == "acc"
    assert not group.means[0].weighted
    assert set(group.means[0].tasks) == {t.task for t in suite.tasks}


def test_a_tag_is_a_list_of_tasks_without_a_mean(tmp_path):
    name, tasks = next((name, tasks) for name, tasks in sorted(builtin_index().tags.items()) if name == "crows_pairs")
    suite = suite_of(tmp_path, {"task": name, "metrics": [{**ACC, "metric": "pct_stereotype"}]})
    assert tuple(task.task for task in suite.tasks) == tasks
    assert suite.task_groups[0].means == ()


def test_groups_nest_and_name_tags_and_define_tasks_and_groups_in_place(tmp_path):
    """Everything that lm-eval 0.4.13 was seen to build of such a file, under its names; a task that two groups name counts twice."""
    top = {
        "group": "core",
        "group_alias": "Core",
        "num_fewshot": 1,
        "task": [
            {"task": "one", "num_fewshot": 2, "task_alias": "first"},
            {"group": "inline", "task": ["three"], "aggregate_metric_list": {"metric": "acc", "weight_by_size": False}},
            "inner",
            "coloured",
            {"task": "made", **CHOICE},
        ],
        "aggregate_metric_list": [{"metric": "acc", "aggregation": "mean", "filter_list": "none"}],
    }
    inner = {"group": "inner", "task": "two", "aggregate_metric_list": [{"metric": "acc"}]}
    files = {name: {"task": name, **CHOICE} for name in ("one", "two", "three")}
    files["four"] = {"task": "four", "include": "base.yaml", **CHOICE}
    suite = suite_of(tmp_path, {"task": "core", "file": "core.yaml"}, core=top, inner=inner, base={"tag": ["coloured"]}, **files)
    tasks = {task.task: task for task in suite.tasks}
    assert list(tasks) == ["one", "three", "two", "four", "core::made"]
    assert tasks["one"].overrides == {"num_fewshot": 2, "task_alias": "first"}
    assert tasks["two"].overrides == {"num_fewshot": 1}
    assert tasks["core::made"].config["doc_to_choice"] == ["a", "b"]
    groups = {group.name: group for group in suite.task_groups}
    assert list(groups) == ["core", "core::inline", "inner"]
    assert groups["core"].alias == "Core"
    assert groups["core"].means[0].tasks == ("one", "three", "two", "four", "core::made")
    assert groups["core"].means[0].weighted
    assert not groups["core::inline"].means[0].weighted


def test_a_task_of_two_groups_is_asked_once_and_counts_in_both(tmp_path):
    files = {name: {"task": name, **CHOICE} for name in ("one", "two")}
    mean = [{"metric": "acc"}]
    listed = {"a": ["one", "two"], "b": ["two"], "c": [{"group": "x", "task": ["two"]}, {"group": "y", "task": ["two"]}]}
    entries = [{"task": name, "group": {"task": tasks, "aggregate_metric_list": mean}} for name, tasks in listed.items()]
    suite = suite_of(tmp_path, *entries, **files)
    assert [task.task for task in suite.tasks] == ["one", "two"]
    assert [group.means[0].tasks for group in suite.task_groups if group.means] == [("one", "two"), ("two",), ("two", "two")]


def test_a_group_may_name_the_suites_own_entries_of_any_kind(tmp_path):
    (tmp_path / "i.jsonl").write_text('{"id": "a", "prompt": "Hi"}\n')
    metric = {"metric": "right", "direction": "higher", "range": [0, 1]}
    own = [{"task": n, "kind": "open_answer", "data": {"path": "i.jsonl"}, "metrics": [metric]} for n in ("x", "y")]
    group = {"task": "both", "group": {"task": ["x", "y"], "aggregate_metric_list": [{"metric": "right"}]}, "metrics": [metric]}
    suite = suite_of(tmp_path, *own, group)
    assert suite.task_groups[0].means[0].tasks == ("x", "y")


def test_a_task_that_lacks_a_metric_is_left_out_of_its_mean_as_lm_eval_does(tmp_path):
    other = {**CHOICE, "metric_list": [{"metric": "f1", "aggregation": "f1"}]}
    f1 = {**ACC, "metric": "f1"}
    group = {"task": ["one", "two"], "aggregate_metric_list": [{"metric": "acc"}, {"metric": "f1"}]}
    files = {"one": {"task": "one", **CHOICE}, "two": {"task": "two", **other}}
    suite = suite_of(tmp_path, {"task": "g", "group": group, "metrics": [ACC, f1]}, **files)
    assert [[m.metric for m in task.metrics] for task in suite.tasks] == [["acc"], ["f1"]]
    # F1 is no mean over items: the group's mean of it is reported, and no criterion judges it.
    assert [(mean.metric, mean.tasks) for mean in suite.task_groups[0].means] == [("acc", ("one",)), ("f1", ("two",))]


@pytest.mark.parametrize(
    ("entry", "files", "says"),
    [
        ({"task": "g", "group": {"task": ["blimp_wh_iland"]}}, {}, "blimp_wh_island"),
        ({"task": "g", "group": {"task": [{"task": "blimp_wh_iland", "num_fewshot": 2}]}}, {}, "blimp_wh_island"),
        ({"task": "g", "file": "g.yaml"}, {"g": {"group": "g", "task": ["h"]}, "h": {"group": "h", "task": ["h"]}}, "holds itself"),
        ({"task": "g", "group": {"task": []}}, {}, "lists no tasks"),
        ({"task": "g", "group": {"task": [7]}}, {}, "lists '7'"),
        ({"task": "g", "group": {"task": ["one"], "aggregate_metric_list": [{"metric": "acc", "aggregation": "median"}]}}, {}, "no mean"),
        ({"task": "g", "group": {"task": ["one"], "aggregate_metric_list": [{"metric": "a", "weight_by": 1}]}}, {}, "weight_by is no key"),
        ({"task": "g", "group": {"task": ["one", {"task": "one", "num_fewshot": 2}]}}, {}, "in two ways"),
        ({"task": "blimp", "data": {"path": "one.yaml"}}, {}, "is a group and has `data`"),
        ({"task": "g", "file": "g.yaml"}, {"g": "group: g\ntask:\n- task: one\n  process_docs: !function u.f\n"}, "name the function u.f"),
        ({"task": "one", "group": {"task": ["one"]}}, {}, "holds itself"),
        ({"task": "g", "group": {"task": ["one"]}, "metrics": [{**ACC, "metric": "bleu"}, {**ACC, "metric": "ter"}]}, {}, None),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_group_is_told_in_one_message(tmp_path, entry, files, says):
    files = {"one": {"task": "one", **CHOICE}} | files
    if says is None:
        assert [m.metric for m in suite_of(tmp_path, entry, **files).tasks[0].metrics] == ["bleu", "ter"]
        return
    with pytest.raises(InputError) as raised:
        suite_of(tmp_path, entry, **files)
    assert says in f"{raised.value.what} {raised.value.mend}", str(raised.value)


def test_a_mean_over_two_filters_asks_which_is_meant(tmp_path):
    filters = {"strict": [{"name": "strict", "filter": []}], "loose": [{"name": "loose", "filter": []}]}
    files = {name: {"task": name, **CHOICE, "filter_list": rows} for name, rows in filters.items()}
    group = {"task": [*filters], "aggregate_metric_list": [{"metric": "acc"}]}
    with pytest.raises(InputError, match="through the filters loose, strict"):
        suite_of(tmp_path, {"task": "g", "group": group}, **files)
    group["aggregate_metric_list"] = [{"metric": "acc", "filter_list": ["strict"]}]
    assert suite_of(tmp_path, {"task": "g", "group": group}, **files).task_groups[0].means[0].tasks == ("strict",)


@pytest.mark.nightly
def test_the_index_is_lm_evals_own():
    from lm_eval.tasks import TaskManager

    own, theirs = scanned(builtin_index().root), TaskManager()
    assert sorted(own.tasks) == theirs.all_subtasks
    assert sorted(own.groups) == theirs.all_groups
    assert {name: sorted(theirs.task_index[name].tags) for name in theirs.all_tags} == {k: list(v) for k, v in own.tags.items()}
