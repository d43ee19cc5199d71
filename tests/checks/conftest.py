"""A small release with everything in order, to plant one violation at a time in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from kdgov.checkpoints.identity import model_identity
from kdgov.digest import digest_file
from kdgov.finding import Finding
from kdgov.pipeline.check import check_step
from kdgov.pipeline.context import open_release
from tests.distillation.conftest import write_tokenizer

POLICY = Path(__file__).parent.parent.parent / "policies" / "default.yaml"


def world_policy() -> dict[str, Any]:
    """The default policy, its criteria replaced by one that the world's small suites can fill."""
    criterion = {"id": "kept", "kind": "non_inferiority", "suite": "*", "direction": "higher", "margin": 0.3, "min_items": 1}
    return {**yaml.safe_load(POLICY.read_text()), "criteria": [criterion]}


QUESTION = "Which of the two rivers that cross the old town was dug by hand in the year of the great drought?"


@pytest.fixture(autouse=True)
def _asked_here(asked_here: None) -> None:
    """What the check asks of suites, every test of this folder that is not marked ``apart`` asks in this process."""


class World:
    """A release in a folder of its own; change its documents, then `findings`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "teacher").mkdir()
        config = {"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 4, "vocab_size": 16}
        (folder / "teacher" / "config.json").write_text(json.dumps(config))
        save_file({"w": np.zeros((4, 4), np.float32)}, str(folder / "teacher" / "model.safetensors"))
        weights = model_identity(folder / "teacher").weights
        self.rows: list[Any] = [{"prompt": f"How many are {n}?", "completion": f"There are {n}."} for n in range(40)]
        self.items: list[dict[str, Any]] = [{"id": "one", "question": QUESTION, "answer": "The eastern one"}]
        self.teacher: dict[str, Any] = {
            "schema": "kdgov.model_card/1",
            "name": "teacher",
            "license": "MIT",
            "issuer": "us",
            "description": "a teacher",
            "intended_purpose": "tests",
            "digest": weights,
            "personal_data": False,
        }
        self.data: dict[str, Any] = {
            "schema": "kdgov.dataset_card/1",
            "name": "data",
            "version": "1",
            "issuer": "us",
            "description": "sums",
            "license": "CC0-1.0",
            "date": "2026-01-01",
            "generation_method": "written by hand",
            "origin_geography": ["DE"],
            "intended_purpose": "tests",
            "personal_data": False,
            "files": [{"path": "data.jsonl"}],
        }
        self.release: dict[str, Any] = {
            "schema": "kdgov.release/1",
            "name": "student",
            "teacher": {"model": "teacher", "card": "teacher.yaml"},
            "student": {"keep_layers": [0, 2], "license": "MIT"},
            "data": [{"card": "data.yaml"}],
            "distillation": {"steps": 10, "batch_size": 4},
            "suites": ["suite"],
            "policy": "worlds-policy.yaml",
            "release": {"distribution": "weights", "commercial": True},
            "organization": {"principal_place": "DE"},
            "production_inputs": {"path": "inputs.jsonl"},
            "accountable": {"model_owner": "us", "risk": "us", "informed": {"model_owner": "2026-01-01", "risk": "2026-01-01"}},
            "trade_offs": "It forgets the long tail.",
            "evidence": [{"obligation": "NOTICE", "license": "MIT", "where": "NOTICE"}]
            + [{"obligation": kind, "license": "MIT", "where": "NOTICE"} for kind in ("LICENSE_COPY", "ATTRIB")],
        }
        self.inputs: list[Any] = [{"input": f"How many are {n}?"} for n in range(40)]
        self.kind = "pairs"
        self.metrics: list[dict[str, Any]] = [{"metric": "acc", "direction": "higher"}]
        self.is_pinned = True
        self.raw: bytes | None = None

    def write(self) -> Path:
        """Write every document; the data file is pinned as it is unless ``is_pinned`` is false."""
        (self.folder / "suite").mkdir(exist_ok=True)
        lines = "".join(json.dumps(item) + "\n" for item in self.items)
        (self.folder / "suite" / "items.jsonl").write_text(lines)
        task = {"task": "asked", "kind": self.kind, "data": {"path": "items.jsonl"}, "metrics": self.metrics}
        if "endpoint" in self.release["teacher"]:
            # An endpoint is asked in messages: the check plans its questions, so they must be some that it can answer.
            # Its student is asked the same here, so it needs a tokenizer.
            write_tokenizer(self.folder / "teacher")
            asked = {
                "task": "asked",
                "dataset_path": "json",
                "test_split": "test",
                "output_type": "generate_until",
                "doc_to_text": "{{question}}",
                "doc_to_target": "{{answer}}",
            }
            asked |= {"metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}]}
            (self.folder / "suite" / "asked.yaml").write_text(yaml.safe_dump(asked))
            task |= {"kind": "lm_eval", "file": "asked.yaml", "metrics": [{"metric": "exact_match", "direction": "higher"}]}
        suite = {"schema": "kdgov.suite/1", "name": "suite", "license": "CC0-1.0", "tasks": [task]}
        (self.folder / "suite" / "suite.yaml").write_text(yaml.safe_dump(suite))
        data = self.folder / "data.jsonl"
        data.write_bytes(self.raw if self.raw is not None else "".join(json.dumps(row) + "\n" for row in self.rows).encode())
        (self.folder / "worlds-policy.yaml").write_text(yaml.safe_dump(world_policy()))
        (self.folder / "inputs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.inputs))
        if self.is_pinned:
            for file in self.data["files"]:
                if (self.folder / file["path"]).exists():
                    file.setdefault("digest", digest_file(self.folder / file["path"]))
        for name in ("teacher", "data", "release"):
            (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(getattr(self, name)))
        return self.folder / "release.yaml"

    def findings(self, **options: Any) -> list[Finding]:
        """Every finding of the check of this release."""
        finished = check_step(open_release(self.write(), store=self.folder / "store"), **options)
        return [Finding(**row) for row in json.loads((finished.folder / "findings.json").read_bytes())]

    def rules(self, **options: Any) -> dict[str, Finding]:
        """Rule → its last finding, passes left out."""
        return {finding.rule: finding for finding in self.findings(**options) if finding.verdict != "pass"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A release with nothing to complain of."""
    monkeypatch.setenv("KDGOV_CACHE", str(tmp_path / "cache"))
    return World(tmp_path)
