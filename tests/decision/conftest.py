"""Small tables with known content."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdgov.decision.policy import Criterion, Policy
from kdgov.digest import digest_bytes
from kdgov.items import ItemTable, MetricDeclaration, write_items
from kdgov.pipeline.context import ReleaseContext, open_release
from kdgov.pipeline.finished_work.step_results import CheckResult, DistillResult, EvaluateResult, GateResult
from kdgov.pipeline.gate import Judgeable, gate_step


@pytest.fixture
def table() -> Callable[..., ItemTable]:
    """Build a table of one metric from scores; further columns by name."""

    def build(scores: Sequence[float], *, source: str = "items.parquet", **columns: Any) -> ItemTable:
        names = {"suite": "capability", "task": "qa", "metric": "acc"} | {k: v for k, v in columns.items() if isinstance(v, str)}
        listed = {k: v for k, v in columns.items() if not isinstance(v, str)}
        rows = [{**names, "item_id": f"i{n}", "score": float(s), **{k: v[n] for k, v in listed.items()}} for n, s in enumerate(scores)]
        return ItemTable.from_rows(rows, source=source)

    return build


@pytest.fixture
def policy() -> Callable[..., Policy]:
    """Build a policy of one criterion (or several given ones)."""

    def build(*criteria: Criterion, **fields: Any) -> Policy:
        own = {k: fields.pop(k) for k in list(fields) if k in Criterion.__dataclass_fields__}
        made = criteria or (Criterion(**{"id": "c", "kind": "non_inferiority", "direction": "higher", "margin": 0.05, **own}),)
        return Policy(name="test", version="1", digest="sha256:" + "a" * 64, criteria=made, **fields)

    return build


POLICY = """\
schema: kdgov.policy/1
name: own
version: 1
criteria:
  - {id: ability, kind: non_inferiority, suite: capability, margin: 0.05, min_items: 200}
  - {id: small, kind: efficiency, measure: parameters, max_ratio: 0.6}
  - {id: fast, kind: efficiency, measure: latency_p50_ms, max_ratio: 0.9}
"""
TEACHER = np.array([1.0] * 400 + [0.0] * 100)


def _evaluation(folder: Path, role: str, scores: np.ndarray, parameters: int) -> None:
    common = {"suite": "capability", "task": "qa", "metric": "acc"}
    rows = [{**common, "item_id": f"i{n}", "score": float(s)} for n, s in enumerate(scores)]
    write_items(ItemTable.from_rows(rows), folder / role / "items.parquet")
    declared = MetricDeclaration(suite="capability", task="qa", metric="acc", direction="higher", low=0.0, high=1.0, chance=0.25)
    same = digest_bytes(role.encode())
    identity = {"weights": same, "model": same, "tokenizer": digest_bytes(b"t"), "parameters": parameters}
    evidence = {"schema": "kdgov.evaluation/1", "plan": digest_bytes(b"plan"), "model": identity, "metrics": [declared.as_json()]}
    (folder / role / "evidence.json").write_text(json.dumps(evidence))
    (folder / role / "identity.json").write_text(json.dumps(identity))


@pytest.fixture
def release(tmp_path, monkeypatch) -> ReleaseContext:
    """A release whose earlier steps are finished: real folders of a real store, without the hours of training."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "student").mkdir()
    (tmp_path / "release.yaml").write_text(
        "schema: kdgov.release/1\nname: small\nteacher: {model: student}\nstudent: {model: student}\n"
        "suites: [capability]\npolicy: policy.yaml\n"
    )
    store = tmp_path / "store" / "steps"
    finding = {"check": "practice", "verdict": "warn", "subject": "x", "reason": "y", "rule": "practice.little-data"}
    _write(store / "check" / "c" / "findings.json", {"findings": [finding]})
    _write(store / "distill" / "d" / "distillation.json", {})
    folder = store / "evaluate" / "e"
    _evaluation(folder, "teacher", TEACHER, 1000)
    _evaluation(folder, "student", TEACHER[::-1].copy()[::-1], 500)
    _evaluation(folder, "control", np.zeros(500), 500)
    _write(folder / "plan.json", {"root": digest_bytes(b"plan")})
    _write(folder / "efficiency.json", {"teacher": {"latency_p50_ms": 10.0}, "student": {"latency_p50_ms": 5.0}})
    monkeypatch.setenv("KDGOV_TRUST", str(tmp_path / "trust.json"))
    return open_release(tmp_path / "release.yaml", store=tmp_path / "store")


def _write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def made(context: ReleaseContext) -> Judgeable:
    """What the earlier steps of `release` came to."""
    steps = context.store.root / "steps"
    known = {name: {"weights": digest_bytes(role.encode())} for name, role in (("identity", "student"), ("teacher", "teacher"))}
    return Judgeable(
        checked=CheckResult(key="sha256:c", folder=steps / "check" / "c", reused=True, digests={"data.jsonl": "sha256:" + "d" * 64}),
        distilled=DistillResult(key="sha256:d", folder=steps / "distill" / "d", reused=True, **known),
        evaluated=EvaluateResult(key="sha256:e", folder=steps / "evaluate" / "e", reused=True, plan=digest_bytes(b"plan")),
    )


def gated(context: ReleaseContext, **asked: object) -> GateResult:
    """The gate step on `release`."""
    return gate_step(context, made(context), **asked)
