"""The installed wheel carries policies, suites and the shipped release, and works without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), root], check=True, timeout=300)
    (wheel,) = folder.glob("kdgov-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True, timeout=300)
    return folder / "site"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["policy", "check", "default"], "refusal-retained"),
        (["suites", "list"], "capability"),
        (["check", "{site}/kdgov/_data/registry/releases/miniature.yaml"], "pass"),
    ],
)
def test_the_shipped_folders_work_from_the_wheel(installed, tmp_path, arguments, says):
    command = [sys.executable, "-m", "kdgov", *(a.format(site=installed) for a in arguments)]
    environment = {**os.environ, "PYTHONPATH": str(installed), "KDGOV_STORE": str(tmp_path / "store")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
