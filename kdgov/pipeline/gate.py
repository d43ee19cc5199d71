"""The gate step: results, findings and policy → one decision, sealed with all it rests on as an evidence bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdgov.checks.licensing.portable_case import portable_case
from kdgov.decision.decision import Decision
from kdgov.decision.policy import Policy
from kdgov.declarations.policy_file import load_policy
from kdgov.digest import canonical_json, digest_file, digest_json, is_digest, is_finite_json, write_atomic
from kdgov.errors import InputError
from kdgov.evidence.bundle import write_manifest
from kdgov.evidence.bundle_layout import (
    CARDS,
    CONTAMINATION,
    DECISION,
    DISAGGREGATION,
    DISTILLATION,
    EFFICIENCY,
    EVALUATION,
    FINDINGS,
    IDENTITY,
    INPUTS,
    ITEMS,
    LICENCE_ANSWER,
    LICENCE_CASE,
    LOST_ITEMS,
    PLAN,
    POLICY,
    RELEASE,
    REPORT_FILES,
    REPORTS,
    ROLE_FILES,
    ROLES,
    STATEMENTS,
)
from kdgov.evidence.gate_inputs import GateInputs
from kdgov.evidence.permission_files import read_statements, statements_about
from kdgov.evidence.rejudge import items_judged_apart, read_findings, read_tables
from kdgov.evidence.trust_store import load_trust, trust_path
from kdgov.finding import Finding
from kdgov.pipeline.check import check_step, seen_items
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.distill import distill_step
from kdgov.pipeline.evaluate import evaluate_step
from kdgov.pipeline.evaluation_count import count_looks
from kdgov.pipeline.judge_paths import late_policy
from kdgov.pipeline.scan_teacher_text import written_step
from kdgov.pipeline.store import StepResult
from kdgov.report.flips import flip_report
from kdgov.report.formats import FORMATS
from kdgov.source_digest import source_digest

STEP = "gate"
_COUNTED = ("parameters", "size_bytes", "layers")


def gate_step(context: ReleaseContext, *, statements: Sequence[Path] = (), trust: Path | None = None) -> StepResult:
    """Judge a release by its policy and assemble the evidence bundle; a finished decision is reused.

    The folder is the bundle of docs/architecture.md, with the reports beside it. The facts name ``verdict``, ``decision``
    (digest), ``policy`` (digest) and ``summary``.

    Raises:
        InputError: if the release, its policy or a statement is at fault.
    """
    checked, distilled, evaluated = check_step(context), distill_step(context), evaluate_step(context)
    written = written_step(context, distilled.folder)
    scanned = [step.folder for step in (checked, written) if step is not None]
    told = [finding for folder in scanned for finding in read_findings(folder)]
    path = context.policy_path()
    policy = load_policy(path)
    trusted = load_trust(trust or trust_path(context.store.root))
    plain = GateInputs(
        policy=policy,
        policy_text=path.read_bytes(),
        tables=read_tables(evaluated.folder, _measured(evaluated.folder)),
        findings=(*told, *read_findings(evaluated.folder), *_seal(context, evaluated, policy)),
        digests=_digests(checked, distilled, evaluated),
        subject={
            "release": context.release.name,
            "teacher": context.release.teacher.called,
            "student": context.release.student.name or context.release.name,
        },
        seen_items=items_judged_apart(policy, [item for folder in scanned for item in seen_items(folder)]),
        looks=count_looks(
            context.store.root,
            release=context.release.name,
            plan=str(evaluated.facts["plan"]),
            policy=policy.digest,
            student=digest_file(evaluated.folder / "student" / ITEMS),
        ),
    )
    base = plain.decide()
    # What lies in the store about other decisions is none of this one's business.
    named = [*statements, *statements_about(context.store.root / STATEMENTS, base.digest)]
    judged = replace(plain, statements=read_statements(named, trust=trusted)) if named else plain
    decision = judged.decide() if named else base
    key = digest_json(
        {"decision": decision.digest, "release": digest_file(context.path), "code": source_digest("kdgov.pipeline.gate"), "step": 1}
    )
    if (finished := context.store.finished(STEP, key)) is not None:
        return finished
    folder = context.store.working(STEP, key)
    _write_bundle(folder, context, judged, decision, (distilled, evaluated))
    _write_licences(folder, checked)
    _write_contamination(folder, scanned)
    facts = {
        "verdict": decision.verdict,
        "decision": decision.digest,
        "policy": policy.digest,
        "bundle": write_manifest(folder),
        "summary": f"{decision.verdict}: {decision.reason}",
    }
    return context.store.finish(STEP, key, facts)


def _seal(context: ReleaseContext, evaluated: StepResult, policy: Policy) -> tuple[Finding, ...]:
    """The first policy that saw these results is their own; a later one is named."""
    seals = context.store.root / "policy-seals" / f"{evaluated.key.removeprefix('sha256:')[:24]}.json"
    if not seals.exists():
        write_atomic(seals, canonical_json({"policy": policy.digest, "name": policy.name, "version": policy.version}))
        return ()
    first = json.loads(seals.read_bytes())
    if first["policy"] == policy.digest:
        return ()
    return (
        late_policy(
            f"These results were first judged by policy {first['name']} {first['version']} ({first['policy'][:19]}…), not by this one."
        ),
    )


def _measured(folder: Path) -> dict[str, dict[str, float]]:
    """Quantities of both models: counted ones from their identities, measured ones where evaluation measured them."""
    found: dict[str, dict[str, float]] = {}
    cost = json.loads((folder / EFFICIENCY).read_bytes()) if (folder / EFFICIENCY).exists() else {}
    for role in ("teacher", "student"):
        identity = json.loads((folder / role / IDENTITY).read_bytes())
        named = {**cost.get(role, {}), **{name: identity.get(name) for name in _COUNTED}}
        found[role] = {name: float(value) for name, value in named.items() if isinstance(value, (int, float))}
    return found


def _digests(checked: StepResult, distilled: StepResult, evaluated: StepResult) -> dict[str, str]:
    identities = {role: json.loads((evaluated.folder / role / IDENTITY).read_bytes()) for role in ("teacher", "student")}
    found = {"plan": str(evaluated.facts["plan"]), "distillation": digest_file(distilled.folder / DISTILLATION)}
    made = {"teacher": distilled.facts.get("teacher"), "student": distilled.facts.get("identity")}
    for role, identity in identities.items():
        for part in ("weights", "tokenizer", "template", "config", "model"):
            if isinstance(identity.get(part), str) and identity[part]:
                found[f"{role}_{part}_evaluated"] = identity[part]
                own = made[role]
                found[f"{role}_{part}"] = own[part] if isinstance(own, Mapping) and own.get(part) else identity[part]
        found[f"{role}_evidence"] = digest_file(evaluated.folder / role / EVALUATION)
    inputs = checked.facts.get("digests", {})
    found.update({f"input/{name}": digest for name, digest in inputs.items() if isinstance(digest, str) and is_digest(digest)})
    return found


def _write_bundle(
    folder: Path, context: ReleaseContext, judged: GateInputs, decision: Decision, made: tuple[StepResult, StepResult]
) -> None:
    distilled, evaluated = made
    write_atomic(folder / RELEASE, _pretty(context.release.model_dump(mode="json", by_alias=True)))
    write_atomic(folder / POLICY, judged.policy_text)
    write_atomic(folder / DECISION, decision.canonical)
    write_atomic(folder / FINDINGS, _pretty({"findings": [f.as_json() for f in judged.findings]}))
    write_atomic(
        folder / INPUTS,
        _pretty(
            {
                "digests": dict(judged.digests),
                "subject": dict(judged.subject),
                "measurements": judged.tables.measurements,
                "as_of": judged.statements.as_of,
                "looks": judged.looks,
                "seen_items": list(judged.seen_items),
            }
        ),
    )
    shutil.copyfile(evaluated.folder / PLAN, folder / PLAN)
    shutil.copyfile(distilled.folder / DISTILLATION, folder / DISTILLATION)
    for theirs in ROLES:
        for name in ROLE_FILES:
            source = evaluated.folder / theirs / name
            if source.exists():
                (folder / theirs).mkdir(exist_ok=True)
                shutil.copyfile(source, folder / theirs / name)
    for name in (DISAGGREGATION, EFFICIENCY):
        if (evaluated.folder / name).exists():
            shutil.copyfile(evaluated.folder / name, folder / name)
    for name, envelope in judged.statements.envelopes.items():
        write_atomic(folder / STATEMENTS / name, envelope)
    _write_cards(folder / CARDS, context)
    for name, file in REPORT_FILES.items():
        write_atomic(folder / REPORTS / file, FORMATS[name](decision, judged.policy).encode())
    tables = judged.tables
    write_atomic(folder / REPORTS / LOST_ITEMS, flip_report(tables.teacher, tables.student, metrics=tables.metrics, mask=True).encode())


def _write_contamination(folder: Path, scanned: Sequence[Path]) -> None:
    """Which items were found in the data and in what the teacher wrote, and how: what ``seen_items`` were taken from."""
    texts = zip(("data", "teacher_text"), scanned, strict=False)
    found = {name: json.loads((source / CONTAMINATION).read_bytes()) for name, source in texts if (source / CONTAMINATION).exists()}
    write_atomic(folder / CONTAMINATION, _pretty(found))


def _write_licences(folder: Path, checked: StepResult) -> None:
    """The licence case with the texts it names, and the answer of the day: an audit reasons again with its own facts."""
    try:
        case = json.loads((checked.folder / LICENCE_CASE).read_bytes())
    except FileNotFoundError:
        return
    portable, texts = portable_case(case, base=checked.folder)
    write_atomic(folder / LICENCE_CASE, _pretty(portable))
    shutil.copyfile(checked.folder / LICENCE_ANSWER, folder / LICENCE_ANSWER)
    for place, data in texts.items():
        write_atomic(folder / place, data)


def _write_cards(folder: Path, context: ReleaseContext) -> None:
    release = context.release
    named = [release.teacher.card, release.student.card, *(item.card for item in release.data)]
    for name in named:
        if name is not None:
            source = context.path_of(name)
            write_atomic(folder / source.name, source.read_bytes())


def _pretty(document: Mapping[str, Any]) -> bytes:
    if not is_finite_json(document):
        raise InputError("holds a number that is not finite", mend="Evaluate again: a measurement failed.")
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, default=dict) + "\n").encode()
