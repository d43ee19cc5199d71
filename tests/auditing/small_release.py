"""A small release of the real shape: real item tables, a real plan, judged for real, recorded through kdgov.recording."""

from __future__ import annotations

import datetime
import json
import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kdgov import __version__
from kdgov import license as licensing
from kdgov.checkpoints.identity import model_identity
from kdgov.decision.decision import Decision
from kdgov.decision.judgement import judge
from kdgov.declarations.policy_file import load_policy
from kdgov.digest import canonical_json, digest_bytes, write_atomic
from kdgov.evaluation.plan.request import Plan, PlannedTask, Request, frozen_item
from kdgov.evidence.bundle import write_manifest
from kdgov.evidence.gate_inputs import Statements
from kdgov.evidence.permission_files import read_statements
from kdgov.evidence.trust_store import load_trust
from kdgov.finding import Finding
from kdgov.items import ItemTable, MetricDeclaration
from kdgov.items.files import write_items

AT = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)

POLICY = """schema: kdgov.policy/1
name: small
version: "1"
criteria:
  - {id: capability-retained, kind: non_inferiority, suite: capability, direction: higher, margin: 0.05, min_items: 100, by: [topic]}
  - {id: refusal-retained, kind: non_inferiority, suite: safety, metric: refused, direction: higher, margin: 0.05, min_items: 100}
"""


