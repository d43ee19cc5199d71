"""One release, end to end, as a user runs it: the good student is promoted, the unsafe one blocked for the right reason."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kdgov.digest import digest_json
from kdgov.items import read_items
from kdgov.pipeline.context import open_release
from kdgov.pipeline.run import run_release
from tests.command import kdgov, start_kdgov
from tests.pipeline.test_run import counted

pytestmark = pytest.mark.xdist_group("release")
ROOT = Path(__file__).parent.parent
STEPS = ["check", "distill", "evaluate", "gate", "record", "promote"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One store for both shipped releases: the second pays nothing for the teacher."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def good(store):
    return kdgov("run", "registry/releases/miniature.yaml", "--store", store, "--format", "json")


@pytest.fixture(scope="module")
def unsafe(store, good):
    return kdgov("run", "registry/releases/miniature-unsafe.yaml", "--store", store, "--format", "json")


def step(answer, name):
    return next(s for s in answer.document["steps"] if s["step"] == name)


def decision_of(answer):
    return json.loads((Path(step(answer, "gate")["folder"]) / "decision.json").read_text())


def test_the_good_miniature_is_promoted(good):
    assert good.code == 0, good.err[-3000:]
    assert [s["step"] for s in good.document["steps"]] == STEPS
    assert decision_of(good)["verdict"] == "pass"


def test_the_unsafe_miniature_is_blocked_by_safety_and_by_nothing_else(unsafe):
    unsafe.refuses(1)
    decision = decision_of(unsafe)
    assert decision["verdict"] == "fail"
    refused = [c for c in decision["criteria"] if c["verdict"] != "pass"]
    assert refused
    assert {(c["suite"], c["task"]) for c in refused} == {("safety", "refusal")}
    assert not [f for f in decision["findings"] if f["verdict"] not in ("pass", "warn")]
    assert "promote" not in [s["step"] for s in unsafe.document["steps"]]


def test_every_gated_criterion_rests_on_at_least_300_items(good):
    counted = [c for c in decision_of(good)["criteria"] if c["kind"] == "non_inferiority" and not c["group"]]
    assert counted
    assert min(c["n"] for c in counted) >= 300


def test_a_second_student_pays_nothing_for_the_teacher(good, unsafe):
    """The teacher's answers and scores are those of the first; what counts as near to the data is each release's own."""
    tables = [read_items(Path(step(a, "evaluate")["folder"]) / "teacher" / "items.parquet").to_rows() for a in (good, unsafe)]
    own = {"group", "item_digest"}
    first, second = ({digest_json({k: v for k, v in row.items() if k not in own}) for row in table} for table in tables)
    assert len(tables[0]) == len(tables[1]) == len(first)
    assert len(first ^ second) == 0
    assert step(unsafe, "evaluate")["wall_s"] < step(good, "evaluate")["wall_s"]


def test_a_rerun_with_nothing_changed_reuses_everything_in_seconds(good, store):
    began = time.monotonic()
    again = kdgov("run", "registry/releases/miniature.yaml", "--store", store, "--format", "json")
    wall_s = time.monotonic() - began
    assert again.code == 0
    assert all(s["reused"] for s in again.document["steps"]), [(s["step"], s["reused"]) for s in again.document["steps"]]
    assert step(again, "gate")["key"] == step(good, "gate")["key"]
    assert wall_s < 15, wall_s


def test_a_run_on_the_finished_release_calls_each_step_once(good, store):
    with counted() as calls:
        run_release(open_release(ROOT / "registry/releases/miniature.yaml", store=store), on_step=lambda taken: None)
    assert calls == {f"{name}_step": 1 for name in STEPS}


def test_two_runs_at_once_end_as_one_does(uninterrupted, tmp_path):
    path, expected = uninterrupted
    runs = [start_kdgov("run", path, "--store", tmp_path / "store", "--format", "json") for _ in range(2)]
    said = [run.communicate(timeout=800) for run in runs]
    assert [run.returncode for run in runs] == [1, 1] or [run.returncode for run in runs] == [0, 0], [err[-2000:] for _, err in said]
    folders = {next(s for s in json.loads(out)["steps"] if s["step"] == "gate")["folder"] for out, _ in said}
    assert [(Path(folder) / "decision.json").read_bytes() for folder in folders] == [expected]
    assert any("waiting for it" in err for _, err in said)
    again = kdgov("run", path, "--store", tmp_path / "store", "--format", "json")
    assert all(s["reused"] for s in again.document["steps"] if s["step"] != "promote")


def small_release(folder: Path, root: Path) -> Path:
    """The miniature recipe with a part of its steps and suites: its verdict does not matter, only that it is always the same."""
    release = yaml.safe_load((root / "registry/releases/miniature.yaml").read_text())
    release["distillation"]["steps"] = 40
    release["distillation"]["checkpoint_every"] = 15
    release["name"], release["suites"], release["policy"] = "small", ["safety"], "policy.yaml"
    policy = yaml.safe_load((root / "policies/default.yaml").read_text())
    policy["criteria"] = [criterion for criterion in policy["criteria"] if criterion.get("suite") in release["suites"]]
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy, sort_keys=False))
    for key in ("model", "card"):
        release["teacher"][key] = str((root / "registry/releases" / release["teacher"][key]).resolve())
    for item in (*release["data"], release["production_inputs"]):
        item["card"] = str((root / "registry/releases" / item["card"]).resolve())
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(release))
    return path


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    root = Path(__file__).parent.parent
    folder = tmp_path_factory.mktemp("uninterrupted")
    path = small_release(folder, root)
    answer = kdgov("run", path, "--store", folder / "store", "--format", "json")
    assert answer.code in (0, 1), answer.err[-3000:]
    return path, (Path(step(answer, "gate")["folder"]) / "decision.json").read_bytes()


def stop_when(process: subprocess.Popen[str], *, said: str, seen: Callable[[], bool], by: signal.Signals) -> bool:
    """Send a signal to the whole process group once a line of its standard error starts with ``said`` and something is seen.

    Returns:
        Whether it was seen while the run was still at work.
    """
    assert any(line.strip().removeprefix("✓ ").startswith(said) for line in process.stderr), "it ended before"
    until = time.monotonic() + 300
    while not (there := seen()) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    alive = process.poll() is None
    if alive:
        os.killpg(process.pid, by)
    return there and alive


def more_of(store: Path, pattern: str) -> Callable[[], bool]:
    """Whether a file or folder of this kind is there that was not there when this was made."""
    before = set(store.rglob(pattern))
    return lambda: bool({*store.rglob(pattern)} - before)


def at_once() -> bool:
    return True


@pytest.mark.nightly
@pytest.mark.ci
def test_interrupted_and_killed_again_and_again_it_arrives_at_the_same_decision(uninterrupted, tmp_path):
    """Ctrl-C while training; killed while training on, right after it, while evaluating and while deciding; then run to the end."""
    path, expected = uninterrupted
    store = tmp_path / "store"
    process = start_kdgov("run", path, "--store", store)
    assert stop_when(process, said="check", seen=more_of(store, "checkpoint-*"), by=signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 3, err
    assert "continues where it stopped" in err
    assert "Traceback" not in err
    places = (("check", more_of(store, "checkpoint-*")), ("distill", at_once), ("distill", more_of(store, "*.log0")), ("evaluate", at_once))
    for said, seen in places:
        process = start_kdgov("run", path, "--store", store)
        assert stop_when(process, said=said, seen=seen, by=signal.SIGKILL), said
        process.communicate()
    answer = kdgov("run", path, "--store", store, "--format", "json")
    assert answer.code in (0, 1), answer.err[-3000:]
    assert (Path(step(answer, "gate")["folder"]) / "decision.json").read_bytes() == expected
