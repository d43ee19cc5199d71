"""Six newcomers, each with what they have at hand: at most three commands and two edited lines to a verdict that is not invalid.

The table of commands, files, seconds and verdicts is written to ``tests/.artifacts/first_hour.md``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.first_hour.journey import Journey, verdict_of
from tests.items.foreign import lm_eval
from tests.scaffold.test_ci_jobs import git

pytestmark = [pytest.mark.nightly, pytest.mark.slow]
OURS = [word for part in ("teacher", "student", "data", "items") for word in ("--ours", part)]
MODELS = ROOT / "registry" / "models"
SUITES = ROOT / "evalsuites"


@pytest.fixture
def desk(tmp_path):
    """What somebody has who has read nothing yet: a model, text, questions, prompts that must be refused."""
    shutil.copytree(MODELS / "miniature-teacher", tmp_path / "teacher")
    shutil.copytree(MODELS / "miniature-base", tmp_path / "base")
    shutil.copy(ROOT / "registry" / "datasets" / "miniature" / "facts.jsonl", tmp_path / "text.jsonl")
    shutil.copy(SUITES / "capability" / "facts.jsonl", tmp_path / "questions.jsonl")
    rows = [json.loads(line) for line in (SUITES / "safety" / "refusal.jsonl").read_text().splitlines()]
    (tmp_path / "forbidden.jsonl").write_text("".join(json.dumps({"prompt": row["request"]}) + "\n" for row in rows))
    return tmp_path


def test_own_teacher_text_and_items(desk):
    path = Journey("own teacher, own text, own items", desk)
    items = ["--items", "questions.jsonl", "--items", "forbidden.jsonl"]
    path.type("init", "mine", "--teacher", "teacher", "--data", "text.jsonl", *items, "--organization", "Acme", *OURS)
    # Ten steps instead of a thousand: the path is tried, not the student.
    path.edit("mine/release.yaml", "steps: 1000", "steps: 10")
    path.type("run", "mine/release.yaml", code=(0, 1))
    verdict = verdict_of(path.type("gate", "mine/release.yaml", "--format", "json", code=(0, 1)))
    assert verdict != "invalid"
    path.ended(verdict)


def test_a_student_trained_elsewhere(desk):
    path = Journey("a student trained elsewhere", desk)
    items = ["--items", "questions.jsonl", "--items", "forbidden.jsonl"]
    path.type("init", "mine", "--teacher", "teacher", "--student", "base", *items, *OURS, "--learned-from", "generated_text")
    path.type("run", "mine/release.yaml", code=(0, 1))
    verdict = verdict_of(path.type("gate", "mine/release.yaml", "--format", "json", code=(0, 1)))
    assert verdict != "invalid"
    path.ended(verdict)


@pytest.mark.ci
def test_logs_of_lm_eval_alone(tmp_path):
    for name, lost in (("teacher", 0), ("student", 200)):
        lm_eval(tmp_path / "out" / name, [float(n % 10 > 0 and n >= lost) for n in range(1000)])
    path = Journey("logs of lm-eval alone", tmp_path)
    places = ["--teacher", "out/teacher", "--student", "out/student"]
    verdict = verdict_of(path.type("gate", *places, "--policy", "lm-eval", "--format", "json", code=1))
    assert verdict == "fail"
    path.ended(verdict)


def test_a_teacher_that_is_only_an_address(desk):
    path = Journey("a teacher that is only an address", desk)
    where = ["--teacher", "http://127.0.0.1:8119/v1", "--served-as", "teacher", "--terms", "LicenseRef-FirstParty"]
    items = ["--items", "questions.jsonl", "--items", "forbidden.jsonl"]
    path.type("init", "mine", *where, "--student", "base", "--data", "text.jsonl", *items, *OURS)
    path.edit("mine/release.yaml", "steps: 300", "steps: 10")
    # The server stands for somebody else's machine: starting it is no command of the path.
    served = ["endpoint", "teacher", "--port", "8119", "--", *path.kdgov, "run", "mine/release.yaml"]
    path.type(*served, code=(0, 1))
    verdict = verdict_of(path.type("gate", "mine/release.yaml", "--format", "json", code=(0, 1)))
    assert verdict != "invalid"
    path.ended(verdict)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(pip, check=True, timeout=300)
    return next(folder.glob("kdgov-*.whl"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory, wheel):
    """An empty environment with the wheel's core; skips where no package index can be reached."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    lock = ["-r", str(ROOT / "requirements" / "core.lock")]
    done = subprocess.run([folder / "bin" / "pip", "install", "-q", *lock, str(wheel)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the core's dependencies could not be installed: {done.stderr.strip().splitlines()[-1][:120]}")
    return folder


def size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


@pytest.mark.ci
def test_the_wheel_in_an_empty_environment(tmp_path, empty):
    assert size_mb(empty / "lib") <= 500
    heavy = {"torch", "transformers", "mlflow", "pandas", "lm_eval"}
    assert not heavy & {path.name for path in (empty / "lib").rglob("site-packages/*")}
    for name in ("teacher", "student"):
        lm_eval(tmp_path / "out" / name, [float(n % 10 > 0) for n in range(1000)])
    path = Journey("the wheel in an empty environment", tmp_path, kdgov=[str(empty / "bin" / "kdgov")], environment={"PYTHONPATH": ""})
    done = path.type("gate", "--teacher", "out/teacher", "--student", "out/student", "--policy", "lm-eval", "--format", "json")
    told = path.type("evaluate", "--model", "m", "--suite", "capability", "--out", "x", code=3)
    assert "pip install 'kdgov[evaluate]'" in told.stderr
    path.ended(verdict_of(done))


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_other_pythons_give_the_same_decision(tmp_path, wheel, version):
    others = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python"))
    # A version manager's stand-in is there for versions that are not.
    named = [str(others[-1])] if others else [python for python in [shutil.which(f"python{version}")] if python]
    if not named or subprocess.run([named[0], "-c", ""], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip(f"there is no Python {version}")
    python = named[0]
    subprocess.run([python, "-m", "venv", str(tmp_path / "venv")], check=True)
    lock = ["-r", str(ROOT / "requirements" / "core.lock")]
    done = subprocess.run([tmp_path / "venv" / "bin" / "pip", "install", "-q", *lock, str(wheel)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("the core's dependencies could not be installed")
    for name, lost in (("teacher", 0), ("student", 200)):
        lm_eval(tmp_path / "out" / name, [float(n % 10 > 0 and n >= lost) for n in range(1000)])
    printed = []
    for command in ([str(tmp_path / "venv" / "bin" / "kdgov")], [sys.executable, "-m", "kdgov"]):
        path = Journey(f"Python {version}", tmp_path, kdgov=command)
        if len(command) == 1:
            path.environment = {"PYTHONPATH": ""}
        places = ["--teacher", "out/teacher", "--student", "out/student"]
        printed.append(path.type("gate", *places, "--policy", "lm-eval", "--format", "json", code=1).stdout)
    assert printed[0] == printed[1]


@pytest.mark.ci
def test_the_ci_job_on_a_bare_runner(tmp_path, empty, wheel):
    origin = tmp_path / "origin"
    origin.mkdir()
    git(tmp_path, "init", "-q", "-b", "main", str(origin))
    for name in ("teacher", "student"):
        lm_eval(origin / "out" / name, [float(n % 10 > 0) for n in range(1000)])
    path = Journey("the CI job on a bare runner", origin, kdgov=[str(empty / "bin" / "kdgov")], environment={"PYTHONPATH": ""})
    path.type("init", ".", "--policy", "lm-eval", "--teacher", "out/teacher", "--student", "out/student", "--install", str(wheel))
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "Add the gate")
    runner = tmp_path / "runner"
    git(tmp_path, "clone", "-q", str(origin), str(runner))
    steps = yaml.safe_load((runner / ".github" / "workflows" / "kdgov-gate.yml").read_text())["jobs"]["gate"]["steps"]
    environment = {
        "PATH": f"{empty / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path), "BASE_BRANCH": "main",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), **{k: v for k, v in os.environ.items() if k.startswith("PIP_")},
    }  # fmt: skip
    scripts = [step["run"] for step in steps if step.get("name") == "Install kdgov" or step.get("id") == "gate"]
    assert len(scripts) == 2
    for script in scripts:
        command = ["bash", "-e", "-o", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=runner, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    path.ended(json.loads((runner / "kdgov-gate" / "decision.json").read_text())["verdict"])
