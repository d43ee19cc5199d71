"""Evaluation stops a task as soon as its sequential criteria decide it: what that saves, and that it decides no more than the gate does."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from kdgov.declarations.policy_file import parse_policy
from kdgov.errors import InputError
from kdgov.evaluation.early_stopping import ask_until_decided, is_stoppable
from kdgov.evaluation.plan.request import Plan, PlannedTask, frozen_item
from kdgov.items import ItemTable
from kdgov.items.results import Results
from tests.command import kdgov as command

POLICY = """\
schema: kdgov.policy/1
name: early
version: 1
criteria:
  - {id: ability, kind: non_inferiority, suite: tiny, tasks: ["%s"], direction: higher, margin: %g, min_items: 50, assay: skip%s}
findings: {evidence.not-judged: warn, evidence.policy-newer: warn}
"""
SEQUENTIAL = ", sequential: true"


def planned(task: str, n: int, *, cluster: int = 1) -> PlannedTask:
    items = [
        frozen_item(item_id=f"i{k:05d}", doc={"n": k}, requests=(), cluster=f"i{k // cluster * cluster:05d}", group={}) for k in range(n)
    ]
    metrics = ({"metric": "acc", "direction": "higher"},)
    return PlannedTask(suite="tiny", task=task, kind="test", items=tuple(items), settings={}, metrics=metrics, of_whole=n)


class Pair:
    """Two models whose right answers are drawn once: what is asked is looked up."""

    def __init__(self, plan: Plan, rng: np.random.Generator, *, loss: float = 0.0, differ: float = 0.1) -> None:
        self.parts: list[Plan] = []
        self.scores = {}
        for task in plan.tasks:
            for item in task.items:
                draw, right = rng.random(), float(rng.random() < 0.8)
                change = -1.0 if draw < (differ + loss) / 2 else 1.0 if draw < differ else 0.0
                teacher = right if change == 0 else float(change < 0)
                self.scores[task.task, item.item_id] = (teacher, teacher + change)

    def __call__(self, part: Plan, number: int) -> tuple[Results, Results]:
        self.parts.append(part)
        assert number == len(self.parts)
        sides = []
        for side in (0, 1):
            rows = [
                {
                    "suite": "tiny", "task": t.task, "metric": "acc", "item_id": i.item_id, "cluster": i.cluster,
                    "score": self.scores[t.task, i.item_id][side],
                }
                for t in part.tasks for i in t.items
            ]  # fmt: skip
            sides.append(Results(table=ItemTable.from_rows(rows)))
        return sides[0], sides[1]


def stopped(n: int, seed: int, *, margin: float = 0.05, **how: float):
    plan = Plan(tasks=(planned("qa", n),))
    return ask_until_decided(plan, parse_policy(POLICY % ("*", margin, SEQUENTIAL)), Pair(plan, np.random.default_rng(seed), **how))


@pytest.mark.parametrize(
    ("how", "verdict"),
    [({"loss": 0.0}, "pass"), ({"loss": -0.03}, "pass"), ({"loss": 0.1, "differ": 0.12}, "fail"), ({"loss": 0.2, "differ": 0.24}, "fail")],
)
def test_clearly_fine_and_clearly_bad_students_save_two_fifths_of_the_questions(how, verdict):
    found = [stopped(2000, seed, **how) for seed in range(5)]
    assert np.mean([one.saved for one in found]) >= 0.4
    assert sum(one.decision.criteria[0].verdict == verdict for one in found) == 5
    assert all(one.decision.criteria[0].n == one.tasks[0].asked for one in found)


@pytest.mark.nightly
def test_a_student_at_the_margin_passes_no_more_often_for_stopping_early():
    runs = 300
    passed = sum(stopped(1200, seed, loss=0.05).decision.criteria[0].verdict == "pass" for seed in range(runs))
    assert passed / runs <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / runs)


def test_a_student_near_the_margin_is_asked_everything():
    found = stopped(400, 3, loss=0.04)
    assert (found.tasks[0].asked, found.tasks[0].verdict, found.saved) == (400, "inconclusive", 0.0)


def test_what_another_bound_reads_is_asked_as_a_whole_in_the_first_batch():
    plan = Plan(tasks=(planned("fixed", 900), planned("free", 900), planned("grouped", 900, cluster=7), planned("unread", 70)))
    text = POLICY % ("fr*", 0.05, SEQUENTIAL)
    further = "".join(
        f"  - {{id: {name}, kind: non_inferiority, suite: tiny, tasks: [{task}], direction: higher, margin: 0.1, assay: skip{keys}}}\n"
        for name, task, keys in (("whole", "fixed", ""), ("clustered", "grouped", SEQUENTIAL))
    )
    pair = Pair(plan, np.random.default_rng(1))
    found = ask_until_decided(plan, parse_policy(text.replace("findings:", further + "findings:")), pair, batch=100)
    sizes = [{task.task: len(task.items) for task in part.tasks} for part in pair.parts]
    assert sizes[0] == {"fixed": 900, "free": 100, "grouped": 900, "unread": 70}
    assert all(set(size) == {"free"} for size in sizes[1:])
    assert {t.task: t.verdict for t in found.tasks} == {
        "tiny/fixed": "asked as a whole", "tiny/free": "pass", "tiny/grouped": "asked as a whole", "tiny/unread": "asked as a whole"
    }  # fmt: skip
    # The other task came in one batch, and its bound may pass: it was looked at once.
    assert next(r for r in found.decision.criteria if r.id == "whole").verdict == "pass"


def test_clusters_of_one_size_are_asked_whole_and_stop_early():
    plan = Plan(tasks=(planned("grouped", 900, cluster=3),))
    pair = Pair(plan, np.random.default_rng(1))
    found = ask_until_decided(plan, parse_policy(POLICY % ("*", 0.1, SEQUENTIAL)), pair, batch=100)
    assert len(pair.parts[0].tasks[0].items) == 102
    for part in pair.parts:
        owners = [item.cluster for item in part.tasks[0].items]
        assert all(owners.count(owner) == 3 for owner in owners)
    assert (found.tasks[0].verdict, found.saved > 0.4) == ("pass", True)


def test_no_item_is_asked_twice_and_none_is_chosen_by_its_place():
    plan = Plan(tasks=(planned("qa", 500),))
    pair = Pair(plan, np.random.default_rng(3), loss=0.04)
    ask_until_decided(plan, parse_policy(POLICY % ("*", 0.05, SEQUENTIAL)), pair, batch=100)
    names = [item.item_id for part in pair.parts for task in part.tasks for item in task.items]
    assert sorted(names) == [item.item_id for item in plan.tasks[0].items]
    first = {item.item_id for item in pair.parts[0].tasks[0].items}
    assert 20 < sum(name < "i00250" for name in first) < 80


def test_a_policy_without_a_sequential_criterion_is_refused():
    plan = Plan(tasks=(planned("qa", 100),))
    with pytest.raises(InputError, match="no criterion that may be looked at after every batch"):
        ask_until_decided(plan, parse_policy(POLICY % ("*", 0.05, "")), Pair(plan, np.random.default_rng(1)))


def test_an_advisory_criterion_neither_stops_a_task_nor_keeps_it_whole():
    task = planned("qa", 100)
    assert is_stoppable(task, parse_policy(POLICY % ("*", 0.05, SEQUENTIAL)))
    assert not is_stoppable(task, parse_policy(POLICY % ("*", 0.05, SEQUENTIAL + ", advisory: true")))


@pytest.mark.nightly
@pytest.mark.ci
def test_the_command_asks_both_models_and_the_gate_judges_its_folders(tmp_path, write_suite, teacher):
    """All but a copy of the teacher is decided early; the gate says the same of the batches."""
    import torch
    import transformers

    from tests.evaluation.worlds import CHOICE_TASK, choice_rows

    shutil.copytree(teacher, tmp_path / "student")
    model = transformers.AutoModelForCausalLM.from_pretrained(teacher)
    with torch.no_grad():
        next(model.parameters()).mul_(1 + 1e-6)
    model.save_pretrained(tmp_path / "student")

    metrics = [{"metric": "acc", "direction": "higher", "chance": 0.25, "range": [0, 1]}]
    suite = write_suite(
        [{"task": "choice", "file": "choice.yaml", "data": {"path": "choice.jsonl"}, "metrics": metrics}],
        {"choice.yaml": CHOICE_TASK, "choice.jsonl": choice_rows(400)},
    )
    (tmp_path / "p.yaml").write_text(POLICY % ("choice", 0.2, SEQUENTIAL))
    asked = [
        "evaluate",
        "--model",
        tmp_path / "student",
        "--teacher",
        teacher,
        "--suite",
        suite.parent,
        "--until-decided",
        tmp_path / "p.yaml",
    ]
    told = command(*asked, "--batch", "40", "--out", tmp_path / "out", "--format", "json")
    assert told.code == 0, told.err
    found = told.document
    assert (found["verdict"], found["tasks"][0]["verdict"], found["tasks"][0]["of"]) == ("pass", "pass", 400), found
    assert 0.4 <= found["saved"] < 1
    assert json.loads((tmp_path / "out" / "early_stop.json").read_text()) == found
    first, *more = [tmp_path / "out" / f"batch-{n + 1}" for n in range(found["batches"])]
    further = [part for folder in more for part in ("--more", folder)]
    judged = command("gate", "--teacher", first, "--student", first, *further, "--policy", tmp_path / "p.yaml", "--format", "json")
    assert judged.code == 0, judged.out
    assert judged.document["criteria"][0]["n"] == found["tasks"][0]["asked"]
    command(*asked[:3], "--until-decided", tmp_path / "p.yaml").refuses(2, "--teacher", "--suite", "--out")
