"""The shared examples of other tools' results, with the truth of every item and what must come out of the command."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.items.results import read_results

EXAMPLES = Path(__file__).parents[3] / "shared" / "examples"
RESULTS, LOGS = EXAMPLES / "foreign_results", EXAMPLES / "foreign_logs"
pytestmark = pytest.mark.skipif(not RESULTS.is_dir(), reason="the shared examples are not here")


def gate(teacher: Path, student: Path, policy: Path | str) -> Any:
    result = CliRunner().invoke(
        app, ["gate", "--teacher", str(teacher), "--student", str(student), "--policy", str(policy), "--format", "json"]
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return json.loads(result.stdout) if result.exit_code < 2 else result


def truth(name: str) -> list[dict[str, str]]:
    with (RESULTS / name / "truth.csv").open() as stream:
        return list(csv.DictReader(stream))


COLUMNS = {
    "deepeval": "Exact", "inspect_grades_eval": "graded", "inspect_plain_json": "match", "promptfoo_json": "exact",
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("role", ["teacher", "student", "student_ok"])
def test_every_item_has_the_score_of_the_truth(name, role):
    table = read_results(RESULTS / name / role).table
    scores = {row["item_id"]: row["score"] for row in table.to_rows() if row["metric"] == COLUMNS[name]}
    assert scores == {row["item"]: float(row[role]) for row in truth(name)}


@pytest.mark.parametrize("name", ["nemo", "mlflow_genai", "alpaca_eval"])
@pytest.mark.parametrize("role", ["teacher", "student", "student_ok"])
def test_items_that_the_tool_names_otherwise_have_the_scores_of_the_truth(name, role):
    metric = {"nemo": "reward", "mlflow_genai": "exact", "alpaca_eval": "win"}[name]
    column = f"{role}_win_vs_gold" if name == "alpaca_eval" else role
    scores = sorted(row["score"] for row in read_results(RESULTS / name / role).table.to_rows() if row["metric"] == metric)
    assert scores == sorted(float(row[column]) for row in truth(name))


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_documents_and_filters_have_the_scores_of_the_truth(role):
    lighteval = {(r["item_id"], r["metric"]): r["score"] for r in read_results(RESULTS / "lighteval" / role).table.to_rows()}
    assert lighteval == {(row["item"], row["metric"]): float(row[role]) for row in truth("lighteval")}
    blocks = {(r["item_id"], r["metric"]): r["score"] for r in read_results(RESULTS / "lm_eval_0.4.5_two_filters" / role).table.to_rows()}
    stated = truth("lm_eval_0.4.5_two_filters")
    assert blocks == {(row["doc_id"], f"exact_match,{row['filter']}"): float(row[role]) for row in stated}
    old = read_results(RESULTS / "lm_eval_0.4.2" / role).table.to_rows()
    scores = {row["doc_id"]: float(row[role]) for row in truth("lm_eval_0.4.2")}
    assert {(r["metric"], r["item_id"]): r["score"] for r in old} == {
        (metric, item): score for metric in ("acc", "acc_norm", "exact_match") for item, score in scores.items()
    }


@pytest.mark.parametrize("role", ["teacher", "student", "student_ok"])
def test_problems_have_base_and_plus_of_the_truth(role):
    rows = read_results(RESULTS / "evalplus" / role).table.to_rows()
    expected = {(m, row["item"]): float(row[f"{m}:{role}"]) for row in truth("evalplus") for m in ("base", "plus")}
    assert {(row["metric"], row["item_id"]): row["score"] for row in rows} == expected


EXPECTED = [
    ("inspect_grades_eval", "graded", "fail", -20.8, "pass", -3.9),
    ("inspect_plain_json", "match", "fail", -27.1, "pass", -2.9),
    ("lm_eval_0.4.2", "exact_match", "fail", -30.4, "", 0),
    ("lm_eval_0.4.5_two_filters", "exact_match,strict-match", "fail", -30.4, "", 0),
    ("nemo", "reward", "fail", -27.1, "pass", -2.9),
    ("deepeval", "Exact", "fail", -27.1, "pass", -2.9),
    ("promptfoo_json", "exact", "fail", -30.4, "pass", -4.3),
    ("mlflow_genai", "exact", "fail", -27.1, "pass", -2.9),
    ("lighteval", "acc", "fail", -38.4, "", 0),
    ("evalplus", "plus", "fail", -30.4, "pass", -4.3),
    ("evalplus", "base", "fail", -22.7, "inconclusive", -5.4),
    ("alpaca_eval", "win", "fail", -15.0, "pass", -2.9),
]


@pytest.mark.parametrize(("name", "metric", "worse", "worse_bound", "equal", "equal_bound"), EXPECTED)
def test_the_command_decides_as_the_readme_says(name, metric, worse, worse_bound, equal, equal_bound):
    for role, verdict, bound in (("student", worse, worse_bound), ("student_ok", equal, equal_bound)):
        if not verdict:
            continue
        document = gate(RESULTS / name / "teacher", RESULTS / name / role, RESULTS / "policy.yaml")
        (result,) = [c for c in document["criteria"] if c["metric"] == metric]
        assert (result["verdict"], round(100 * result["bound"], 1)) == (verdict, bound)
        if role == "student" or verdict != "pass":
            assert document["verdict"] != "pass"
        elif name != "evalplus":
            assert document["verdict"] == "pass", document["findings"]


def test_nothing_right_against_nothing_right_never_passes():
    document = gate(RESULTS / "lighteval" / "teacher", RESULTS / "lighteval" / "student", RESULTS / "policy.yaml")
    assert [c["verdict"] for c in document["criteria"] if c["metric"] == "em"] == ["inconclusive"]
    place = LOGS / "zero_against_zero"
    assert gate(place, place, "lm-eval")["verdict"] == "inconclusive"


def test_a_log_likelihood_under_the_name_of_perplexity_is_judged_the_right_way_round():
    place = LOGS / "perplexity_per_item"
    assert gate(place / "teacher", place / "student", place / "policy.yaml")["verdict"] == "fail"
    assert gate(place / "student", place / "teacher", place / "policy.yaml")["verdict"] == "pass"


def test_two_random_models_show_nothing():
    place = LOGS / "two_random_models"
    document = gate(place / "rnd", place / "rnd2", "lm-eval")
    assert document["verdict"] == "inconclusive"
    assert {c["verdict"] for c in document["criteria"] if c["id"] == "scores-retained"} == {"inconclusive"}


def test_two_chat_templates_need_a_policy_that_names_them(tmp_path):
    place = LOGS / "two_chat_templates"
    refused = gate(place / "t", place / "s", "lm-eval")
    (finding,) = [f for f in refused["findings"] if f["rule"] == "evidence.chat-template"]
    assert (refused["verdict"], "chat_template" in finding["mend"]) == ("invalid", True)
    policy = yaml.safe_load((Path(__file__).parents[2] / "policies" / "lm-eval.yaml").read_text())
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({**policy, "allowed_differences": ["chat_template"]}))
    judged = gate(place / "t", place / "s", tmp_path / "p.yaml")
    assert [f["verdict"] for f in judged["findings"] if f["rule"] == "evidence.chat-template"] == ["warn"]
    assert all(c["n"] == 20 for c in judged["criteria"])
    assert judged["verdict"] != "invalid"


def test_accuracy_is_judged_on_all_items_and_f1_is_named():
    place = LOGS / "accuracy_and_f1"
    document = gate(place / "t", place / "s", "lm-eval")
    counts = {c["metric"]: c["n"] for c in document["criteria"]}
    assert counts["acc"] == counts["f1_agreement"] == counts["brier_score"] == 40
    assert "afrimmlu/f1" in {f["subject"] for f in document["findings"]}


@pytest.mark.parametrize("name", ["inspect_no_answer", "inspect_yes_no"])
def test_inspect_grades_count_as_inspect_counts_them(name):
    scores = {row["score"] for row in read_results(LOGS / f"{name}.eval").table.to_rows()}
    assert scores <= {0.0, 1.0}


def test_a_copy_is_another_folder(tmp_path):
    shutil.copytree(RESULTS / "nemo" / "teacher", tmp_path / "copy")
    assert gate(RESULTS / "nemo" / "teacher", tmp_path / "copy", RESULTS / "policy.yaml")["verdict"] == "pass"
    refused = gate(RESULTS / "nemo" / "teacher", RESULTS / "nemo" / "teacher", RESULTS / "policy.yaml")
    assert refused.exit_code == 2
