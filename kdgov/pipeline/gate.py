"""The gate step: results, findings and policy → one decision, sealed with all it rests on as an evidence bundle."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdgov.checks.licensing.portable_case import portable_case
from kdgov.decision.criteria.comparison_cells import Tables
from kdgov.decision.decision import Decision
from kdgov.decision.policy import Policy
from kdgov.declarations.policy_file import load_policy
from kdgov.digest import canonical_json, digest_file, digest_json, is_digest, is_finite_json, write_atomic
from kdgov.errors import InputError
from kdgov.evidence.bundle import write_manifest
from kdgov.evidence.trust_store import trust_path
from kdgov.finding import Finding
from kdgov.items import read_declarations, read_items
from kdgov.pipeline.check import ANSWER, CASE, CONTAMINATED, check_step, seen_items
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.distill import distill_step
from kdgov.pipeline.evaluate import evaluate_step
from kdgov.pipeline.evaluation_count import count_looks
from kdgov.pipeline.gate_inputs import GateInputs, late_policy
from kdgov.pipeline.permission_files import read_statements, statements_about
from kdgov.pipeline.scan_teacher_text import written_step
from kdgov.pipeline.store import StepResult
from kdgov.report.flips import flip_report
from kdgov.report.formats import FORMATS
from kdgov.source_digest import source_digest

STEP = "gate"
DECISION, INPUTS, FINDINGS, POLICY, RELEASE = "decision.json", "inputs.json", "findings.json", "policy.yaml", "release.json"
STATEMENTS = "statements"
_ROLES = {"teacher": "teacher", "student": "student", "control": "control", "root": "root_teacher"}
_EVIDENCE_FILES = ("items.parquet", "evidence.json", "identity.json")
_REPORTS = {"markdown": "decision.md", "junit": "junit.xml", "sarif": "decision.sarif", "text": "decision.txt"}
EFFICIENCY = "efficiency.json"
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
    told = [finding for folder in scanned for finding in _findings(folder)]
    path = context.policy_path()
    policy = load_policy(path)
    trusted = trust or trust_path(context.store.root)
    plain = GateInputs(
        policy=policy,
        policy_text=path.read_bytes(),
        tables=_bundle_tables(evaluated.folder, _measured(evaluated.folder)),
        findings=(*told, *_findings(evaluated.folder), *_seal(context, evaluated, policy)),
        digests=_digests(checked, distilled, evaluated),
        subject={
            "release": context.release.name,
            "teacher": context.release.teacher.called,
            "student": context.release.student.name or context.release.name,
        },
        seen_items=_judged_apart(policy, [item for folder in scanned for item in seen_items(folder)]),
        looks=count_looks(
            context.store.root,
            release=context.release.name,
            plan=str(evaluated.facts["plan"]),
            policy=policy.digest,
            student=digest_file(evaluated.folder / "student" / "items.parquet"),
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


def _bundle_tables(folder: Path, measurements: Mapping[str, Mapping[str, float]]) -> Tables:
    read = {
        mine: read_items(folder / theirs / "items.parquet")
        for theirs, mine in _ROLES.items()
        if (folder / theirs / "items.parquet").exists()
    }
    return Tables(
        teacher=read["teacher"],
        student=read["student"],
        control=read.get("control"),
        root_teacher=read.get("root_teacher"),
        metrics=read_declarations(folder / "teacher"),
        measurements=measurements,
    )


def _measured(folder: Path) -> dict[str, dict[str, float]]:
    """Quantities of both models: counted ones from their identities, measured ones where evaluation measured them."""
    found: dict[str, dict[str, float]] = {}
    cost = json.loads((folder / EFFICIENCY).read_bytes()) if (folder / EFFICIENCY).exists() else {}
    for role in ("teacher", "student"):
        identity = json.loads((folder / role / "identity.json").read_bytes())
        named = {**cost.get(role, {}), **{name: identity.get(name) for name in _COUNTED}}
        found[role] = {name: float(value) for name, value in named.items() if isinstance(value, (int, float))}
    return found


def _findings(folder: Path) -> tuple[Finding, ...]:
    try:
        document = json.loads((folder / FINDINGS).read_bytes())
    except FileNotFoundError:
        return ()
    rows = document["findings"] if isinstance(document, Mapping) else document
    return tuple(Finding(**row) for row in rows)


def _judged_apart(policy: Policy, seen: Sequence[str]) -> tuple[str, ...]:
    """The contaminated items, where the policy leaves them out: nothing else may take an item from the judgement."""
    is_apart = policy.sections.get("data", {}).get("contaminated_items") == "judge_apart"
    return tuple(sorted(set(seen))) if is_apart else ()


def _digests(checked: StepResult, distilled: StepResult, evaluated: StepResult) -> dict[str, str]:
    identities = {role: json.loads((evaluated.folder / role / "identity.json").read_bytes()) for role in ("teacher", "student")}
    found = {"plan": str(evaluated.facts["plan"]), "distillation": digest_file(distilled.folder / "distillation.json")}
    made = {"teacher": distilled.facts.get("teacher"), "student": distilled.facts.get("identity")}
    for role, identity in identities.items():
        for part in ("weights", "tokenizer", "template", "config"):
            if isinstance(identity.get(part), str) and identity[part]:
                found[f"{role}_{part}_evaluated"] = identity[part]
                own = made[role]
                found[f"{role}_{part}"] = own[part] if isinstance(own, Mapping) and own.get(part) else identity[part]
        found[f"{role}_evidence"] = digest_file(evaluated.folder / role / "evidence.json")
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
    shutil.copyfile(evaluated.folder / "plan.json", folder / "plan.json")
    shutil.copyfile(distilled.folder / "distillation.json", folder / "distillation.json")
    for theirs in _ROLES:
        for name in _EVIDENCE_FILES:
            source = evaluated.folder / theirs / name
            if source.exists():
                (folder / theirs).mkdir(exist_ok=True)
                shutil.copyfile(source, folder / theirs / name)
    for name in ("disaggregation.json", "efficiency.json"):
        if (evaluated.folder / name).exists():
            shutil.copyfile(evaluated.folder / name, folder / name)
    for name, envelope in judged.statements.envelopes.items():
        write_atomic(folder / STATEMENTS / name, envelope)
    _write_cards(folder / "cards", context)
    for name, file in _REPORTS.items():
        write_atomic(folder / "reports" / file, FORMATS[name](decision, judged.policy).encode())
    tables = judged.tables
    write_atomic(folder / "reports" / "flips.md", flip_report(tables.teacher, tables.student, metrics=tables.metrics, mask=True).encode())


def _write_contamination(folder: Path, scanned: Sequence[Path]) -> None:
    """Which items were found in the data and in what the teacher wrote, and how: what ``seen_items`` were taken from."""
    texts = zip(("data", "teacher_text"), scanned, strict=False)
    found = {name: json.loads((source / CONTAMINATED).read_bytes()) for name, source in texts if (source / CONTAMINATED).exists()}
    write_atomic(folder / CONTAMINATED, _pretty(found))


def _write_licences(folder: Path, checked: StepResult) -> None:
    """The licence case with the texts it names, and the answer of the day: an audit reasons again with its own facts."""
    try:
        case = json.loads((checked.folder / CASE).read_bytes())
    except FileNotFoundError:
        return
    portable, texts = portable_case(case, base=checked.folder)
    write_atomic(folder / CASE, _pretty(portable))
    shutil.copyfile(checked.folder / ANSWER, folder / ANSWER)
    for place, data in texts.items():
        write_atomic(folder / place, data)


def _write_cards(folder: Path, context: ReleaseContext) -> None:
    release = context.release
    named = [release.teacher.card, release.student.card, *(item.card for item in release.data)]
    for name in named:
        if name is not None:
            source = context.path_of(name)
            write_atomic(folder / source.name, source.read_bytes())


def rejudge(
    folder: Path, *, trust: Path | None = None, store: Path | None = None, received: datetime.datetime | None = None
) -> tuple[Decision, GateInputs]:
    """Judge an evidence bundle again from its own files, with nothing taken from its ``decision.json``.

    Equal to the sealed decision, byte by byte, unless a file of the bundle or kdgov's judgement changed.

    Args:
        folder: the bundle.
        trust: file of the trust store; default the usual place.
        store: store of finished work, where the trust store's usual place is.
        received: when the registry received the bundle, as its signed log tells; now where nothing tells it.

    Raises:
        InputError: if a file of the bundle is missing or unreadable.
    """
    try:
        inputs = json.loads((folder / INPUTS).read_bytes())
        policy_text = (folder / POLICY).read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"is no evidence bundle: {error}", where=str(folder), mend="Fetch it from the registry again.") from error
    envelopes = sorted((folder / STATEMENTS).glob("*.json"))
    policy = load_policy(folder / POLICY)
    judged = GateInputs(
        policy=policy,
        policy_text=policy_text,
        tables=_bundle_tables(folder, inputs["measurements"]),
        findings=_findings(folder),
        digests=inputs["digests"],
        subject=inputs["subject"],
        statements=read_statements(envelopes, trust=trust or trust_path(store), as_of=inputs["as_of"], received=received),
        seen_items=_judged_apart(policy, inputs.get("seen_items", ())),
        looks=int(inputs.get("looks", 1)),
    )
    return judged.decide(), judged


def _pretty(document: Mapping[str, Any]) -> bytes:
    if not is_finite_json(document):
        raise InputError("holds a number that is not finite", mend="Evaluate again: a measurement failed.")
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, default=dict) + "\n").encode()