def checkpoint(folder: Path, seed: int, size: int = 8) -> Path:
    """The smallest checkpoint folder with an identity."""
    folder.mkdir(parents=True, exist_ok=True)
    data = struct.pack(f"<{size}f", *(seed + i for i in range(size)))
    header = json.dumps({"w": {"dtype": "F32", "shape": [size], "data_offsets": [0, 4 * size]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    config = {"architectures": ["TinyForCausalLM"], "num_hidden_layers": size // 4, "vocab_size": 10}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _plan(n: int) -> Plan:
    tasks = []
    for suite, task, metric in (("capability", "facts", "acc"), ("safety", "refusal", "refused")):
        items = tuple(
            frozen_item(
                item_id=f"{i:04d}",
                doc={"question": f"{task} {i}"},
                requests=(Request(kind="generate", context=f"{task} {i}?"),),
                cluster=f"{i:04d}",
                group={"topic": ("rivers", "towns")[i % 2]},
            )
            for i in range(n)
        )
        declared = {"metric": metric, "direction": "higher", "range": [0.0, 1.0]}
        tasks.append(
            PlannedTask(suite=suite, task=task, kind="generate", items=items, settings={"shots": 0}, metrics=(declared,), of_whole=n)
        )
    return Plan(tasks=tuple(tasks))


def _table(plan: Plan, lost: dict[str, float], seed: int) -> ItemTable:
    rows = []
    for task in plan.tasks:
        chance = random.Random(f"{task.name}")
        drop = random.Random(f"{task.name}{seed}")
        for item in task.items:
            right = chance.random() < 0.92
            score = 0.0 if right and drop.random() < lost.get(task.suite, 0.0) else float(right)
            rows.append({
                "suite": task.suite, "task": task.task, "item_id": item.item_id, "metric": task.metrics[0]["metric"], "score": score,
                "group": dict(item.group), "prompt_digest": item.prompt_digest, "item_digest": item.item_digest,
            })  # fmt: skip
    return ItemTable.from_rows(rows).canonical()


def write_bundle(
    folder: Path,
    *,
    name: str = "support-student",
    lost: float = 0.0,
    seed: int = 0,
    n: int = 400,
    weights: Path,
    teacher: Path,
    policy: str = POLICY,
    speak: Callable[[Decision], Sequence[Path]] | None = None,
    trust: Path | None = None,
    **release: Any,
) -> Path:
    """A sealed bundle; ``lost`` is the share of refusals the student lost, ``speak`` signs waivers and approvals of its decision."""
    plan = _plan(n)
    roles = {"teacher": (_table(plan, {}, 0), teacher), "student": (_table(plan, {"safety": lost, "capability": 0.005}, seed + 1), weights)}
    declared = [
        MetricDeclaration(suite=t.suite, task=t.task, metric=t.metrics[0]["metric"], direction="higher", low=0.0, high=1.0)
        for t in plan.tasks
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policy.yaml").write_text(policy)
    for role, (table, model) in roles.items():
        (folder / role).mkdir(exist_ok=True)
        write_items(table, folder / role / "items.parquet")
        identity = model_identity(model).as_json()
        evidence = {
            "schema": "kdgov.evaluation/1", "plan": plan.root, "model": identity, "items": table.content_digest, "rows": len(table),
            "metrics": [d.as_json() for d in declared], "versions": {"kdgov": __version__, "python": "3.11"}, "tasks": [],
        }  # fmt: skip
        (folder / role / "evidence.json").write_text(json.dumps(evidence, indent=1))
        (folder / role / "identity.json").write_text(json.dumps(identity, indent=1))
    case = {
        "student": {"name": name, "license": "Apache-2.0", "kind": "generative"},
        "uses": [
            {"use": "logits", "name": "support-teacher", "license": "Apache-2.0"},
            {"use": "dataset_train", "name": "support-data", "license": "MIT"},
        ],
        "release": {"distribution": "hosted", "commercial": True, "research": False},
        "organization": {"kind": "company", "principal_place": "DE"},
        "choices": {"outputs_derivative": "false"},
        "evidence": [],
    }
    answer = licensing.check(licensing.case_from_json(case))
    (folder / "licence-case.json").write_text(json.dumps(case))
    (folder / "licence-answer.json").write_text(json.dumps(answer.as_json()))
    findings = [
        Finding(check="provenance", verdict="pass", subject="data", reason="every file is the one its card pins", rule="provenance.pinned"),
        *(f for f in licensing.findings(answer) if f.verdict == "pass"),
    ]
    identities = {role: model_identity(model).as_json() for role, (_, model) in roles.items()}
    digests = {"plan": plan.root, **{f"{r}_{part}": i[part] for r, i in identities.items() for part in ("weights", "model")}}
    counted = {role: {"parameters": float(i["parameters"])} for role, i in identities.items()}
    subject = {"release": name, "teacher": "support-teacher", "student": name}

    def judged(said: Statements) -> Decision:
        return judge(
            roles["teacher"][0], roles["student"][0], load_policy(folder / "policy.yaml"),
            metrics=declared, findings=findings, digests=digests, subject=subject, measurements=counted,
            waivers=said.waivers, approvals=said.approvals, as_of=said.as_of,
        )  # fmt: skip

    said = Statements()
    decision = judged(said)
    if speak is not None and trust is not None:
        said = read_statements(speak(decision), trust=load_trust(trust))
        decision = judged(said)
    for path, envelope in said.envelopes.items():
        write_atomic(folder / "statements" / path, envelope)
    documents = {
        "release.json": {
            "schema": "kdgov.release/1", "name": name, "description": "Answers questions about rivers and towns.",
            "teacher": {"model": "models/support-teacher"}, "student": {"license": "Apache-2.0", "kind": "generative", "name": name},
            "release": {"distribution": "hosted", "commercial": True, "research": False},
            "accountable": {
                "model_owner": "Ada", "risk": "Grace", "product": "Lin",
                "informed": {"model_owner": "2026-11-19", "risk": "2026-11-20", "product": "2026-11-21"},
            },
            "trade_offs": "Half the size; a little arithmetic is lost.", **release,
        },
        "plan.json": plan.as_json(),
        "findings.json": {"findings": [f.as_json() for f in findings]},
        "inputs.json": {"digests": digests, "subject": subject, "measurements": counted, "as_of": said.as_of},
        "distillation.json": {
            "schema": "kdgov.distillation/1", "teacher": identities["teacher"], "student": identities["student"],
            "data": {"facts.jsonl": digest_bytes(b"facts")}, "recipe": {"steps": 10}, "steps": 10, "tokens": 1000, "seed": 0,
        },
    }  # fmt: skip
    for path, document in documents.items():
        (folder / path).write_text(json.dumps(document, indent=1, sort_keys=True))
    (folder / "decision.json").write_bytes(decision.canonical)
    (folder / "cards").mkdir(exist_ok=True)
    (folder / "cards" / "teacher.yaml").write_text("schema: kdgov.model_card/1\nname: support-teacher\nlicense: Apache-2.0\n")
    (folder / "cards" / "data.yaml").write_text("schema: kdgov.dataset_card/1\nname: support-data\nlicense: MIT\npersonal_data: false\n")
    write_manifest(folder)
    assert canonical_json(json.loads(decision.canonical)) == decision.canonical
    return folder
