"""The jobs `kdgov init` writes, run as they are: real shell, real git, real command; only the hosting service is a stand-in."""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.items import ItemTable, write_items

pytestmark = pytest.mark.slow

POLICY = """\
schema: kdgov.policy/1
name: own
version: "1"
criteria:
  - {id: ability, kind: non_inferiority, suite: capability, direction: higher, margin: 0.05, min_items: 200}
"""
LOOSER = POLICY.replace("margin: 0.05", "margin: 0.25")
STRICTER = POLICY.replace("margin: 0.05", "margin: 0.04")
TEACHER = np.array([1.0] * 800 + [0.0] * 200)
WORSE = np.array([0.0] * 150 + [1.0] * 650 + [0.0] * 200)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def save(path: Path, scores: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"suite": "capability", "task": "qa", "metric": "acc", "item_id": f"i{n}", "score": float(s)} for n, s in enumerate(scores)]
    write_items(ItemTable.from_rows(rows), path)


def commit(folder: Path, policy: str | None, message: str) -> None:
    file = folder / "policies" / "own.yaml"
    file.unlink() if policy is None else file.write_text(policy)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)


@pytest.fixture
def repository(tmp_path):
    """A clone whose `main` holds the jobs, the policy and results of equal models."""
    origin = tmp_path / "origin"
    (origin / "policies").mkdir(parents=True)
    (origin / "policies" / "own.yaml").write_text(POLICY)
    git(tmp_path, "init", "-q", "-b", "main", str(origin))
    save(origin / "out" / "teacher.parquet", TEACHER)
    save(origin / "out" / "student.parquet", TEACHER)
    results = ["--teacher", "out/teacher.parquet", "--student", "out/student.parquet"]
    done = CliRunner().invoke(app, ["init", str(origin), "--policy", str(origin / "policies" / "own.yaml"), *results])
    assert done.exit_code == 0, done.output
    commit(origin, POLICY, "Add the gate")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(origin), str(clone))
    git(clone, "checkout", "-q", "-b", "change")
    return clone


def github_steps(folder: Path) -> list[dict[str, Any]]:
    return yaml.safe_load((folder / ".github" / "workflows" / "kdgov-gate.yml").read_text())["jobs"]["gate"]["steps"]


