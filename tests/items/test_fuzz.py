"""A bounded fuzz job over every reader: 20 seconds every day, 10 minutes every night; nothing but one-line errors escapes."""

from __future__ import annotations

import datetime
import subprocess
import sys

import pytest

from kdgov.items.readers.item_readers import READERS
from tests.items.fuzz_readers import CORPUS


def fuzz(seconds: int, seed: int, project_root) -> None:
    command = [sys.executable, "-m", "tests.items.fuzz_readers", "--seconds", str(seconds), "--seed", str(seed)]
    done = subprocess.run(command, cwd=project_root, capture_output=True, text=True, check=False)
    # A parser that ends the process has a negative return code.
    assert done.returncode == 0, (done.returncode, done.stdout[-4000:], done.stderr[-2000:])


def test_every_reader_has_a_case_in_the_corpus():
    cases = {path.name for path in CORPUS.iterdir()}
    for name in READERS.own:
        assert any(case.startswith({"item_table": "table", "mlflow": "mlflow"}.get(name, name)) for case in cases), name


@pytest.mark.slow
def test_twenty_seconds_of_mutated_files_escape_nowhere(project_root):
    fuzz(20, datetime.datetime.now(tz=datetime.UTC).toordinal(), project_root)


@pytest.mark.nightly
def test_ten_minutes_of_mutated_files_escape_nowhere(project_root):
    fuzz(600, datetime.datetime.now(tz=datetime.UTC).toordinal() + 1_000_000, project_root)
