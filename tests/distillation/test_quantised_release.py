"""A quantised variant is evaluated and gated like any student: the whole way to a decision."""

from __future__ import annotations

import json

import yaml

from kdgov.checkpoints.identity import model_identity
from kdgov.digest import digest_file
from kdgov.items.files import read_items
from kdgov.pipeline.context import open_release
from kdgov.pipeline.distill import distill_step
from tests.evaluation.worlds import CHOICE_TASK, choice_rows, make_model
from tests.steps import gated

METRICS = [{"metric": "acc", "direction": "higher", "chance": 0.25, "range": [0, 1]}]
CRITERION = {"id": "kept", "kind": "non_inferiority", "suite": "tiny", "tasks": ["*"], "metric": "acc", "margin": 0.5, "min_items": 10}


def small_suite(folder):
    folder.mkdir()
    (folder / "choice.yaml").write_text(yaml.safe_dump(CHOICE_TASK))
    (folder / "choice.jsonl").write_text("".join(json.dumps(row) + "\n" for row in choice_rows(24)))
    data = {"path": "choice.jsonl", "digest": digest_file(folder / "choice.jsonl")}
    task = {"task": "choice", "file": "choice.yaml", "data": data, "metrics": METRICS}
    suite = {"schema": "kdgov.suite/1", "name": "tiny", "license": "Apache-2.0", "tasks": [task]}
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite))
    return folder


def test_an_int8_variant_is_judged_beside_its_teacher(tmp_path):
    teacher, student = make_model(tmp_path / "teacher", seed=1, layers=3), make_model(tmp_path / "full", seed=2)
    policy = {"schema": "kdgov.policy/1", "name": "loose", "version": "1", "criteria": [CRITERION]}
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
    said = {
        "schema": "kdgov.release/1",
        "name": "eight-bits",
        "teacher": {"model": str(teacher)},
        "student": {"model": str(student), "quantization": "int8_dynamic"},
        "suites": [str(small_suite(tmp_path / "suite"))],
        "policy": "policy.yaml",
    }
    path = tmp_path / "release.yaml"
    path.write_text(yaml.safe_dump(said))
    context = open_release(path, store=tmp_path / "store")
    made = distill_step(context)
    variant = model_identity(made.folder / "student")
    assert variant.weights != model_identity(student).weights
    bundle = gated(context).folder
    decision = json.loads((bundle / "decision.json").read_text())
    assert decision["digests"]["student_weights_evaluated"] == variant.weights
    (judged,) = [row for row in decision["criteria"] if row["id"] == "kept"]
    # Neither model was ever trained: what counts is that there is an answer about this very variant, over all items.
    assert judged["n"] == 24
    assert judged["verdict"] in ("pass", "inconclusive", "fail")
    assert 0 <= judged["student"] <= 1
    assert read_items(bundle / "control" / "items.parquet").scores.shape == (24,)
