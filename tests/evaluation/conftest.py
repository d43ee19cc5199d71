"""Fixtures of the evaluation tests: two tiny models and a writer of suites."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdgov.digest import digest_file
from tests.command import free_port
from tests.conftest import real_folder
from tests.evaluation.worlds import CHOICE_TASK, WRITE_TASK, choice_rows, make_model


@pytest.fixture(autouse=True)
def _asked_here(asked_here: None) -> None:
    """Every test of this folder that is not marked ``apart``."""


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("teacher"), seed=1, layers=3)


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("student"), seed=2)


SuiteWriter = Callable[..., Path]


@pytest.fixture
def write_suite(tmp_path: Path) -> SuiteWriter:
    """Write a suite folder: its tasks, task files and items; returns its suite.yaml."""

    def write(
        tasks: list[dict[str, Any]], files: dict[str, Any] | None = None, *, name: str = "tiny", folder: str = "suite", **keys: Any
    ) -> Path:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        for file, content in (files or {}).items():
            text = "\n".join(json.dumps(r) for r in content) + "\n" if isinstance(content, list) else None
            (place / file).write_text(text if text is not None else content if isinstance(content, str) else yaml.safe_dump(content))
        for task in tasks:
            if task.get("data", {}).get("digest") == "pin":
                task["data"]["digest"] = digest_file(place / task["data"]["path"])
        document = {"schema": "kdgov.suite/1", "name": name, "license": "Apache-2.0", "tasks": tasks, **keys}
        (place / "suite.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        return place / "suite.yaml"

    return write


@pytest.fixture
def tiny_suite(write_suite: SuiteWriter) -> Path:
    """Two tasks: multiple choice with groups and clusters, and short written answers."""
    return write_suite(
        [
            {
                "task": "choice", "file": "choice.yaml", "data": {"path": "choice.jsonl", "digest": "pin"}, "cluster": "name",
                "groups": ["gender"], "metrics": [{"metric": "acc", "direction": "higher", "chance": 0.25, "range": [0, 1]}],
            },
            {
                "task": "write", "file": "write.yaml", "data": {"path": "choice.jsonl"},
                "metrics": [{"metric": "exact_match", "direction": "higher", "chance": 0.0, "range": [0, 1]}],
            },
        ],
        {"choice.yaml": CHOICE_TASK, "write.yaml": WRITE_TASK, "choice.jsonl": choice_rows(24)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The mirror on a free port, with a hub cache of its own."""
    folder = real_folder("hub_mirror")
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, str(folder / "serve.py"), str(folder / "hub"), port], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
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
