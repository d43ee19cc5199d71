"""A group of tasks judged by its mean: the number, its bound, what it must not hide, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kdgov.decision.judgement import judge
from kdgov.decision.policy import Criterion, Policy
from kdgov.decision.preflight import PlannedTask, unfillable_criteria
from kdgov.evaluation.results.compare_results import compare_results
from kdgov.items import ItemTable, MetricDeclaration
from kdgov.items.results import Results
from tests.decision.simulated_groups import DESIGNS, MARGIN, passes

SIZES = {"a": 600, "b": 300, "c": 100}
KEPT = Criterion(id="kept", kind="non_inferiority", suite="s", tasks=("g",), margin=0.05, min_items=100, assay="skip")


def declared(**change) -> tuple[MetricDeclaration, ...]:
    plain = [MetricDeclaration(suite="s", task=t, metric="acc", direction="higher", low=0.0, high=1.0) for t in SIZES]
    return (*plain, replace(plain[0], task="g", **{"members": tuple(SIZES), "weighted": True, **change}))


def table(losing: dict[str, float] | None = None, leave_out: str = "", **columns) -> ItemTable:
    """Eight of ten right; of the tasks in ``losing``, that share of the items is wrong, whatever they were."""
    rows = []
    for task, size in SIZES.items():
        if task == leave_out:
            continue
        lost = round((losing or {}).get(task, 0.0) * size)
        for n in range(size):
            score = 0.0 if n < lost else float(n % 10 < 8)
            row = {"suite": "s", "task": task, "item_id": f"{n}", "metric": "acc", "score": score}
            rows.append(row | {name: of(n) for name, of in columns.items()})
    return ItemTable.from_rows(rows)


def policy(*criteria: Criterion) -> Policy:
    return Policy(name="p", version="1", digest="sha256:" + "0" * 64, criteria=criteria)


def judged(student: ItemTable, *criteria: Criterion, metrics=None, teacher=None):
    return judge(teacher or table(), student, policy(*(criteria or (KEPT,))), metrics=metrics or declared())


@pytest.mark.parametrize("weighted", [True, False])
def test_the_mean_is_that_of_items_or_of_tasks(weighted):
    student = table({"c": 0.4})
    (result,) = judged(student, metrics=declared(weighted=weighted)).criteria
    means = [float(np.mean([r["score"] for r in student.to_rows() if r["task"] == t])) for t in SIZES]
    weights = list(SIZES.values()) if weighted else [1, 1, 1]
    assert result.student == pytest.approx(np.average(means, weights=weights), abs=1e-12)
    assert (result.task, result.method, result.n) == ("g", "stratified", 1000)


def test_a_task_that_counts_twice_counts_twice():
    student = table({"c": 0.4})
    once, twice = (judged(student, metrics=declared(weighted=False, members=m)).criteria[0] for m in (("a", "c"), ("a", "c", "c")))
    assert once.difference == pytest.approx(-0.4 * 0.8 / 2, abs=0.05)
    assert twice.difference == pytest.approx(once.difference * 4 / 3, abs=1e-9)


def test_a_task_that_collapsed_inside_a_good_mean_is_named_and_may_stop_the_release():
    student = table({"c": 0.3})
    loose = replace(KEPT, margin=0.08)
    decision = judged(student, loose)
    assert decision.verdict == "pass"
    assert "`c`" in decision.criteria[0].reason
    (lost,) = [f for f in decision.findings if f.rule == "evidence.group-task-lost"]
    assert lost.verdict == "warn"
    assert lost.details["tasks"] == ["c"]
    strict = replace(policy(loose), findings={"evidence.group-task-lost": "block"})
    assert judge(table(), student, strict, metrics=declared()).verdict == "fail"


def test_a_task_without_rows_makes_the_group_invalid():
    decision = judge(table(leave_out="b"), table(leave_out="b"), policy(KEPT), metrics=declared())
    assert decision.verdict == "invalid"
    assert "s/b/acc" in decision.criteria[0].reason


def test_a_criterion_on_a_group_reads_its_tasks_and_a_pattern_reads_tasks_alone():
    rules = {f.rule for f in judged(table()).findings}
    assert "evidence.not-judged" not in rules
    decision = judged(table(), replace(KEPT, tasks=("*",)))
    assert {r.task for r in decision.criteria} == set(SIZES)
    (told,) = [f for f in decision.findings if f.rule == "evidence.group-means"]
    assert told.verdict == "pass"
    assert "s/g acc 0.8000 → 0.8000" in told.reason
    half = judged(table(), replace(KEPT, tasks=("g",)), metrics=declared(members=("a", "b")))
    assert [f.details["unread"] for f in half.findings if f.rule == "evidence.not-judged"] == [["s/c/acc"]]


@pytest.mark.parametrize(
    "change",
    [{"kind": "churn", "ceiling": 0.1}, {"by": (("gender",),)}, {"sequential": True}, {"statistic": "f1"}, {"where": {"coverage": "far"}}],
)
def test_what_cannot_be_asked_of_a_mean_is_invalid_and_not_judged_another_way(change):
    (result,) = judged(table(), replace(KEPT, **change)).criteria
    assert result.verdict == "invalid"
    assert "judged task by task" in result.reason


def test_trusted_scores_are_not_mixed_into_a_groups_mean():
    (result,) = judged(table(gold=lambda n: 1.0 if n < 50 else None)).criteria
    assert result.verdict == "invalid"
    assert "gold" in result.reason


def test_weights_that_make_many_items_worth_few_cannot_pass():
    asked = replace(KEPT, min_items=700)
    (result,) = judged(table(), asked, metrics=declared(weighted=False)).criteria
    assert result.verdict == "inconclusive"
    assert "no more than 600 equal items would, and the policy asks for 700" in result.reason
    assert judged(table(), asked).verdict == "pass"


def test_tasks_that_share_items_may_be_wrong_together():
    """CrowS-Pairs holds the items of its own parts: two such tasks are no two witnesses."""
    student = {"a": 0.03, "b": 0.03, "c": 0.03}
    apart = judged(table(student)).criteria[0]
    shared = {"item_digest": lambda n: f"sha256:{n:064x}"}
    joined = judge(table(**shared), table(student, **shared), policy(KEPT), metrics=declared()).criteria[0]
    assert joined.bound < apart.bound - 0.003
    assert joined.difference == apart.difference


def test_floor_and_retention_and_target_speak_of_the_group_too():
    criteria = (
        Criterion(id="floor", kind="floor", suite="s", tasks=("g",), floor=0.7, min_items=100),
        Criterion(id="share", kind="retention", suite="s", tasks=("g",), share=0.9, min_items=100, assay="skip"),
    )
    assert [r.verdict for r in judged(table(), *criteria).criteria] == ["pass", "pass"]
    assert [r.verdict for r in judged(table({"a": 0.4}), *criteria).criteria] == ["fail", "fail"]
    even = tuple(replace(m, direction="target", ideal=0.5) for m in declared())
    (target,) = judged(table({"a": 0.1}), metrics=even).criteria
    assert (target.verdict, target.difference > 0) == ("pass", True)


def test_a_group_that_two_sides_define_otherwise_is_no_comparison():
    def side(scores: ItemTable, **change) -> Results:
        return Results(table=scores, metrics=declared(**change), readers=("lm_eval",))

    for change in ({"weighted": False}, {"members": ("a", "b")}):
        compared = compare_results(side(table()), side(table({"a": 0.1}), **change), policy(KEPT))
        assert [f.verdict for f in compared.findings if f.rule == "evidence.group"] == ["invalid"]
    same = compare_results(side(table()), side(table({"a": 0.1})), policy(KEPT))
    assert not [f for f in same.findings if f.rule == "evidence.group"]


def test_before_training_a_group_counts_as_the_items_of_its_tasks():
    tasks = [PlannedTask(suite="s", task=t, metrics=("acc",), items=n) for t, n in SIZES.items()]
    group = PlannedTask(suite="s", task="g", metrics=("acc",), items=1000, is_group=True)
    assert unfillable_criteria(policy(replace(KEPT, min_items=900)), [*tasks, group]) == ()
    assert unfillable_criteria(policy(KEPT), tasks)
    assert len(unfillable_criteria(policy(replace(KEPT, tasks=("*",), min_items=900)), [*tasks, group])) == 3


@pytest.mark.parametrize("design", [DESIGNS[k] for k in (0, 3, 7, 9)], ids=lambda d: d.name)
def test_a_student_at_the_margin_passes_in_at_most_five_of_a_hundred(design):
    """Measured with 10,000 runs: at most 3.5 % (docs/gate.md); 200 runs may show 16 at 5 %, with a chance of 0.03 %."""
    assert passes(design, 200) <= 16 / 200
    assert passes(design, 60, margin=6 * MARGIN) > 0.8


def test_a_control_and_chance_levels_are_weighed_as_the_group_is():
    """A teacher that knows one small task alone: by tasks it beats the control, by items hardly."""
    asked = replace(KEPT, assay="required", margin=0.2)
    teacher = table({"a": 1.0, "b": 1.0})
    student, control = table({"a": 1.0, "b": 1.0}), table({"a": 1.0, "b": 1.0, "c": 1.0})
    for weighted, verdict in ((False, "pass"), (True, "inconclusive")):
        metrics = declared(weighted=weighted)
        (result,) = judge(teacher, student, policy(asked), metrics=metrics, control=control).criteria
        assert (result.verdict, result.assay.split(":")[0]) == (verdict, "holds" if verdict == "pass" else "cannot tell")
