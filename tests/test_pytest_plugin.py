"""The fixture in a test suite of somebody else: found without being named, failing with the decision as its message."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.conftest import ROOT

THEIRS = """
import pyarrow as pa
import pytest

ITEMS = {"suite": ["s"] * 500, "task": ["t"] * 500, "item_id": [str(n) for n in range(500)], "metric": ["acc"] * 500}
CRITERION = {"id": "ability", "kind": "non_inferiority", "metric": "acc", "direction": "higher", "margin": 0.05}
POLICY = {"schema": "kdgov.policy/1", "name": "mine", "version": "1", "criteria": [CRITERION]}
TEACHER = pa.table({**ITEMS, "score": [float(n % 4 > 0) for n in range(500)]})
WORSE = pa.table({**ITEMS, "score": [float(n % 2 > 0) for n in range(500)]})


def test_good(kdgov_gate):
    assert kdgov_gate(teacher=TEACHER, student=TEACHER, policy=POLICY).promotes


def test_bad(kdgov_gate):
    kdgov_gate(teacher=TEACHER, student=WORSE, policy=POLICY)
"""


def test_a_student_that_lost_fails_their_test_with_the_decision(tmp_path):
    (tmp_path / "test_theirs.py").write_text(THEIRS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "kdgov.api.pytest_plugin", "-p", "no:cacheprovider", "test_theirs.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout
    assert "the student is not proven good enough" in done.stdout
    assert "ability" in done.stdout
    assert "-25.0" in done.stdout or "−25.0" in done.stdout


def test_loading_the_plugin_loads_nothing_of_kdgovs_core():
    code = (
        "import sys, kdgov.api.pytest_plugin; print(sorted(m for m in sys.modules if m.startswith(('kdgov.decision', 'numpy', 'pyarrow'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
