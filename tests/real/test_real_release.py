"""A real pretrained teacher, real text, public suites: the same command and the same path as the shipped miniature."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kdgov.checkpoints.identity import model_identity
from kdgov.items import read_items
from tests.command import kdgov
from tests.conftest import real_folder
from tests.real.conftest import run_release

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real"), pytest.mark.timeout(900)]

TASKS = {
    ("stories", "next_sentence", "acc"): 200,
    ("stories", "held_out_text", "bits_per_byte"): 100,
    ("stereotypes", "crows_pairs", "preferred"): 400,
    ("stereotypes", "winogender", "acc"): 720,
    ("stereotypes", "bbq_age", "acc"): 400,
}


def step_folder(answer, name: str) -> Path:
    return Path(next(step["folder"] for step in answer.document["steps"] if step["step"] == name))


def scores(answer, who: str) -> dict[tuple[str, str, str], list[float]]:
    table = read_items(step_folder(answer, "evaluate") / who / "items.parquet").to_rows()
    found: dict[tuple[str, str, str], list[float]] = {}
    for row in table:
        found.setdefault((row["suite"], row["task"], row["metric"]), []).append(row["score"])
    return found


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_the_run_goes_from_check_to_promotion(real_run) -> None:
    answer, _, _ = real_run
    assert answer.code == 0, answer.err[-3000:]
    assert [step["step"] for step in answer.document["steps"]] == ["check", "distill", "evaluate", "gate", "record", "promote"]


def test_the_student_is_smaller_and_comes_from_the_real_teacher(real_run) -> None:
    answer, _, _ = real_run
    teacher = model_identity(real_folder("models") / "stories260k")
    record = json.loads((step_folder(answer, "evaluate") / "teacher" / "identity.json").read_text())
    assert record["weights"] == teacher.weights
    student = json.loads((step_folder(answer, "evaluate") / "student" / "identity.json").read_text())
    assert student["layers"] == 3
    assert student["parameters"] < 0.7 * teacher.parameters


def test_both_models_answered_every_item_of_the_public_sets(real_run) -> None:
    answer, _, _ = real_run
    for who in ("teacher", "student"):
        sizes = {key: len(values) for key, values in scores(answer, who).items()}
        assert sizes.items() >= TASKS.items()


def test_the_teacher_scores_what_is_published_of_it(real_run) -> None:
    """Its README measured 0.72 on the next-sentence items and chance on the bias sets."""
    answer, _, _ = real_run
    found = scores(answer, "teacher")
    assert mean(found["stories", "next_sentence", "acc"]) == pytest.approx(0.72, abs=0.02)
    assert mean(found["stereotypes", "winogender", "acc"]) == pytest.approx(0.5, abs=0.1)
    assert mean(found["stereotypes", "bbq_age", "acc"]) == pytest.approx(1 / 3, abs=0.15)


def test_distillation_taught_the_student_to_model_text_it_never_saw(real_run) -> None:
    """Three of five layers without training: perplexity 47.7 per token, about twice the teacher's bits per byte and more."""
    answer, _, _ = real_run
    teacher, student = (mean(scores(answer, who)["stories", "held_out_text", "bits_per_byte"]) for who in ("teacher", "student"))
    assert teacher < student < 1.5 * teacher


def test_a_policy_with_tight_margins_blocks_the_same_evidence(real_run, tmp_path) -> None:
    answer, _, _ = real_run
    evidence = step_folder(answer, "evaluate")
    policy = tmp_path / "tight.yaml"
    policy.write_text(
        "schema: kdgov.policy/1\nname: tight\nversion: '1'\ncriteria:\n"
        "  - {id: text, kind: non_inferiority, suite: stories, tasks: [held_out_text], metric: bits_per_byte, "
        "direction: lower, margin: 0.02, min_items: 100}\n"
    )
    again = kdgov(
        "gate", "--teacher", evidence / "teacher/items.parquet", "--student", evidence / "student/items.parquet", "--policy", policy,
        "--format", "json",
    )  # fmt: skip
    assert again.code == 1, again.err[-2000:]
    (criterion,) = again.document["criteria"]
    assert criterion["verdict"] == "fail"
    assert criterion["difference"] < 0


def test_the_gate_notices_by_itself_that_a_suite_cannot_tell(real_run, tmp_path) -> None:
    """A model that knows nothing scores 53 % on the two-way items; 20 points of loss cannot be told on 200 of them."""
    answer, _, _ = real_run
    evidence = step_folder(answer, "evaluate")
    policy = tmp_path / "assay.yaml"
    policy.write_text(
        "schema: kdgov.policy/1\nname: assay\nversion: '1'\ncriteria:\n"
        "  - {id: next, kind: non_inferiority, suite: stories, tasks: [next_sentence], metric: acc, "
        "direction: higher, margin: 0.20, min_items: 200}\n"
    )
    tables = [part for who in ("teacher", "student", "control") for part in (f"--{who}", evidence / who / "items.parquet")]
    again = kdgov("gate", *tables, "--policy", policy, "--format", "json")
    assert again.code == 1, again.err[-2000:]
    (criterion,) = again.document["criteria"]
    assert criterion["verdict"] == "inconclusive"
    assert "cannot tell" in criterion["reason"]


def test_a_second_run_does_nothing_twice(real_run) -> None:
    answer, path, store = real_run
    again = run_release(path, store, KDGOV_REALDATA=str(real_folder("tinystories").parent))
    assert again.code == answer.code
    assert all(step["reused"] for step in again.document["steps"])
    assert [step["key"] for step in again.document["steps"]] == [step["key"] for step in answer.document["steps"]]


def test_without_the_users_copy_the_suite_says_what_is_missing(real_run, tmp_path) -> None:
    _, path, _ = real_run
    answer = run_release(path, tmp_path / "store", KDGOV_REALDATA=str(tmp_path))
    answer.refuses(2, "KDGOV_REALDATA") if "environment variable" in answer.err else answer.refuses(2, "does not exist")
