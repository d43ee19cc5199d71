"""What others install kdgov with: the action, the component, the hooks, the container and the manifests are whole.

No container engine runs here: the files are held to the published schemas, and the commands in them are run as they stand.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from kdgov.cli.app import load_command
from kdgov.scaffold.shared_jobs import gitlab_component
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"


def check(schema, path):
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("compose-spec", "deploy/compose.yaml"),
        ("github-actions", "action.yml"),
        ("github-workflows", ".github/workflows/test.yml"),
        ("github-workflows", ".github/workflows/publish.yml"),
    ],
)
def test_the_files_hold_to_the_published_schemas(schema, path):
    check(schema, ROOT / path)


@pytest.mark.slow
def test_the_gitlab_components_job_holds_to_its_schema(tmp_path):
    job = gitlab_component().split("\n---\n")[1].replace("$[[ inputs.stage ]]", "test")
    (tmp_path / "job.yml").write_text(job)
    check("gitlab-ci", tmp_path / "job.yml")


def serve_arguments():
    yield yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["registry"]["command"]
    for document in yaml.safe_load_all((DEPLOY / "kubernetes" / "registry.yaml").read_text()):
        if document["kind"] == "Deployment":
            (container,) = document["spec"]["template"]["spec"]["containers"]
            yield container["args"]


def test_the_servers_arguments_are_options_it_has():
    found = list(serve_arguments())
    assert len(found) == 2
    for arguments in found:
        context = load_command("serve").make_context("serve", ["--host", "0.0.0.0", *arguments])
        assert context.params["backend_store_uri"].startswith("postgresql://")
        assert "--allowed-hosts" in context.args, "a server that listens on every address is told by which names it may be called"


def test_the_container_copies_what_there_is_and_keeps_no_secret():
    text = (DEPLOY / "Dockerfile").read_text()
    for sources in re.findall(r"^COPY (.+) \S+$", text, re.M):
        for source in sources.split():
            assert (ROOT / source).exists(), source
    assert "USER kdgov" in text
    assert not re.search(r"(?i)(password|secret|key)\s*=", text)


def test_the_commands_that_prepare_the_secrets_run(tmp_path):
    """The lines of compose.yaml's head, as a person copies them."""
    (tmp_path / "secrets").mkdir()
    head = (DEPLOY / "compose.yaml").read_text().partition("name: kdgov")[0]
    lines = [line[4:] for line in head.splitlines() if line.startswith("#   ") and "docker" not in line and "cd deploy" not in line]
    assert len(lines) == 3
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, module in (("kdgov", " -m kdgov"), ("python", "")):
        (tools / name).write_text(f'#!/bin/sh\nexec {sys.executable}{module} "$@"\n')
        (tools / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    for line in lines:
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert {p.name for p in (tmp_path / "secrets").iterdir()} >= {"guard.key", "trust.json", "pgpass", "database-password"}


@pytest.mark.slow
@pytest.mark.parametrize("hook", yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()), ids=lambda hook: hook["id"])
def test_each_hook_takes_good_files_and_names_the_bad_one(hook, tmp_path):
    good = {
        "kdgov-policy-check": ["policies/default.yaml", "policies/strict.yaml"],
        "kdgov-card-check": ["registry/models/miniature-teacher.yaml", "registry/datasets/miniature.yaml"],
        "kdgov-release-check": ["registry/releases/miniature.yaml"],
    }[hook["id"]]
    for name in good:
        assert re.search(hook["files"], name), name
    (tmp_path / "bad.yaml").write_text("schema: nothing\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "kdgov").write_text(f'#!/bin/sh\nexec {sys.executable} -m kdgov "$@"\n')
    (tools / "kdgov").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "KDGOV_STORE": str(tmp_path / "store")}

    def run(*files):
        command = [*shlex.split(hook["entry"]), *files]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    done = run(*good)
    assert done.returncode == 0, done.stdout + done.stderr
    bad = run(*good, str(tmp_path / "bad.yaml"))
    assert bad.returncode == 2, bad.stdout + bad.stderr
    assert "bad.yaml" in bad.stderr
