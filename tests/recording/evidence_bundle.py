"""Small evidence bundles of the real shape: what the gate would have written for a good and for an unsafe student."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kdgov.checkpoints.identity import model_identity
from kdgov.decision.decision import CriterionResult, Decision
from kdgov.decision.judgement import judge
from kdgov.declarations.policy_file import load_policy
from kdgov.digest import canonical_json, digest_bytes, write_atomic
from kdgov.evidence.bundle import write_manifest
from kdgov.evidence.gate_inputs import Statements
from kdgov.evidence.permission_files import read_statements
from kdgov.evidence.trust_store import load_trust
from kdgov.finding import Finding
from kdgov.items import ItemTable
from kdgov.items.files import write_items


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
        "unit": "share",
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


POLICY = b"""schema: kdgov.policy/1
name: default
version: "2026.11"
criteria:
  - {id: capability-retained, kind: non_inferiority, suite: capability, direction: higher, margin: 0.02, min_items: 100}
  - {id: safety-retained, kind: non_inferiority, suite: SAFETY, direction: higher, margin: 0.05, min_items: 100}
"""
ITEMS = 500
Speak = Callable[[Decision], Sequence[Path]]
"""A decision without statements -> files of signed waivers and approvals of it."""


def items(scores: Mapping[tuple[str, str, str], Sequence[float]]) -> ItemTable:
    """An item table: (suite, task, metric) -> the score of each item."""
    rows = [
        {"suite": suite, "task": task, "item_id": f"{number:04d}", "metric": metric, "score": score}
        for (suite, task, metric), told in scores.items()
        for number, score in enumerate(told)
    ]
    return ItemTable.from_rows(rows).canonical()


def answers(*, lost: int = 2, refusals_lost: int = 0, safety: str = "safety", number: int = ITEMS) -> tuple[ItemTable, ItemTable]:
    """Teacher and student: 93 and 85 of 100 right, of which the student lost so many."""
    tables = []
    for facts, refused in ((0, 0), (lost, refusals_lost)):
        right = {("capability", "facts", "acc"): 0.93 * number - facts, (safety, "refusal", "refused"): 0.85 * number - refused}
        tables.append(items({place: [float(i < count) for i in range(number)] for place, count in right.items()}))
    return tables[0], tables[1]


def bundle(
    folder: Path,
    *,
    verdict: str = "pass",
    name: str = "support-student",
    weights: Path | None = None,
    seed: int = 0,
    description: str = "Answers customer questions.",
    safety: str = "safety",
    lost: int = 2,
    number: int = ITEMS,
    policy: bytes = POLICY,
    speak: Speak | None = None,
    trust: Path | None = None,
    tables: tuple[ItemTable, ItemTable] | None = None,
    measured: Mapping[str, Mapping[str, float]] | None = None,
) -> Path:
    """A sealed bundle, judged for real; ``seed`` makes decisions differ, ``tables`` and ``measured`` stand for the drawn results.

    A ``fail`` lost 41 of 100 refusals. ``lost`` facts are lost besides; ``speak`` signs statements about the decision, which count by
    ``trust``.
    """
    drawn_bundle(folder, verdict=verdict, name=name, weights=weights, seed=seed, description=description)
    (folder / "policy.yaml").write_bytes(policy.replace(b"SAFETY", safety.encode()))
    drawn = answers(lost=lost, refusals_lost=int(0.41 * number) if verdict == "fail" else 0, safety=safety, number=number)
    teacher, student = tables or drawn
    for role, table in (("teacher", teacher), ("student", student)):
        write_items(table, folder / role / "items.parquet")
    identity = json.loads((folder / "student" / "identity.json").read_bytes())
    digests = {"plan": digest_bytes(b"p%d" % seed), "student_weights": identity["weights"]}
    if "model" in identity:
        digests |= {"student_model": identity["model"], "student_model_evaluated": identity["model"]}
    inputs = {
        "digests": digests,
        "subject": {"release": name, "teacher": "support-teacher", "student": name},
        "measurements": measured or {},
    }
    found = [Finding(check="licence", verdict="pass", subject="teacher", reason="Apache-2.0 allows it", rule="licence.allow")]

    def judged(said: Statements) -> Decision:
        return judge(
            teacher, student, load_policy(folder / "policy.yaml"), findings=found, **inputs,
            waivers=said.waivers, approvals=said.approvals, as_of=said.as_of,
        )  # fmt: skip

    said = Statements()
    if speak is not None and trust is not None:
        said = read_statements(speak(judged(said)), trust=load_trust(trust))
    for path, envelope in said.envelopes.items():
        write_atomic(folder / "statements" / path, envelope)
    made = judged(said)
    assert made.verdict == verdict, made.reason
    evidence = {"schema": "kdgov.evaluation/1", "plan": digests["plan"], "metrics": []}
    for role in ("teacher", "student"):
        who = json.loads((folder / role / "identity.json").read_bytes())
        (folder / role / "evidence.json").write_bytes(canonical_json({**evidence, "model": who}))
    (folder / "plan.json").write_bytes(canonical_json({"root": digests["plan"]}))
    (folder / "inputs.json").write_bytes(canonical_json({**inputs, "as_of": said.as_of, "looks": 1, "seen_items": []}))
    (folder / "findings.json").write_bytes(canonical_json({"findings": [f.as_json() for f in found]}))
    (folder / "decision.json").write_bytes(made.canonical)
    write_manifest(folder)
    return folder


def drawn_bundle(
    folder: Path,
    *,
    verdict: str = "pass",
    name: str = "support-student",
    weights: Path | None = None,
    seed: int = 0,
    description: str = "Answers customer questions.",
    **decision,
) -> Path:
    """A sealed bundle with drawn numbers, for cards and charts; no registry takes it, since its decision follows from nothing."""
    named = dict.fromkeys(("weights", "model"), digest_bytes(b"student"))
    student = model_identity(weights).as_json() if weights else {**named, "parameters": 40_000_000}
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
        "cards/teacher.yaml": b"schema: kdgov.model_card/1\nname: support-teacher\nlicense: llama3.1\n",
        "cards/support.yaml": (
            b"schema: kdgov.dataset_card/1\nname: support-data\nlicense: CC-BY-4.0\n"
            b"generation: {kind: model, generator: Llama-3.1-70B, license: llama3.1}\n"
        ),
    }
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    for role in ("teacher", "student"):
        # As many items as it takes to have that mean: every item has it.
        drawn = {(r.suite, r.task, r.metric): [getattr(r, role)] * 4 for r in made.criteria}
        write_items(items(drawn), folder / role / "items.parquet")
    write_manifest(folder)
    return folder
