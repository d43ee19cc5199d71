"""The shipped profiles over lm-eval's own tasks, through the offline mirror of the hub: pinned, run, or refused by name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kdgov.decision.judgement import judge
from kdgov.declarations.policy_file import load_policy
from kdgov.declarations.suite import find_suite, load_suite
from kdgov.evaluation.results.comparability import MAY_MOVE, compare_evidence, stopping
from kdgov.evaluation.results.evaluation_run import read_evidence
from kdgov.items.files import read_declarations, read_items
from kdgov.resources import data_folder
from tests.conftest import real_folder

pytestmark = pytest.mark.real
MIRRORED = {"bias-core": ["bbq_*", "crows_pairs", "winogender"], "safety-core": ["truthfulqa_*"], "capability-core": ["gsm8k"]}
PINNED = {"capability-core", "safety-core"}


def _kdgov(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "kdgov", *arguments], capture_output=True, text=True, env=environment, timeout=900)


def _evaluate(environment: dict[str, str], suites: list[str], out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    model = real_folder("models") / "stories260k"
    named = [word for suite in suites for word in ("--suite", suite)]
    return _kdgov(environment, "evaluate", "--model", str(model), *named, "--out", str(out), "--limit", "5", *more)


def test_every_set_a_mirror_lacks_is_named_at_once_with_how_to_mirror_it(mirror: dict[str, str], tmp_path: Path) -> None:
    done = _evaluate(mirror, ["safety-core"], tmp_path / "o")
    assert done.returncode == 3, done.stderr[-2000:]
    for missing in ("cais/wmdp", "skg/toxigen-data", "EleutherAI/hendrycks_ethics", "EleutherAI/sycophancy"):
        assert missing in done.stderr
    assert load_suite(find_suite("safety-core")).tasks[0].hub.revision in done.stderr, "the mirror's copy is not the pinned one"
    assert "HF_ENDPOINT" in done.stderr
    assert "--from-hub" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.nightly
@pytest.mark.ci
def test_what_the_mirror_has_of_the_profiles_is_pinned_and_runs(mirror: dict[str, str], tmp_path: Path) -> None:
    """The shipped pins are the hub's; a mirror's commits are its own, so a copy of each profile is pinned to them."""
    copies = []
    for name in MIRRORED:
        shutil.copytree(data_folder("evalsuites") / name, tmp_path / name)
        done = _kdgov(mirror, "suites", "pin", str(tmp_path / name), "--from-hub")
        assert done.returncode == (0 if name == "none" else 3), done.stderr
        assert "the hub gives no commit of" in done.stderr, "each profile has a set that the mirror lacks"
        copies.append(str(tmp_path / name))
    wanted = [word for patterns in MIRRORED.values() for pattern in patterns for word in ("--task", pattern)]
    done = _evaluate(mirror, copies, tmp_path / "o", *wanted)
    assert done.returncode == 0, done.stderr[-3000:]
    document = read_evidence(tmp_path / "o")
    assert {f"{t['suite']}/{t['task']}" for t in document["tasks"]} == {
        "bias-core/bbq_ambig", "bias-core/bbq_disambig", "bias-core/crows_pairs", "bias-core/winogender",
        "safety-core/truthfulqa_mc1", "safety-core/truthfulqa_mc2", "capability-core/gsm8k",
    }  # fmt: skip
    assert all(len(t["settings"]["data"]["revision"]) == 40 for t in document["tasks"])
    assert not [f for f in compare_evidence(document, document) if f.rule == MAY_MOVE]
    shown = json.loads(_kdgov(mirror, "suites", "show", str(tmp_path / "bias-core"), "--format", "json").stdout)
    here = {t["task"]: t["available"] for t in shown["tasks"]}
    assert {t["task"]: t["rows"] for t in shown["tasks"]}["winogender"] == 720
    assert here == {"bbq_ambig": True, "bbq_disambig": True, "crows_pairs": True, "winogender": True, "cooccurrence": False}


@pytest.fixture(scope="module")
def unpinned(mirror: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a task whose shipped declaration names no revision."""
    folder = tmp_path_factory.mktemp("unpinned")
    done = _evaluate(mirror, ["bias-core"], folder, "--task", "winogender")
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_a_set_without_a_pin_is_flagged_by_the_default_policy(unpinned: Path) -> None:
    document, table = read_evidence(unpinned), read_items(unpinned / "items.parquet")
    other = {**document, "model": {**document["model"], "weights": "sha256:" + "0" * 64}}
    findings = compare_evidence(document, other, teacher_table=table, student_table=table)
    assert [f.rule for f in findings if f.stops] == [MAY_MOVE]
    assert findings[0].subject == "oskarvanderwal/winogender"
    assert stopping(findings, ()) == [], "the two were asked the same all the same"
    decision = judge(
        table, table, load_policy(data_folder("policies") / "default.yaml"), metrics=read_declarations(unpinned), findings=findings
    )
    assert decision.verdict != "pass"
    assert {f.rule for f in decision.findings if f.stops} == {MAY_MOVE, "evidence.not-judged"}, (
        "no criterion of the policy reads this suite"
    )


def test_an_unpinned_set_that_moved_between_two_evaluations_is_refused(mirror: dict[str, str], unpinned: Path) -> None:
    before = read_evidence(unpinned)
    head = next(Path(mirror["HF_HOME"]).glob("hub/datasets--oskarvanderwal--winogender/refs/main"))
    commit = head.read_text()
    assert before["tasks"][0]["settings"]["data"] == {
        "hub": "oskarvanderwal/winogender", "name": "all", "revision": None, "commit": commit
    }  # fmt: skip
    moved = json.loads(json.dumps(before))
    moved["tasks"][0]["settings"]["data"]["commit"] = "f" * 40
    moved["tasks"][0]["root"] = moved["plan"] = "sha256:" + "2" * 64
    assert "evidence.data" in {f.rule for f in compare_evidence(before, moved) if f.stops}


def test_the_shipped_profiles_pin_what_is_known() -> None:
    for name in PINNED:
        revisions = {t.hub.id: t.hub.revision for t in load_suite(find_suite(name)).tasks}
        assert sum(r is not None for r in revisions.values()) >= 2
        assert all(r is None or len(r) == 40 for r in revisions.values())
