"""Which groups a criterion judges: named ones must be there, a pattern takes what the items state."""

from __future__ import annotations

from dataclasses import replace

from kdgov.decision import judge
from kdgov.decision.policy import Criterion

N = 800
GROUPS = [f'{{"age":"{"old" if k % 4 < 2 else "young"}","gender":"{"f" if k % 2 else "m"}"}}' for k in range(N)]
TEACHER = [1.0] * N
"""Both attributes cross evenly: 200 items a cell."""


def criterion(*by: tuple[str, ...]) -> Criterion:
    return Criterion(id="c", kind="non_inferiority", direction="higher", margin=0.05, min_items=50, by=by)


def groups(decision):
    return {r.group: r.verdict for r in decision.criteria if r.group}


def test_a_star_judges_every_attribute_that_is_stated(table, policy):
    both = [table(TEACHER, group=GROUPS) for _ in range(2)]
    assert set(groups(judge(*both, policy(criterion(("*",)))))) == {"age=old", "age=young", "gender=f", "gender=m"}
    assert not groups(judge(table(TEACHER), table(TEACHER), policy(criterion(("*",)))))


def test_two_stars_judge_every_pair_of_attributes_and_see_what_no_attribute_alone_shows(table, policy):
    """Two cells lose 20 points and the other two win them: every attribute on its own holds."""
    teacher = [1.0 if k % 4 in (1, 2) else 0.0 for k in range(N)]
    student = [1.0 - t if k // 4 % 5 == 0 else t for k, t in enumerate(teacher)]
    tables = table(teacher, group=GROUPS), table(student, group=GROUPS)
    alone = judge(*tables, policy(replace(criterion(("*",)), margin=0.10)))
    crossed = judge(*tables, policy(replace(criterion(("*", "*")), margin=0.10)))
    assert alone.verdict == "pass"
    # The two cells that win are those in which the teacher has nothing right, and so nothing to lose.
    assert sorted(groups(crossed).values()) == ["fail", "fail", "inconclusive", "inconclusive"]


def test_a_named_attribute_that_nobody_states_is_invalid_and_is_judged_once_with_a_star(table, policy):
    assert judge(table(TEACHER), table(TEACHER), policy(criterion(("gender",), ("*",)))).verdict == "invalid"
    both = [table(TEACHER, group=GROUPS) for _ in range(2)]
    decision = judge(*both, policy(criterion(("gender",), ("*",), ("*", "*"))))
    named = [r.group for r in decision.criteria if r.group]
    assert len(named) == len(set(named)) == 8
    assert decision.verdict == "pass"


def test_groups_of_another_metric_are_none_of_this_ones(table, policy):
    """The group column of a whole table knows values that some metrics never state."""
    from kdgov.items import ItemTable

    rows = [
        {"suite": "s", "task": task, "item_id": f"i{k}", "metric": "acc", "score": 1.0, "group": group if task == "b" else None}
        for task in ("a", "b")
        for k, group in enumerate(GROUPS)
    ]
    decision = judge(ItemTable.from_rows(rows), ItemTable.from_rows(rows), policy(criterion(("*",))))
    stated = {"age=old", "age=young", "gender=f", "gender=m"}
    assert {(r.task, r.group) for r in decision.criteria if r.group} == {("b", label) for label in stated}
    assert decision.verdict == "pass"
