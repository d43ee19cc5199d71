"""A bounded fuzz job over what a registry, a gate or an audit reads: some seconds every day, 10 minutes every night."""

from __future__ import annotations

import datetime
import subprocess
import sys

import pytest


def fuzz(seconds: int, seed: int, project_root) -> None:
    command = [sys.executable, "-m", "tests.evidence.fuzz_parsers", "--seconds", str(seconds), "--seed", str(seed)]
    done = subprocess.run(command, cwd=project_root, capture_output=True, text=True, check=False)
    # A parser that ends the process has a negative return code.
    assert done.returncode == 0, (done.returncode, done.stdout[-6000:], done.stderr[-2000:])


@pytest.mark.slow
def test_some_seconds_of_mutated_declarations_statements_and_bundles_escape_nowhere(project_root):
    fuzz(6, datetime.datetime.now(tz=datetime.UTC).toordinal(), project_root)


@pytest.mark.nightly
def test_ten_minutes_of_mutated_declarations_statements_and_bundles_escape_nowhere(project_root):
    fuzz(600, datetime.datetime.now(tz=datetime.UTC).toordinal() + 1_000_000, project_root)