def run_job(folder: Path, system: str = "github", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the judging script of one system's job, as its runner would."""
    if system == "github":
        script = next(step["run"] for step in github_steps(folder) if step.get("id") == "gate")
        command = ["bash", "-e", "-o", "pipefail", "-c", script]
    else:
        script = yaml.safe_load((folder / ".gitlab" / "kdgov-gate.yml").read_text())["kdgov-gate"]["script"][-1]
        command = ["sh", "-e", "-c", script]
    place = {"BASE_BRANCH": "main"} if system == "github" else {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_DEFAULT_BRANCH": "main"}
    set_here = {**runner_environment(folder), **place, **environment}
    return subprocess.run(command, cwd=folder, env=set_here, capture_output=True, text=True, check=False)


def runner_environment(folder: Path) -> dict[str, str]:
    """What a runner has: its tools, this kdgov among them, and a summary to write to."""
    tools = folder.parent / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "kdgov").write_text(f'#!/bin/sh\nexec {sys.executable} -m kdgov "$@"\n')
    (tools / "kdgov").chmod(0o755)
    python = os.environ.get("PYTHONPATH", str(Path.cwd()))
    return {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": python, "GITHUB_STEP_SUMMARY": str(folder.parent / "summary.md")}


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_a_branch_that_loosens_its_policy_is_judged_by_the_base_branchs(repository, system):
    save(repository / "out" / "student.parquet", WORSE)
    commit(repository, LOOSER, "Allow more")
    done = run_job(repository, system)
    assert done.returncode == 1, done.stderr
    decision = json.loads((repository / "kdgov-gate" / "decision.json").read_text())
    assert decision["verdict"] == "fail"
    assert decision["criteria"][0]["margin"] == 0.05
    assert f"of the base branch main, commit {git(repository, 'rev-parse', '--short', 'origin/main').strip()}" in done.stdout
    assert decision["policy"]["digest"] in done.stdout
    assert "looser: ability: the margin rises from 0.05 to 0.25" in done.stdout
    comment = (repository / "kdgov-gate" / "comment.md").read_text()
    assert comment.startswith("<!-- kdgov gate -->\n")
    assert decision["policy"]["digest"] in comment
    assert "the margin rises" in comment
    assert "FAIL" in comment


def test_a_looser_policy_keeps_the_job_red_even_where_the_student_passes_the_base_branchs(repository):
    commit(repository, LOOSER, "Allow more")
    done = run_job(repository)
    assert json.loads((repository / "kdgov-gate" / "decision.json").read_text())["verdict"] == "pass"
    assert done.returncode == 1
    assert "does not pass its own gate" in done.stderr


@pytest.mark.parametrize(
    ("policy", "student", "code"),
    [(POLICY, TEACHER, 0), (POLICY, WORSE, 1), pytest.param(STRICTER, TEACHER, 0, marks=pytest.mark.nightly), (None, TEACHER, 1)],
)
def test_the_job_blocks_exactly_when_the_gate_does_or_the_policy_goes(repository, policy, student, code):
    save(repository / "out" / "student.parquet", student)
    commit(repository, policy, "Change")
    done = run_job(repository)
    assert done.returncode == code, done.stdout + done.stderr
    assert {p.name for p in (repository / "kdgov-gate").iterdir()} == {
        "decision.json", "gate.md", "gate.sarif", "gate.xml", "policy-diff.txt", "comment.md"
    }  # fmt: skip
    assert (repository.parent / "summary.md").read_text() == (repository / "kdgov-gate" / "comment.md").read_text()


def test_the_first_introduction_says_that_the_changes_own_policy_judged(repository):
    git(repository, "mv", "policies/own.yaml", "policies/first.yaml")
    workflow = repository / ".github" / "workflows" / "kdgov-gate.yml"
    workflow.write_text(workflow.read_text().replace("policies/own.yaml", "policies/first.yaml"))
    done = run_job(repository)
    assert done.returncode == 0, done.stderr
    assert "main has no such file yet, so this first introduction needs the eyes of the policy's owner" in done.stdout


def test_without_the_base_branch_nothing_is_judged(repository):
    (repository / "kdgov-gate").mkdir()
    (repository / "kdgov-gate" / "decision.json").write_text('{"verdict": "pass"}')  # what an earlier job, or the branch, left there
    done = run_job(repository, BASE_BRANCH="gone")
    assert done.returncode == 3
    assert "cannot be fetched" in done.stderr
    assert not (repository / "kdgov-gate" / "decision.json").exists()


@pytest.mark.nightly
@pytest.mark.ci
def test_a_branch_cannot_trust_its_own_key_for_a_waiver(repository, monkeypatch):
    """The trust store of the base branch counts; the branch's own waiver and key change nothing."""
    save(repository / "out" / "student.parquet", WORSE)
    commit(repository, POLICY, "A worse student")
    assert run_job(repository).returncode == 1
    kept = repository / ".kdgov"
    (kept / "waivers").mkdir(parents=True)
    monkeypatch.setenv("KDGOV_KEY_PASSPHRASE", "correct horse battery staple")
    monkeypatch.setenv("KDGOV_TRUST", str(kept / "trust.json"))
    key = repository.parent / "mallory"
    expires = (datetime.date.today() + datetime.timedelta(days=10)).isoformat()
    sentence = ["--criterion", "ability", "--owner", "Mallory", "--reason", "because", "--expires", expires]
    for command in (
        ["keys", "new", str(key)],
        ["keys", "trust", f"{key}.pub", "--for", "waiver"],
        ["waive", str(repository / "kdgov-gate" / "decision.json"), *sentence, "--key", f"file:{key}.key",
         "--out", str(kept / "waivers" / "w.json")],
    ):  # fmt: skip
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
    commit(repository, POLICY, "Waive it myself")
    monkeypatch.delenv("KDGOV_TRUST")
    done = run_job(repository)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "trust" in done.stderr
    git(repository, "push", "-q", "origin", "change:refs/heads/trusting")
    assert run_job(repository, BASE_BRANCH="trusting").returncode == 0


def test_the_comment_is_written_once_and_then_updated(repository, tmp_path):
    script = next(step["run"] for step in github_steps(repository) if "comment" in step.get("name", ""))
    tools = tmp_path / "stand-in"
    tools.mkdir()
    # Stands for GitHub's own client: answers the search with what lies in `found`, and notes every call.
    (tools / "gh").write_text('#!/bin/sh\necho "$@" >> "$CALLS"\ncase "$*" in *--paginate*) cat "$FOUND" ;; esac\n')
    (tools / "gh").chmod(0o755)
    (tmp_path / "found").write_text("")
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "CALLS": str(tmp_path / "calls"), "FOUND": str(tmp_path / "found"),
                   "GITHUB_REPOSITORY": "o/r", "NUMBER": "7"}  # fmt: skip
    for found in ("", "11\n12\n"):
        (tmp_path / "found").write_text(found)
        subprocess.run(["bash", "-e", "-c", script], cwd=repository, env=environment, check=True)
    calls = [line for line in (tmp_path / "calls").read_text().splitlines() if "--method" in line]
    assert "--method POST repos/o/r/issues/7/comments" in calls[0]
    assert "--method PATCH repos/o/r/issues/comments/11" in calls[1]
    assert all("--field body=@kdgov-gate/comment.md" in one for one in calls)


def test_actions_are_pinned_by_commit_and_the_install_is_what_was_asked_for(tmp_path):
    for spec, index, line in (
        ("dist/kdgov-0.2.0-py3-none-any.whl", "", "python -m pip install dist/kdgov-0.2.0-py3-none-any.whl"),
        ("https://example.org/kdgov.whl", "", "python -m pip install https://example.org/kdgov.whl"),
        (
            "kdgov==0.2.0",
            "https://pypi.example.org/simple",
            "python -m pip install --index-url https://pypi.example.org/simple kdgov==0.2.0",
        ),
    ):
        done = CliRunner().invoke(app, ["init", str(tmp_path), "--policy", "lm-eval", "--force", "--install", spec, "--index", index])
        assert done.exit_code == 0, done.output
        steps = github_steps(tmp_path)
        assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"]) for step in steps if "uses" in step)
        assert next(step["run"] for step in steps if step.get("name") == "Install kdgov").strip() == line
        assert yaml.safe_load((tmp_path / ".gitlab" / "kdgov-gate.yml").read_text())["kdgov-gate"]["script"][0].strip() == line


def test_the_gitlab_job_is_included_or_the_command_says_how(tmp_path):
    assert CliRunner().invoke(app, ["init", str(tmp_path / "new"), "--policy", "lm-eval"]).exit_code == 0
    assert yaml.safe_load((tmp_path / "new" / ".gitlab-ci.yml").read_text()) == {"include": [{"local": ".gitlab/kdgov-gate.yml"}]}
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / ".gitlab-ci.yml").write_text("stages: [test]\n")
    done = CliRunner().invoke(app, ["init", str(tmp_path / "old"), "--policy", "lm-eval"])
    assert "- local: .gitlab/kdgov-gate.yml" in done.stderr
    assert (tmp_path / "old" / ".gitlab-ci.yml").read_text() == "stages: [test]\n"
    assert "registry/store/" in (tmp_path / "old" / ".gitignore").read_text()
