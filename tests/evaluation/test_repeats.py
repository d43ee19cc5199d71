"""Repeated answers: every one is asked with its own seed, and mean, majority and pass@k are those of a hand count."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.errors import InputError
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.plan.messages import answerable
from kdgov.evaluation.results.endpoint_findings import endpoint_findings
from kdgov.evaluation.results.evaluation_run import evaluate
from kdgov.evaluation.scoring.repeats import pass_at_k, repeated_metric
from tests.endpoints.scripted_server import scripted_server
from tests.evaluation.worlds import WRITE_TASK, choice_rows

SAMPLED = {**WRITE_TASK, "repeats": 4, "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8, "do_sample": True, "temperature": 0.7}}


@pytest.mark.parametrize(("n", "right", "k"), [(4, 0, 2), (4, 1, 1), (4, 1, 2), (4, 3, 2), (5, 2, 3), (5, 5, 5)])
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_answer(n: int, right: int, k: int) -> None:
    answers = [True] * right + [False] * (n - right)
    draws = list(itertools.combinations(answers, k))
    assert pass_at_k(n, right, k) == pytest.approx(sum(any(d) for d in draws) / math.comb(n, k))


def test_a_k_above_the_answers_and_other_sources() -> None:
    with pytest.raises(InputError, match="needs 6 answers"):
        pass_at_k(5, 1, 6)
    assert repeated_metric("exact_match") is repeated_metric("pass@0:x") is repeated_metric("passes:x") is None


def _suite(write_suite: Any, task: dict[str, Any], *sources: str) -> Path:
    metrics = [{"metric": f"m{n}", "source": source, "direction": "higher"} for n, source in enumerate(sources)]
    declared = {"task": "write", "file": "write.yaml", "data": {"path": "c.jsonl"}, "metrics": metrics}
    path: Path = write_suite([declared], {"write.yaml": task, "c.jsonl": choice_rows(1)})
    return path


def test_all_answers_of_an_item_are_asked_and_scored(write_suite: Any, tmp_path: Path) -> None:
    right = choice_rows(1)[0]["answer"]
    suite = _suite(write_suite, SAMPLED, "exact_match", "mean:exact_match", "majority:exact_match", "pass@2:exact_match")
    plan, _ = answerable(build_plan(read_suites([str(suite)])))
    assert len(plan.tasks[0].items[0].requests) == 4
    with scripted_server([{"text": said} for said in ("no", right, right, "nay")]) as server:
        endpoint = Endpoint(base_url=server.url, model="m", terms="MIT", concurrency=1)
        how = BackendSettings(backend="chat", endpoint=endpoint, reask=5)
        found = evaluate(plan, endpoint, tmp_path / "a", cache=tmp_path / "c", how=how)
    assert len({body["seed"] for _, _, body, _ in server.asked}) == 4
    assert {body["temperature"] for _, _, body, _ in server.asked} == {0.7}
    assert found.document["endpoint"]["asked_again"] == 0, "sampled answers differ by nature"
    drift = next(f for f in endpoint_findings("teacher", found.document) if f.rule == "evidence.endpoint-drift")
    assert (drift.verdict, "is sampled" in drift.reason, "reask" in drift.mend) == ("warn", True, False)
    scores = {r["metric"]: r["score"] for r in found.table.to_rows()}
    assert scores == {"m0": 0.0, "m1": 0.5, "m2": 1.0, "m3": pytest.approx(1 - 1 / 6)}


def test_a_greedy_task_is_asked_once_and_names_what_it_lacks(write_suite: Any) -> None:
    greedy = {**WRITE_TASK, "repeats": 4}
    assert len(build_plan(read_suites([str(_suite(write_suite, greedy, "exact_match"))])).tasks[0].items[0].requests) == 1
    with pytest.raises(InputError, match="needs repeated answers"):
        build_plan(read_suites([str(_suite(write_suite, greedy, "pass@2:exact_match"))]))


VOTES = [
    {"name": "first", "filter": [{"function": "take_first"}]},
    {"name": "vote", "filter": [{"function": "take_first_k", "k": 3}, {"function": "majority_vote"}, {"function": "take_first"}]},
]


def test_filters_that_vote_over_repeats_vote_as_in_lm_eval(write_suite: Any, tmp_path: Path, teacher: Path) -> None:
    """Sampled, beside statistics over single answers; greedy, where every repeat is the one answer; and a k beyond the repeats."""
    right = choice_rows(1)[0]["answer"]
    metrics = [
        {"metric": "first", "source": "exact_match", "filter": "first", "direction": "higher"},
        {"metric": "vote", "source": "exact_match", "filter": "vote", "direction": "higher"},
        {"metric": "mean", "source": "mean:exact_match", "direction": "higher"},
    ]

    def planned(task: dict[str, Any], kept: list[dict[str, Any]]) -> Any:
        declared = {"task": "write", "file": "write.yaml", "data": {"path": "c.jsonl"}, "metrics": kept}
        files = {"write.yaml": {**task, "filter_list": VOTES}, "c.jsonl": choice_rows(1)}
        return build_plan(read_suites([str(write_suite([declared], files))]))

    plan, _ = answerable(planned(SAMPLED, metrics))
    with scripted_server([{"text": said} for said in ("no", right, right, "nay")]) as server:
        endpoint = Endpoint(base_url=server.url, model="m", terms="MIT", concurrency=1)
        how = BackendSettings(backend="chat", endpoint=endpoint, reask=0)
        found = evaluate(plan, endpoint, tmp_path / "a", cache=tmp_path / "c", how=how)
    assert {r["metric"]: r["score"] for r in found.table.to_rows()} == {"first": 0.0, "vote": 1.0, "mean": 0.5}
    greedy = evaluate(planned({**WRITE_TASK, "repeats": 4}, metrics[:2]), teacher, tmp_path / "b", cache=tmp_path / "d")
    assert greedy.document["tasks"][0]["requests"] == 1
    assert len(set(greedy.document["tasks"][0]["aggregates"].values())) == 1
    with pytest.raises(InputError, match="at least 3 responses per doc"):
        planned({**SAMPLED, "repeats": 2}, metrics[:2])


def test_a_model_here_samples_every_answer_anew(write_suite: Any, tmp_path: Path, teacher: Path) -> None:
    plan = build_plan(read_suites([str(_suite(write_suite, SAMPLED, "mean:exact_match"))]))
    found = evaluate(plan, teacher, tmp_path / "a", cache=tmp_path / "c")
    assert found.document["tasks"][0]["requests"] == 4
    again = evaluate(plan, teacher, tmp_path / "b", cache=tmp_path / "d")
    assert found.document["tasks"][0]["answers"] == again.document["tasks"][0]["answers"]
