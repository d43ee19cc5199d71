"""The gate step: results, findings and policy → one decision, sealed with all it rests on as an evidence bundle."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kdgov.checks.findings.accountability import told_before_results
from kdgov.checks.findings.mitigation_findings import mitigated_tasks, unmeasured_mitigations
from kdgov.checks.findings.recipe_findings import contributed_findings
from kdgov.checks.findings.rules import read_stances
from kdgov.checks.scan.contamination import seen_items
from kdgov.decision.criteria.cost_ratio import HIGH, LOW, PAIRS, RATIO
from kdgov.decision.decision import Decision
from kdgov.decision.policy import Policy
from kdgov.declarations.policy_file import load_policy
from kdgov.digest import digest_file, digest_json, is_digest
from kdgov.evidence.bundle import write_manifest
from kdgov.evidence.bundle_layout import (
    CONTAMINATION,
    DISTILLATION,
    EFFICIENCY,
    EVALUATION,
    IDENTITY,
    ITEMS,
    PAIR,
    PLAN,
    STATEMENTS,
    of_role,
)
from kdgov.evidence.gate_inputs import GateInputs
from kdgov.evidence.permission_files import named_statements, read_statements, statements_about
from kdgov.evidence.policy_history import PolicyHistory, late_policy
from kdgov.evidence.rejudge import items_judged_apart, read_findings, read_tables
from kdgov.evidence.trust_store import TrustStore, load_trust, trust_path
from kdgov.pipeline.bundle_assembly import write_bundle
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.finished_work.step_results import (
    CheckResult,
    DistillResult,
    EvaluateResult,
    GateResult,
    PlannedItemsResult,
    TeacherTextResult,
)
from kdgov.pipeline.hand_over.told_roles import told_roles
from kdgov.source_digest import source_digest

_COUNTED = ("parameters", "size_bytes", "layers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgeable:
    """What the gate is handed: the results of every step before it."""

    checked: CheckResult
    """May it exist?"""
    distilled: DistillResult
    """The student."""
    evaluated: EvaluateResult
    """What both models answered."""
    written: TeacherTextResult | None = None
    """What the teacher wrote, scanned; None where it wrote nothing."""
    planned: PlannedItemsResult | None = None
    """Items of Hub benchmarks, looked for in the data; None where the check knew every item."""

    @property
    def scanned(self) -> tuple[Path, ...]:
        """Folders that hold what was found in data: the declared, the teacher's own, and what only the plan let one look for."""
        later = [result.folder for result in (self.written, self.planned) if result is not None]
        return (self.checked.folder, *later)


def gate_step(context: ReleaseContext, made: Judgeable, *, statements: Sequence[Path] = (), trust: Path | None = None) -> GateResult:
    """Judge a release by its policy and assemble the evidence bundle; a finished decision is reused.

    The folder is the bundle of docs/architecture.md, with the reports beside it. While a finished decision is only asked for,
    nothing is written; what the store remembers of policies and students is written with the decision.

    Args:
        context: the release.
        made: what the steps before it came to.
        statements: signed waivers and approvals beside those in the store.
        trust: file of the trust store; default the usual place.

    Raises:
        InputError: if the release, its policy or a statement is at fault.
    """
    path = context.policy_path()
    policy, policy_text = load_policy(path), path.read_bytes()
    trusted = load_trust(trust or trust_path(context.store.root))
    history = PolicyHistory(
        store=context.store.root,
        release=context.release.name,
        evaluation=made.evaluated.key,
        plan=made.evaluated.plan,
        student=digest_file(made.evaluated.folder / of_role("student", ITEMS)),
        policy=policy,
    )

    told = told_roles(context, _digests(made), trusted)

    def judged() -> tuple[GateInputs, Decision, str]:
        inputs = _inputs(context, made, policy, policy_text, history)
        inputs = replace(inputs, findings=told.over(inputs.findings, context))
        inputs, decision = _decided(context, inputs, statements, trusted)
        release = digest_json([digest_file(context.path), dict(context.settings)]) if context.settings else digest_file(context.path)
        parts = {"decision": decision.digest, "release": release, "told": told.digests, "code": _code(), "step": 1}
        return inputs, decision, digest_json(parts)

    inputs, decision, key = judged()
    if (finished := context.store.finished(GateResult, key)) is not None:
        return finished
    with context.store.lock(history.name, what="a decision on the same items", tell=context.wait):
        # Written before the decision is made, and by one run at a time: two students at once are two looks.
        history.write()
        if history.looks() != inputs.looks:
            inputs, decision, key = judged()
        with context.store.work(GateResult, key, tell=context.wait) as work:
            if work.finished is not None:
                return work.finished
            write_bundle(work.folder, context, inputs, decision, checked=made.checked.folder, scanned=made.scanned,
                         distilled=made.distilled.folder, evaluated=made.evaluated.folder)  # fmt: skip
            told.write(work.folder)
            return work.finish(
                verdict=decision.verdict,
                decision=decision.digest,
                policy=policy.digest,
                bundle=write_manifest(work.folder),
                summary=f"{decision.verdict}: {decision.reason}",
            )


