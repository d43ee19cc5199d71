"""The script for one GPU, tried with tiny models on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.nightly
@pytest.mark.ci
def test_the_script_runs_from_end_to_end(project_root, tmp_path):
    command = [str(project_root / "tests" / "gpu" / "run.sh"), "--dry-run", str(tmp_path / "found.json")]
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text())
    rows = found["cases"]["tiny"]
    assert rows["kdgov"]["tokens_per_s"] > 0
    assert rows["loop"]["tokens_per_s"] > 0
    assert "absent" in rows["trl"] or rows["trl"]["tokens_per_s"] > 0
    assert found["scoring"]["tiny-student"]["ratio"] > 0
