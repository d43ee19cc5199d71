"""The composite action and the GitLab component: the files of the repository, and their scripts run as a runner would."""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml

from kdgov.scaffold.shared_jobs import ACTION_FILE, COMPONENT_FILE, github_action, gitlab_component
from tests.conftest import ROOT
from tests.scaffold.test_ci_jobs import LOOSER, POLICY, TEACHER, WORSE, commit, repository, runner_environment, save

__all__ = ["repository"]
INPUTS = {
    "KDGOV_POLICY": "policies/own.yaml",
    "KDGOV_BASE_POLICY": "",
    "KDGOV_TEACHER": "out/teacher.parquet",
    "KDGOV_STUDENT": "out/student.parquet",
    "KDGOV_RELEASE": "",
    "KDGOV_WAIVERS": ".kdgov/waivers",
    "KDGOV_APPROVALS": ".kdgov/approvals",
    "KDGOV_TRUST_FILE": ".kdgov/trust.json",
}


def test_the_files_of_the_repository_are_what_the_module_writes():
    assert (ROOT / ACTION_FILE).read_text() == github_action()
    assert (ROOT / COMPONENT_FILE).read_text() == gitlab_component()


def test_every_input_is_used_and_none_is_pasted_into_a_script():
    action = yaml.safe_load(github_action())
    text = github_action()
    for name in action["inputs"]:
        assert text.count(f"inputs.{name}") == 1, name
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", ""), "what a pull request writes must not become a command"
        assert "uses" in step or step["shell"] == "bash"
    spec, job = yaml.safe_load_all(gitlab_component())
    for name in spec["spec"]["inputs"]:
        assert gitlab_component().count(f"$[[ inputs.{name} ]]") == 1, name
    assert not any("$[[" in line for line in job["kdgov-gate"]["script"])


def run(folder, system="action", **inputs):
    environment = runner_environment(folder) | INPUTS | inputs
    if system == "action":
        steps = yaml.safe_load(github_action())["runs"]["steps"]
        script = next(step["run"] for step in steps if step.get("id") == "gate")
        environment |= {"BASE_BRANCH": "main", "GITHUB_OUTPUT": str(folder.parent / "outputs.txt")}
        command = ["bash", "-e", "-o", "pipefail", "-c", script]
    else:
        job = list(yaml.safe_load_all(gitlab_component()))[1]["kdgov-gate"]
        environment |= {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_DEFAULT_BRANCH": "main"}
        command = ["sh", "-e", "-c", job["script"][-1]]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("system", ["action", "component"])
@pytest.mark.parametrize(("policy", "student", "code", "verdict"), [(POLICY, TEACHER, 0, "pass"), (LOOSER, WORSE, 1, "fail")])
def test_the_base_branchs_policy_judges(repository, system, policy, student, code, verdict):
    save(repository / "out" / "student.parquet", student)
    commit(repository, policy, "Change")
    done = run(repository, system)
    assert done.returncode == code, done.stdout + done.stderr
    assert json.loads((repository / "kdgov-gate" / "decision.json").read_text())["verdict"] == verdict
    if system == "action":
        assert (repository.parent / "outputs.txt").read_text() == f"verdict={verdict}\n"


@pytest.mark.slow
def test_an_input_never_becomes_a_command(repository):
    done = run(repository, KDGOV_TEACHER="$(touch taken).parquet", KDGOV_STUDENT="`touch taken`.parquet; touch taken")
    assert done.returncode == 2, done.stdout + done.stderr
    assert not (repository / "taken").exists()
