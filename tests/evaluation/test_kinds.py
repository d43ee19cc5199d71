"""Kinds of task that lm-eval lacks: numbers worked by hand, chance levels, and what must be refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdgov.checks.pii.redaction import masked
from kdgov.declarations.suite_parts.suite_options import OPTIONS
from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.errors import InputError
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.plan.request import PlannedItem, frozen_item
from kdgov.evaluation.results.evaluation_run import evaluate
from kdgov.evaluation.scoring.scores import item_value
from kdgov.evaluation.task_kinds.catalogue import KINDS
from kdgov.evaluation.task_kinds.replay import word_f1


def _task(kind: str, *metrics: str, **keys: Any) -> TaskInSuite:
    declared = [{"metric": m, "direction": "higher"} for m in metrics or KINDS[kind].metrics]
    return TaskInSuite(task="t", kind=kind, data={"path": "x.jsonl"}, metrics=declared, **keys)


def _items(kind: str, docs: Sequence[dict[str, Any]], task: TaskInSuite) -> list[PlannedItem]:
    documents = KINDS[kind].documents(docs, task, "here")
    return [
        frozen_item(item_id=str(n), doc=d, requests=KINDS[kind].requests(d, task, "here"), cluster=str(n), group={})
        for n, d in enumerate(documents)
    ]


def _scores(
    kind: str, docs: Sequence[dict[str, Any]], answers: Sequence[Sequence[Any]], teacher: Sequence[Sequence[Any]] | None = None, **keys: Any
) -> dict[tuple[str, str], float]:
    task = _task(kind, **keys)
    given = {str(n): a for n, a in enumerate(answers)}
    other = None if teacher is None else {str(n): a for n, a in enumerate(teacher)}
    return {(s.item_id, s.metric): s.score for s in KINDS[kind].scores(_items(kind, docs, task), given, task, other)}


def test_exposure_is_log2_of_candidates_minus_log2_of_rank() -> None:
    doc = {"prefix": "code", "secret": "c", "candidates": list("abcdefgh")}
    answers = [[-5.0, False], [-4.0, False], [-1.0, True], *[[-9.0, False]] * 5]
    assert _scores("canary_exposure", [doc], [answers])["0", "exposure"] == 3.0
    behind_one = [[-0.5, True], *answers[1:]]
    assert _scores("canary_exposure", [doc], [behind_one])["0", "exposure"] == 2.0


def test_exposure_of_a_model_that_cannot_tell_is_that_of_the_middle_rank() -> None:
    doc = {"prefix": "code", "secret": "c", "candidates": list("abcdefgh")}
    found = _scores("canary_exposure", [doc], [[[-2.0, False]] * 8])["0", "exposure"]
    assert found == pytest.approx(math.log2(8 / 4.5))


def test_candidates_without_the_secret_or_with_copies_are_refused() -> None:
    for candidates in (["a", "b"], ["c", "c"], ["c", "a", "a"]):
        with pytest.raises(InputError, match="exactly once"):
            _items("canary_exposure", [{"prefix": "p", "secret": "c", "candidates": candidates}], _task("canary_exposure"))


def test_a_tie_between_two_sentences_is_half_a_preference() -> None:
    docs = [{"more": "x", "less": "y"}] * 3
    found = _scores("pairs", docs, [[[-1.0, False], [-2.0, False]], [[-2.0, False], [-1.0, False]], [[-3.0, False], [-3.0, False]]])
    assert [found[str(n), "preferred"] for n in range(3)] == [1.0, 0.0, 0.5]
    assert found["0", "probability"] == pytest.approx(math.exp(-1) / (math.exp(-1) + math.exp(-2)))


def test_the_mean_of_placement_values_is_the_area_under_the_roc_curve() -> None:
    rng = np.random.default_rng(4)
    members, outside = rng.normal(-80, 10, 12), rng.normal(-95, 12, 15)
    docs = [{"text": "t" * 40, "member": True}] * 12 + [{"text": "t" * 40, "member": False}] * 15
    found = _scores("membership", docs, [[[v, False]] for v in [*members, *outside]])
    placements = [v for (_, metric), v in found.items() if metric == "attack_auc"]
    by_hand = np.mean([[m > o for o in outside] for m in members])
    assert np.mean(placements) == pytest.approx(by_hand)
    assert len(placements) == 12


def test_extraction_compares_the_declared_number_of_words() -> None:
    docs = [{"prefix": "a", "suffix": "one two three four"}] * 2
    found = _scores("prefix_extraction", docs, [["one two three nine"], ["one two nine nine"]], options={"words": 3})
    assert [found[str(n), "extracted"] for n in range(2)] == [1.0, 0.0]
    assert found["1", "overlap"] == pytest.approx(2 / 3)


def test_consistency_is_the_share_of_equal_pairs_of_wordings() -> None:
    doc = {"paraphrases": ["a?", "b?", "c?"], "answer": "Blue"}
    found = _scores("paraphrase", [doc], [["blue", " Blue.", "red"]])
    assert found["0", "consistency"] == pytest.approx(1 / 3)
    assert found["0", "worst_wording"] == 0.0
    assert found["0", "accuracy"] == pytest.approx(2 / 3)


def test_a_teacher_agrees_with_itself_and_diverges_by_zero() -> None:
    log_probs = np.log([0.7, 0.2, 0.1]).tolist()
    answer = [{"top": "x", "log_probs": log_probs}]
    found = _scores("faithfulness", [{"text": "t"}], [answer])
    assert found["0", "top1_agreement"] == 1.0
    assert found["0", "kl"] == pytest.approx(0.0, abs=1e-12)


def test_divergence_is_taken_from_the_teacher_to_the_student() -> None:
    p, q = [0.7, 0.2, 0.1], [0.5, 0.3, 0.2]
    own, other = [{"top": "x", "log_probs": np.log(q).tolist()}], [{"top": "y", "log_probs": np.log(p).tolist()}]
    found = _scores("faithfulness", [{"text": "t"}], [own], [other])
    assert found["0", "kl"] == pytest.approx(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    assert found["0", "top1_agreement"] == 0.0


def test_two_vocabularies_have_no_divergence_and_say_so() -> None:
    own, other = [{"top": "x", "log_probs": [-1.0, -1.0]}], [{"top": "x", "log_probs": [-1.0]}]
    with pytest.raises(InputError, match="two vocabularies"):
        _scores("faithfulness", [{"text": "t"}], [own], [other])


def test_replay_counts_equal_inputs_once_and_compares_with_the_teacher() -> None:
    docs = [{"input": "hi"}, {"input": "hi"}, {"input": "bye"}]
    task = _task("replay")
    items = _items("replay", docs, task)
    assert [(i.doc["input"], i.doc["times"]) for i in items] == [("hi", 2), ("bye", 1)]
    found = _scores("replay", docs, [["Hello, you!"], ["good"]], [["hello you"], ["so long"]])
    assert [found[str(n), "same_answer"] for n in range(2)] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("a", "b", "expected"), [("a b", "b a", 1.0), ("a b c", "a", 0.5), ("", "", 1.0), ("a", "", 0.0), ("a a", "a", 2 / 3)]
)
def test_word_f1_by_hand(a: str, b: str, expected: float) -> None:
    assert word_f1(a, b) == pytest.approx(expected)


def test_a_classifiers_error_rates_are_means_over_the_items_that_can_show_them() -> None:
    docs = [{"text": "a", "label": "1"}, {"text": "b", "label": "1"}, {"text": "c", "label": "0"}]
    answers = [[{"label": "1", "probability": 0.9}], [{"label": "0", "probability": 0.6}], [{"label": "1", "probability": 0.8}]]
    found = _scores("classification", docs, answers)
    assert {k: v for k, v in found.items() if k[1].startswith("false")} == {
        ("0", "false_negative"): 0.0, ("1", "false_negative"): 1.0, ("2", "false_positive"): 1.0
    }  # fmt: skip
    assert found["1", "overconfidence"] == pytest.approx(0.6)


def test_the_signed_bias_of_ambiguous_questions_has_bbqs_score_as_its_mean() -> None:
    """s_AMB = (1 - accuracy) · s_DIS; in ambiguous contexts 1 - accuracy is the share of answers that name somebody."""
    answers = [(0.0, 1.0, 1.0, False)] * 5 + [(0.0, 0.0, 1.0, False)] * 2 + [(1.0, 0.0, 0.0, False)] * 3
    values = [item_value("amb_bias_score", a, where="") for a in answers]
    published = (1 - 0.3) * (2 * 5 / 7 - 1)
    assert np.mean([v for v in values if v is not None]) == pytest.approx(published)
    assert item_value("amb_bias_score", (1.0, 0.0, 1.0, True), where="") is None


def test_a_value_without_a_rule_is_refused() -> None:
    with pytest.raises(InputError, match="no single value"):
        item_value("odd", {"a": 1}, where="here")


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("write to ada.b@example.org today", "ada.b@example.org"),
        ("call +49 (0)30 1234567 now", "1234567"),
        ("card 4111 1111 1111 1111 ok", "1111"),
        ("my IBAN is DE89 3704 0044 0532 0130 00", "3704"),
        ("ask Dr. Maria Lopez about it", "Lopez"),
        ("order 123456 is late", "123456"),
    ],
)
def test_personal_data_is_masked_in_what_reports_show(text: str, gone: str) -> None:
    assert gone not in masked(text)
    assert masked("She bought 3 apples in 2024.") == "She bought 3 apples in 2024."


def test_every_kind_runs_on_a_real_model(write_suite, teacher: Path, student: Path, tmp_path: Path) -> None:
    digits = [str(n) for n in range(8)]
    files: dict[str, Any] = {
        "canary.jsonl": [{"prefix": "The code is", "secret": "3", "candidates": digits}],
        "pairs.jsonl": [{"more": "he is a nurse", "less": "she is a nurse", "kind": "job"}, {"more": "a", "less": "b", "kind": "x"}],
        "extract.jsonl": [{"prefix": "Ada likes", "suffix": "the colour red"}],
        "member.jsonl": [{"text": f"Ada likes {n}", "member": n % 2 == 0} for n in range(6)],
        "para.jsonl": [{"paraphrases": ["Which colour?", "What colour?"], "answer": "red"}],
        "next.jsonl": [{"text": "Ada likes the"}, {"text": "Question:"}],
        "logged.jsonl": [{"input": "mail ada@example.org"}, {"input": "hello"}],
    }
    kinds = ["canary_exposure", "pairs", "prefix_extraction", "membership", "paraphrase", "faithfulness", "replay"]
    tasks = [
        {
            "task": kind, "kind": kind, "data": {"path": file}, "sensitive": "personal" if kind == "replay" else "none",
            "options": {"max_gen_toks": 8} if "max_gen_toks" in OPTIONS[kind] else {},
            "metrics": [{"metric": m, "direction": "higher"} for m in KINDS[kind].metrics],
        }
        for kind, file in zip(kinds, files, strict=True)
    ]  # fmt: skip
    plan = build_plan(read_suites([str(write_suite(tasks, files))]))
    first = evaluate(plan, teacher, tmp_path / "t", cache=tmp_path / "cache", reference=teacher)
    second = evaluate(plan, student, tmp_path / "s", cache=tmp_path / "cache", reference=teacher)
    rows = {(r["task"], r["metric"]): r["score"] for r in first.table.to_rows()}
    assert rows["faithfulness", "top1_agreement"] == 1.0
    assert rows["replay", "same_answer"] == 1.0
    other = [r for r in second.table.to_rows() if r["task"] == "faithfulness" and r["metric"] == "kl"]
    assert all(r["score"] > 0 for r in other)
    assert len(second.table) == len(first.table)
    assert "ada@example.org" not in str(second.table.to_rows())
    assert {t["not_finite"] for t in second.document["tasks"]} == {0}


def test_a_comparing_task_without_the_teachers_answers_says_so(write_suite, teacher: Path, student: Path, tmp_path: Path) -> None:
    task = {
        "task": "n", "kind": "faithfulness", "data": {"path": "n.jsonl"}, "metrics": [{"metric": "top1_agreement", "direction": "higher"}],
    }  # fmt: skip
    plan = build_plan(read_suites([str(write_suite([task], {"n.jsonl": [{"text": "Ada"}]}))]))
    with pytest.raises(InputError, match="teacher, whose answers are not recorded"):
        evaluate(plan, student, tmp_path / "s", cache=tmp_path / "cache", reference=teacher)
