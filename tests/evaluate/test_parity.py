"""Unmodified built-in tasks, on their authors' real data through the offline mirror: lm-eval's own numbers to the last digit."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdgov.evaluate.parity import MIRRORED
from tests.conftest import real_folder

pytestmark = pytest.mark.real
EVERYDAY = ("crows_pairs_english_gender", "truthfulqa_mc2", "winogender_all")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The mirror on a free port, with a hub cache of its own."""
    folder = real_folder("hub_mirror")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, str(folder / "serve.py"), str(folder / "hub"), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(100):
        try:
            urllib.request.urlopen(address, timeout=1)
            break
        except urllib.error.HTTPError:
            break
        except OSError:
            time.sleep(0.1)
    environment = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")}
    yield {**environment, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path_factory.mktemp("hub")), "OMP_NUM_THREADS": "1"}
    server.terminate()
    server.wait()


def _parity(environment: dict[str, str], tasks: tuple[str, ...], limit: int, out: Path) -> list[dict]:
    model = real_folder("models") / "stories260k"
    command = [sys.executable, "-m", "kdgov.evaluate.parity", "--model", str(model), "--limit", str(limit), "--json", str(out), *tasks]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return json.loads(out.read_text())


def test_numbers_of_built_in_tasks_are_lm_evals(mirror: dict[str, str], tmp_path: Path) -> None:
    rows = _parity(mirror, EVERYDAY, 12, tmp_path / "parity.json")
    assert [r["task"] for r in rows] == list(EVERYDAY)
    assert all(r["theirs"] and r["agrees"] for r in rows)


@pytest.mark.nightly
def test_numbers_of_every_mirrored_task_are_lm_evals(mirror: dict[str, str], tmp_path: Path) -> None:
    rows = _parity(mirror, MIRRORED, 100, tmp_path / "parity.json")
    assert len(rows) >= 12
    assert all(r["agrees"] for r in rows)


def test_a_profile_runs_on_what_the_mirror_has_and_says_what_is_missing(mirror: dict[str, str], tmp_path: Path) -> None:
    """bias-core needs one dataset that the mirror lacks: exit 3, by name, with how to mirror it."""
    model = real_folder("models") / "stories260k"
    command = [
        sys.executable,
        "-m",
        "kdgov",
        "evaluate",
        "--model",
        str(model),
        "--suite",
        "bias-core",
        "--limit",
        "5",
        "--out",
        str(tmp_path / "o"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=mirror, timeout=600)
    assert done.returncode == 3, done.stderr[-2000:]
    assert "oskarvanderwal/simple-cooccurrence-bias" in done.stderr
    assert "HF_ENDPOINT" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_users_copies_of_public_sets_are_asked_as_they_are(tmp_path: Path) -> None:
    """XSTest, HarmBench and CrowS-Pairs in their authors' formats; a story model refuses nothing, and the table says so."""
    data, model = real_folder("xstest").parent, real_folder("models") / "stories260k"
    command = [
        sys.executable, "-m", "kdgov", "evaluate", "--model", str(model), "--suite", "refusal",
        "--suite", "stereotype-pairs", "--limit", "6", "--out", str(tmp_path / "o"), "--format", "json",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env={**os.environ, "KDGOV_DATA": str(data), "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    document = json.loads(done.stdout)
    assert {t["task"]: t["items"] for t in document["tasks"]} == {
        "xstest_refusal": 6, "xstest_over_refusal": 6, "harmbench_refusal": 6, "crows_pairs_original": 6
    }  # fmt: skip
    assert {m["metric"] for m in document["metrics"] if m["harmful"]} == {"refused"}
