"""The check of a release: may this student exist, and is it known what it is made of? Answers before any compute is spent."""

from __future__ import annotations

import datetime
import importlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kdgov.checks.cards.release_inputs import Body
from kdgov.checks.findings.accountability import record_findings
from kdgov.checks.findings.media_findings import MediaComparison
from kdgov.checks.findings.mitigation_findings import mitigation_findings
from kdgov.checks.findings.policy_fit import preflight_findings
from kdgov.checks.findings.practice import practice_findings
from kdgov.checks.findings.recipe_findings import recipe_findings
from kdgov.checks.findings.scan_findings import contaminated_items, taught_reports
from kdgov.checks.scan.contamination import ItemIndex
from kdgov.checks.scan.scan import ShardReport, scan
from kdgov.checks.scan.suite_items import suite_items
from kdgov.declarations.effects.asked_endpoints import asks_judges, one_endpoint_for_both
from kdgov.digest import digest_json, write_atomic
from kdgov.errors import InputError
from kdgov.evaluation.release_settings import asks_in_messages, refuse_few_accelerators
from kdgov.evidence.bundle_layout import CARDS, CONTAMINATION, FINDINGS, LICENCE_ANSWER, LICENCE_CASE
from kdgov.finding import Finding
from kdgov.pipeline.confined.suite_calls import refuse_foreign_hosts
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.data_checks.check_question import (
    Question,
    data_findings,
    data_shards,
    deciding_digests,
    licence_answer,
    licence_findings,
    read_question,
    scanned_data,
)
from kdgov.pipeline.finished_work.step_results import SCAN_REPORTS, CheckResult
from kdgov.pipeline.forecast.model_fit import model_fit_findings
from kdgov.pipeline.generation.asked_terms import planned_generation
from kdgov.pipeline.inputs.inputs_at_hand import calibration_table, covered, refuse_unready
from kdgov.pipeline.inputs.load_inputs import load_release_inputs
from kdgov.source_digest import source_digest

_CHECKS = ("licence", "provenance", "privacy", "contamination", "coverage", "practice", "evidence")
_GRAVITY = ("invalid", "block", "review", "warn", "pass")


def check_step(
    context: ReleaseContext, *, today: datetime.date | None = None, workers: int = 1, scan_folder: Path | None = None
) -> CheckResult:
    """Check a release's licences, provenance, privacy, contamination and practice.

    The folder of the result holds `FINDINGS`, `LICENCE_CASE`, `LICENCE_ANSWER`, `CONTAMINATION`, `SCAN_REPORTS` and the cards.
    It ``stops`` a release that may not go on, and ``holds`` one that may not be promoted without a waiver; ``digests`` names
    every input by digest.

    Args:
        context: the release on its way.
        today: day on which expiries are judged; default the present day. Recorded in the facts.
        workers: processes for the scan of the data; the result is the same for any number.
        scan_folder: folder where `scan_part` kept reports; files it has reports of are not scanned again.

    Raises:
        InputError: if a card, suite or policy is at fault.
        UnavailableError: if a pinned hub model is not at hand and the hub cannot be reached.
    """
    refuse_foreign_hosts(context)
    refuse_few_accelerators(*map(context.release.evaluation.of, ("teacher", "student")))
    question = read_question(context, today or datetime.datetime.now(tz=datetime.UTC).date())
    refuse_unready(context, question.materials)
    key = _key(question)
    # Told anew each time: every answer that is kept makes the rest cheaper.
    planned = {"generation": planned_generation(context, question.materials)}
    if (done := context.store.finished(CheckResult, key, **planned)) is not None:
        return done
    with context.store.work(CheckResult, key, tell=context.wait, **planned) as work:
        if work.finished is not None:
            return work.finished
        index = ItemIndex(question.items.items)
        media = scanned_data(question, index, workers=workers, kept=scan_folder)
        answer = licence_answer(question)
        findings = [*_findings(question, media, index), *licence_findings(question, answer)]
        findings += [question.stances.applied(finding) for finding in _asked(question, media.reports)]
        findings.sort(key=_order)
        _write(work.folder, findings, answer.as_json(), question, media.reports)
        return work.finish(**_facts(findings, question))


def _key(question: Question) -> str:
    materials = question.materials
    return digest_json(
        {
            "release": question.context.release.model_dump(mode="json", by_alias=True),
            **deciding_digests(question),
            "calibration": digest_json([calibration_table(question.context, one.calibration) for one in materials.release.recipes]),
            "code": source_digest("kdgov.pipeline.check"),
        }
    )


