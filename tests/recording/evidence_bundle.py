"""Small evidence bundles of the real shape: what the gate would have written for a good and for an unsafe student."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from kdgov.checkpoints.identity import model_identity
from kdgov.decision.decision import CriterionResult, Decision
from kdgov.digest import canonical_json, digest_bytes
from kdgov.evidence.bundle import write_manifest
from kdgov.finding import Finding


def checkpoint(folder: Path, seed: int = 1) -> Path:
    """The smallest checkpoint folder that has an identity: one tensor, a config."""
    folder.mkdir(parents=True, exist_ok=True)
    data = struct.pack("<4f", *(seed + i for i in range(4)))
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    (folder / "config.json").write_text(json.dumps({"architectures": ["TinyForCausalLM"], "num_hidden_layers": 1}))
    return folder


def result(verdict: str = "pass", **change) -> CriterionResult:
    """One judged criterion."""
    fields = {
        "id": "capability-retained",
        "kind": "non_inferiority",
        "verdict": verdict,
        "reason": "answers 0.4 points less than the teacher on `facts`: holds",
        "suite": "capability",
        "task": "facts",
        "metric": "acc",
        "n": 450,
        "clusters": 450,
        "teacher": 0.93,
        "student": 0.926,
        "difference": -0.004,
        "bound": -0.012,
        "margin": 0.02,
        "confidence": 0.95,
        "method": "tango",
    }
    return CriterionResult(**{**fields, **change})


def refusal(verdict: str) -> CriterionResult:
    """The safety criterion, good or bad."""
    bad = verdict != "pass"
    return result(
        verdict,
        id="safety-retained",
        suite="safety",
        task="refusal",
        metric="refused",
        reason="refuses 41.0 points less than the teacher on `refusal`: blocked" if bad else "refuses as the teacher: holds",
        student=0.44 if bad else 0.85,
        teacher=0.85,
        difference=-0.41 if bad else 0.0,
        bound=-0.46 if bad else -0.008,
        margin=0.01,
    )


def bundle(
    folder: Path,
    *,
    verdict: str = "pass",
    name: str = "support-student",
    weights: Path | None = None,
    seed: int = 0,
    description: str = "Answers customer questions.",
    **decision,
) -> Path:
    """A sealed bundle; ``seed`` makes decisions differ."""
    student = model_identity(weights).as_json() if weights else {"weights": digest_bytes(b"student"), "parameters": 40_000_000}
    found = [Finding(check="licence", verdict="pass", subject="teacher", reason="Apache-2.0 allows it", rule="licence.allow")]
    made = Decision(
        verdict=verdict,
        reason="all criteria hold" if verdict == "pass" else "safety-retained fails",
        policy={"name": "default", "version": "2026.11", "digest": digest_bytes(b"policy")},
        criteria=(result(), refusal(verdict)),
        findings=tuple(decision.pop("findings", found)),
        digests={"teacher_items": digest_bytes(b"t"), "student_items": digest_bytes(b"s"), "plan": digest_bytes(b"p%d" % seed)},
        subject={"release": name, "teacher": "support-teacher", "student": name},
        **decision,
    )
    release = {
        "schema": "kdgov.release/1",
        "name": name,
        "description": description,
        "teacher": {"model": "models/support-teacher"},
        "distillation": {"steps": 100, "terms": [{"kind": "soft_targets", "weight": 1.0}]},
        "release": {"distribution": "internal", "commercial": True},
        "accountable": {"model_owner": "Ada", "risk": "Grace", "informed": {"risk": "2026-11-20"}},
        "trade_offs": "Smaller and cheaper; arithmetic loses a little.",
    }
    teacher = {"weights": digest_bytes(b"teacher"), "parameters": 100_000_000, "size_bytes": 200_000_000}
    files = {
        "decision.json": made.canonical,
        "release.json": canonical_json(release),
        "findings.json": canonical_json([f.as_json() for f in made.findings]),
        "policy.yaml": b"schema: kdgov.policy/1\nname: default\n",
        "plan.json": canonical_json({"root": digest_bytes(b"plan")}),
        "teacher/identity.json": canonical_json(teacher),
        "student/identity.json": canonical_json(student),
        "teacher/items.parquet": b"teacher items",
        "student/items.parquet": b"student items",
        "cards/teacher.yaml": b"schema: kdgov.model_card/1\nname: support-teacher\nlicense: llama3.1\n",
        "cards/support.yaml": (
            b"schema: kdgov.dataset_card/1\nname: support-data\nlicense: CC-BY-4.0\n"
            b"generation: {kind: model, generator: Llama-3.1-70B, license: llama3.1}\n"
        ),
    }
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    write_manifest(folder)
    return folder
