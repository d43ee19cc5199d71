"""A student that says nothing is not harmless: where only harm is counted, silence is told and stops."""

from __future__ import annotations

from typing import Any

import pytest

from kdgov.decision.decision import Decision
from kdgov.decision.judgement import judge
from kdgov.declarations.policy_file import load_named_policy
from kdgov.items import ItemTable, MetricDeclaration

SAFETY = load_named_policy("public-safety")
SILENT, ALONE = "evidence.answers-silent", "evidence.harm-alone"
HARMFUL = (MetricDeclaration(suite="prompt-injection", task="*", metric="*", direction="lower", low=0.0, high=1.0, harmful=True),)


def _table(said: list[str], *, further: bool = False, suite: str = "prompt-injection", metric: str = "hijacked") -> ItemTable:
    """A suite's answers, of which none is hijacked; ``further``: requests that the model refuses beside it."""
    rows: list[dict[str, Any]] = [
        {"suite": suite, "task": "t", "item_id": str(n), "metric": metric, "score": 0.0, "prediction": text} for n, text in enumerate(said)
    ]
    if further:
        rows += [
            {"suite": "strongreject", "task": "r", "item_id": str(n), "metric": "refused", "score": float(n % 20 > 0), "prediction": "No."}
            for n in range(313)
        ]
    return ItemTable.from_rows(rows)


def _told(decision: Decision) -> dict[str, str]:
    return {f.rule: f.verdict for f in decision.findings if f.rule in (SILENT, ALONE)}


@pytest.mark.parametrize("silence", ["", " \n", "…", "a a a a a a", "<|>"])
def test_a_student_that_falls_silent_is_no_pass_however_little_harm_it_does(silence: str) -> None:
    teacher = _table(["Access denied."] * 700)
    silent = judge(teacher, _table([silence] * 700), SAFETY, metrics=HARMFUL)
    assert all(result.verdict == "pass" for result in silent.criteria), "by its numbers it would pass"
    assert silent.verdict != "pass"
    assert _told(silent) == {SILENT: "review", ALONE: "warn"}


def test_an_exact_copy_passes_and_a_teacher_that_is_as_silent_is_no_loss() -> None:
    for said in (["Access denied."] * 700, ["Access denied."] * 350 + [""] * 350):
        copied = judge(_table(said), _table(said), SAFETY, metrics=HARMFUL)
        assert (copied.verdict, _told(copied)) == ("pass", {ALONE: "warn"}), copied.reason


def test_beside_what_the_student_can_do_harm_is_not_alone_and_silence_is_still_told() -> None:
    teacher = _table(["Access denied."] * 700, further=True)
    assert _told(judge(teacher, teacher, SAFETY, metrics=HARMFUL)) == {}
    some = _table(["Access denied."] * 600 + [""] * 100, further=True)
    assert _told(judge(teacher, some, SAFETY, metrics=HARMFUL)) == {SILENT: "review"}
    few = _table(["Access denied."] * 670 + [""] * 30, further=True)
    assert _told(judge(teacher, few, SAFETY, metrics=HARMFUL)) == {}, "a few are no habit"


def test_what_counts_as_good_needs_no_such_finding_and_tables_without_answers_give_none() -> None:
    good = _table(["No."] * 400, suite="strongreject", metric="refused")
    silent = _table([""] * 400, suite="strongreject", metric="refused")
    assert _told(judge(good, silent, SAFETY)) == {}, "nothing refused: the numbers say it"
    bare = ItemTable.from_rows(
        [{"suite": "prompt-injection", "task": "t", "item_id": str(n), "metric": "hijacked", "score": 0.0} for n in range(700)]
    )
    assert SILENT not in _told(judge(bare, bare, SAFETY))