def _code() -> str:
    return source_digest("kdgov.pipeline.gate")


def _inputs(context: ReleaseContext, made: Judgeable, policy: Policy, policy_text: bytes, history: PolicyHistory) -> GateInputs:
    evaluated = made.evaluated.folder
    seen = [item for folder in made.scanned for item in _seen(folder)]
    earlier = history.earlier_policy()
    stances = read_stances(policy.findings, file=str(context.policy_path()), data=policy.sections.get("data", {}))
    tables = read_tables(evaluated, _measured(evaluated))
    checked = [finding for folder in made.scanned for finding in read_findings(folder)]
    applied = mitigated_tasks(json.loads((evaluated / PLAN).read_bytes()))
    return GateInputs(
        policy=policy,
        policy_text=policy_text,
        tables=tables,
        findings=(
            *checked,
            *unmeasured_mitigations(
                context.release.mitigations, policy, stances, keys=tables.metric_keys(), mitigated=applied, told=checked
            ),
            *read_findings(evaluated),
            *([late_policy(earlier)] if earlier else []),
            *told_before_results(context.release.accountable.informed, _results_day(evaluated), stances),
            *contributed_findings(_distillation(made.distilled.folder), stances),
        ),
        digests=_digests(made),
        subject={
            "release": context.release.name,
            "teacher": context.release.teacher.called,
            "student": context.release.student.name or context.release.name,
        },
        seen_items=items_judged_apart(policy, seen),
        looks=history.looks(),
    )


def _distillation(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / DISTILLATION).read_bytes()))
    except FileNotFoundError:
        return {}


def _results_day(evaluated: Path) -> datetime.date:
    """Day on which the student's results were written."""
    written = (evaluated / of_role("student", ITEMS)).stat().st_mtime
    return datetime.datetime.fromtimestamp(written, tz=datetime.UTC).date()


def _decided(context: ReleaseContext, plain: GateInputs, statements: Sequence[Path], trusted: TrustStore) -> tuple[GateInputs, Decision]:
    base = plain.decide()
    # What lies in the store about other decisions is none of this one's business.
    named = [*named_statements(statements, base.digest), *statements_about(context.store.root / STATEMENTS, base.digest)]
    if not named:
        return plain, base
    judged = replace(plain, statements=read_statements(named, trust=trusted))
    return judged, judged.decide()


def _seen(folder: Path) -> tuple[str, ...]:
    try:
        return seen_items(json.loads((folder / CONTAMINATION).read_bytes()))
    except FileNotFoundError:
        return ()


def _measured(folder: Path) -> dict[str, dict[str, float]]:
    """Quantities of both models: counted ones from their identities, measured ones where evaluation measured them."""
    found: dict[str, dict[str, float]] = {}
    cost = json.loads((folder / EFFICIENCY).read_bytes()) if (folder / EFFICIENCY).exists() else {}
    for role in PAIR:
        identity = json.loads((folder / role / IDENTITY).read_bytes())
        named = {**cost.get(role, {}), **{name: identity.get(name) for name in _COUNTED}}
        found[role] = {name: float(value) for name, value in named.items() if isinstance(value, (int, float))}
    paired = cost.get("paired", {})
    for part, key in ((RATIO, "ratio"), (LOW, "low"), (HIGH, "high"), (PAIRS, "pairs")):
        found |= {part: {name: float(ratio[key]) for name, ratio in paired.items()}} if paired else {}
    return found


def _digests(made: Judgeable) -> dict[str, str]:
    distilled, evaluated = made.distilled, made.evaluated
    identities = {role: json.loads((evaluated.folder / role / IDENTITY).read_bytes()) for role in PAIR}
    found = {"plan": evaluated.plan, "distillation": digest_file(distilled.folder / DISTILLATION)}
    trained = {"teacher": distilled.teacher, "student": distilled.identity}
    for role, identity in identities.items():
        for part in ("weights", "tokenizer", "template", "config", "model"):
            if isinstance(identity.get(part), str) and identity[part]:
                found[f"{role}_{part}_evaluated"] = identity[part]
                own = trained[role]
                found[f"{role}_{part}"] = own.get(part) or identity[part]
        found[f"{role}_evidence"] = digest_file(evaluated.folder / role / EVALUATION)
    inputs = made.checked.digests
    found.update({f"input/{name}": digest for name, digest in inputs.items() if isinstance(digest, str) and is_digest(digest)})
    return found
