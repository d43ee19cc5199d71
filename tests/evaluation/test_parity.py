"""Unmodified built-in tasks, on their authors' real data through the offline mirror: lm-eval's own numbers to the last digit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdgov.evaluation.parity import MIRRORED
from tests.conftest import real_folder

pytestmark = pytest.mark.real
EVERYDAY = ("crows_pairs_english_gender", "truthfulqa_mc2", "winogender_all")


def _parity(environment: dict[str, str], tasks: tuple[str, ...], limit: int, out: Path) -> list[dict]:
    model = real_folder("models") / "stories260k"
    command = [sys.executable, "-m", "kdgov.evaluation.parity", "--model", str(model), "--limit", str(limit), "--json", str(out), *tasks]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return json.loads(out.read_text())


def test_numbers_of_built_in_tasks_are_lm_evals(mirror: dict[str, str], tmp_path: Path) -> None:
    rows = _parity(mirror, EVERYDAY, 12, tmp_path / "parity.json")
    assert [r["task"] for r in rows] == list(EVERYDAY)
    assert all(r["theirs"] and r["agrees"] for r in rows)


@pytest.mark.nightly
def test_numbers_of_every_mirrored_task_are_lm_evals(mirror: dict[str, str], tmp_path: Path) -> None:
    rows = _parity(mirror, MIRRORED, 100, tmp_path / "parity.json")
    assert len(rows) >= 12
    assert all(r["agrees"] for r in rows)


def test_the_users_copies_of_public_sets_are_asked_as_they_are(tmp_path: Path) -> None:
    """XSTest, HarmBench and CrowS-Pairs in their authors' formats; a story model refuses nothing, and the table says so."""
    data, model = real_folder("xstest").parent, real_folder("models") / "stories260k"
    command = [
        sys.executable, "-m", "kdgov", "evaluate", "--model", str(model), "--suite", "refusal",
        "--suite", "stereotype-pairs", "--limit", "6", "--out", str(tmp_path / "o"), "--format", "json",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env={**os.environ, "KDGOV_DATA": str(data), "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    document = json.loads(done.stdout)
    assert {t["task"]: t["items"] for t in document["tasks"]} == {
        "xstest_refusal": 6, "xstest_over_refusal": 6, "harmbench_refusal": 6, "crows_pairs_original": 6
    }  # fmt: skip
    assert {m["metric"] for m in document["metrics"] if m["harmful"]} == {"refused"}


CORE = """
group: core
task:
  - {task: blimp_passive_1, num_fewshot: 2, task_alias: passives}
  - blimp_wh_island
  - group: bias
    task: [crows_pairs_english_gender, crows_pairs_english_age]
    aggregate_metric_list: [{metric: pct_stereotype, weight_by_size: false}]
  - {group: inner, task: [blimp_npi_present_1, winogender_female, blimp_wh_island], aggregate_metric_list: [{metric: acc}]}
aggregate_metric_list: [{metric: acc, aggregation: mean, filter_list: none, weight_by_size: true}]
"""
HEAD = "schema: kdgov.suite/1\nname: groups\ntasks:\n"
ACC = "{metric: acc, direction: higher, range: [0, 1]}"
STEREOTYPE = "{metric: pct_stereotype, direction: target, ideal: 0.5, range: [0, 1]}"
ENTRIES = {
    "core": f"  - {{task: core, file: core.yaml, metrics: [{ACC}, {STEREOTYPE}]}}\n",
    "blimp": f"  - {{task: blimp, metrics: [{ACC}]}}\n",
}


@pytest.mark.nightly
@pytest.mark.parametrize(("groups", "first", "means"), [("core", 120, 3), ("blimp", 4, 1)])
def test_means_of_groups_are_those_of_lm_evals_own_command(
    mirror: dict[str, str], tmp_path: Path, groups: str, first: int, means: int
) -> None:
    """Crows-Pairs by age has 87 items, so that 120 make tasks of two sizes; a task that is named twice counts twice."""
    model = str(real_folder("models") / "stories260k")
    (tmp_path / "core.yaml").write_text(CORE)
    (tmp_path / "suite.yaml").write_text(HEAD + ENTRIES[groups])
    command = [
        sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={model},dtype=float32", "--include_path",
        str(tmp_path), "--tasks", groups, "--limit", str(first), "--device", "cpu", "--output_path", str(tmp_path / "theirs"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=mirror, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    stated = json.loads(next((tmp_path / "theirs").rglob("results*.json")).read_text())["groups"]
    theirs = {f"{name} {key.split(',')[0]}": v for name, row in stated.items() for key, v in row.items() if key.endswith(",none")}
    own = [sys.executable, "-m", "tests.evaluation.group_parity", str(tmp_path), model, str(first), str(tmp_path / "ours")]
    done = subprocess.run(own, capture_output=True, text=True, env=mirror, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    ours = json.loads(done.stdout.splitlines()[-1])
    assert len(ours) == means
    for name, value in ours.items():
        assert value == pytest.approx(theirs[name], abs=1e-4), name
