"""Fixtures of the evaluation tests: two tiny models and a writer of suites."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdgov.digest import digest_file
from tests.evaluate.worlds import CHOICE_TASK, WRITE_TASK, choice_rows, make_model


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