def scan_part(context: ReleaseContext, *, part: int, parts: int, kept: Path) -> int:
    """Scan every ``parts``-th data file from the ``part``-th (from 1) and keep the reports; returns how many files that were.

    For a job array beyond one machine: `check_step` with the same folder then puts the reports together.

    Raises:
        InputError: if the part is not among the parts, or a card or suite is at fault.
    """
    if not 1 <= part <= parts:
        raise InputError(f"part {part} of {parts} does not exist", mend="Count parts from 1, as in `--part 1/4`.")
    materials = load_release_inputs(context)
    shards = data_shards(materials)[0][part - 1 :: parts]
    scan(shards, ItemIndex(suite_items(materials.suites).items), kept=kept, progress=context.progress)
    return len(shards)


def _asked(question: Question, reports: list[tuple[Body, ShardReport]]) -> list[Finding]:
    """What endpoints will be asked, and what they cannot answer; loads lm-eval where there is one."""
    rows = {body.key: sum(one.rows for owner, one in reports if owner is body) for body, _ in reports}
    release, suites = question.materials.release, [file.suite for file in question.materials.suites]
    if not asks_in_messages(release) and not asks_judges(release, suites) and one_endpoint_for_both(release) is None:
        return []
    plan = importlib.import_module("kdgov.pipeline.asked_models.endpoint_plan")
    same = list(plan.same_model_findings(question.context))
    return same or list(plan.endpoint_plan_findings(question.context, question.policy, rows))


def _findings(question: Question, media: MediaComparison, index: ItemIndex) -> list[Finding]:
    """What is found beside licences: of the data and its origin, then of the recipe, the policy and who answers for it."""
    materials, stances, reports = question.materials, question.stances, media.reports
    findings = data_findings(question, media, index)
    findings += mitigation_findings(materials, question.policy, stances)
    findings += practice_findings(materials, stances, rows=sum(report.rows for body, report in reports if body in materials.bodies))
    for recipe in materials.release.recipes:
        table, has_logits = calibration_table(question.context, recipe.calibration), bool(materials.teacher.identity)
        findings += recipe_findings(recipe, stances, table=table, has_logits=has_logits)
    findings += preflight_findings(question.policy, materials.suites, stances, names_inputs=materials.logged is not None)
    findings += model_fit_findings(question.context, materials, stances)
    findings += record_findings(materials, stances, today=question.today, approvals=question.policy.approvals)
    return findings + covered(question.context, materials, stances, reports)


def _order(finding: Finding) -> tuple[int, int, str, str, str]:
    return (_CHECKS.index(finding.check), _GRAVITY.index(finding.verdict), finding.rule, finding.subject, finding.reason)


def _write(
    folder: Path, findings: list[Finding], answer: Mapping[str, Any], question: Question, reports: list[tuple[Body, ShardReport]]
) -> None:
    materials = question.materials
    documents = {
        FINDINGS: [finding.as_json() for finding in findings],
        LICENCE_CASE: question.case,
        LICENCE_ANSWER: answer,
        CONTAMINATION: contaminated_items(taught_reports(materials, reports)),
        SCAN_REPORTS: [asdict(report) for _, report in reports],
    }
    for name, document in documents.items():
        write_atomic(folder / name, json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    for name, data in question.texts.items():
        write_atomic(folder / name, data)
    named = {name: model.card for name, model in materials.models.items()}
    named |= {f"data-{n}": body.card for n, body in enumerate(materials.described)}
    named |= {"production-inputs": materials.logged.card} if materials.logged is not None else {}
    named |= {f"upstream-{n}": file for n, file in enumerate(materials.upstream.values())}
    (folder / CARDS).mkdir(exist_ok=True)
    for name, file in named.items():
        if file is not None:
            shutil.copyfile(file.path, folder / CARDS / f"{name}{file.path.suffix}")


def _facts(findings: list[Finding], question: Question) -> dict[str, Any]:
    materials, items = question.materials, question.items
    counts: Counter[str] = Counter(finding.verdict for finding in findings)
    stopping = [finding.rule for finding in findings if finding.verdict in ("block", "invalid")]
    holding = [finding.rule for finding in findings if finding.verdict == "review"]
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _GRAVITY if counts[verdict])
    why = f"; stopped by {stopping[0]}" if stopping else f"; held by {holding[0]}" if holding else ""
    return {
        # What needs a review goes on to its decision, which holds it: a waiver can only be bound to a decision.
        "stops": bool(stopping),
        "holds": bool(holding),
        "summary": told + why,
        "counts": dict(counts),
        "stopped_by": stopping,
        "held_by": holding,
        "digests": {**materials.digests(), **{f"suite {name}": digest for name, digest in items.digests.items()}},
        "teacher": dict(materials.teacher.identity),
        "today": question.today.isoformat(),
    }
