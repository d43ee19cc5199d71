"""The oldest and the newest MLflow that the project says it works with: the guard's own tests and a real server on each.

Only MLflow itself is exchanged, through the import path; everything else stays as it is installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib

import pytest

pytestmark = [pytest.mark.nightly, pytest.mark.ci, pytest.mark.server]
# The range is the guard's matter, whatever kind of registry: the embedded one, and one server for the routes.
SELECTED = "not served_postgres and (embedded or canary or every_method or nobody_read)"


def supported(root) -> str:
    """The requirement as pyproject.toml has it, such as ``>=3.10,<3.19``."""
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]["registry"]
    (found,) = [text.removeprefix("mlflow") for text in declared if re.match(r"mlflow\W", text)]
    return found


def test_the_documentation_states_the_range_that_is_tested(project_root):
    low, high = re.match(r">=(\d+\.\d+),<(\d+)\.(\d+)$", supported(project_root)).group(1, 3)
    assert f"MLflow\n{low} to 3.{int(high) - 1}" in (project_root / "docs" / "registry.md").read_text()


@pytest.mark.parametrize("end", ["oldest", "newest"])
def test_the_guard_holds_on(end, tmp_path, project_root):
    wanted = supported(project_root)
    if end == "oldest":
        wanted = "==" + re.match(r">=([\d.]+)", wanted).group(1) + ".0"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "--target", str(tmp_path), f"mlflow{wanted}"], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"no package index here: {done.stderr.strip().splitlines()[-1][:200]}")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{project_root}"}
    version = [sys.executable, "-W", "ignore", "-c", "import mlflow; print(mlflow.__version__)"]
    used = subprocess.run(version, env=environment, capture_output=True, text=True, check=True, timeout=300).stdout.strip()
    assert (tmp_path / f"mlflow-{used}.dist-info").is_dir(), f"MLflow {used} is another one than was to be tried"
    tests = ["tests/guard/test_guard.py", "tests/guard/test_ways_around.py"]
    command = [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not nightly", "-k", SELECTED, *tests]
    done = subprocess.run(command, cwd=project_root, env=environment, capture_output=True, text=True, check=False, timeout=840)
    assert done.returncode == 0, f"MLflow {used}: {done.stdout[-6000:]}"
    # A selection that matches nothing would pass too.
    assert int(re.search(r"(\d+) passed", done.stdout).group(1)) > 60
