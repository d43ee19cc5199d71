"""What a check asks of a release's data and origins, read once: for the whole check, and before anything is trained or asked alone."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov import license as licensing
from kdgov.checks.cards.release_inputs import Body, ReleaseInputs
from kdgov.checks.findings.media_findings import MediaComparison, compare_media, media_findings
from kdgov.checks.findings.privacy import personal_data_findings, withdrawn_ids
from kdgov.checks.findings.provenance import provenance_findings
from kdgov.checks.findings.rules import Stances, read_stances
from kdgov.checks.findings.scan_findings import contaminated_items, not_testable_finding, retold_findings, scan_findings, taught_reports
from kdgov.checks.findings.sent_to_endpoint import sent_findings
from kdgov.checks.licensing.licence_case import licence_case
from kdgov.checks.licensing.portable_case import portable_case
from kdgov.checks.pii.person_names import NameCount, NamesModel, count_names, names_model
from kdgov.checks.scan.contamination import ItemIndex
from kdgov.checks.scan.retold_items import encoder_version
from kdgov.checks.scan.scan import Shard, ShardReport, scan
from kdgov.checks.scan.suite_items import SuiteItems, suite_items
from kdgov.decision.policy import Policy
from kdgov.declarations.policy_file import load_policy
from kdgov.declarations.suite_parts.judging_models import named_models
from kdgov.digest import digest_file
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.inputs.load_inputs import load_release_inputs
from kdgov.source_digest import source_digest

SCANS = "scans"
"""Folder of the store that holds the report of each file by content: whichever step scans it first, no other does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Everything that decides the answer of a check."""

    context: ReleaseContext
    """The release."""
    materials: ReleaseInputs
    """What it is made from."""
    policy: Policy
    """Its policy."""
    stances: Stances
    """What the policy makes of each rule."""
    items: SuiteItems
    """Items of the suites."""
    case: dict[str, Any]
    """What the licence reasoner is asked."""
    texts: Mapping[str, bytes]
    """Licence texts that the case names."""
    names: NamesModel | None
    """What recognises names, where it is at hand."""
    today: datetime.date
    """Day on which expiries are judged."""


def read_question(context: ReleaseContext, today: datetime.date) -> Question:
    """Everything that decides what is found, read from the release.

    Raises:
        InputError: if a card, suite or policy is at fault.
        UnavailableError: if a pinned model or data set of the Hub is not at hand and the hub cannot be reached.
    """
    materials = load_release_inputs(context)
    policy = load_policy(context.policy_path())
    choices = dict(policy.sections.get("license", {}).get("choices", {}))
    # Texts are named by content: a place on disk must not reach the findings.
    case, texts = portable_case(licence_case(materials, choices=choices))
    return Question(
        context=context,
        materials=materials,
        policy=policy,
        stances=read_stances(policy.findings, file=str(context.policy_path()), data=policy.sections.get("data", {})),
        items=suite_items(materials.suites),
        case=case,
        texts=texts,
        names=names_model(),
        today=today,
    )


def deciding_digests(question: Question) -> dict[str, Any]:
    """What the findings of `data_findings` and `licence_answer` depend on beside the release and the code."""
    materials = question.materials
    return {
        "policy": question.policy.digest,
        "inputs": materials.digests(),
        "suites": {file.name: [digest_file(file.path), named_models(file.suite)] for file in materials.suites},
        "items": dict(question.items.digests),
        "case": question.case,
        "withdrawn": [sorted(withdrawn_ids(body)) for body in materials.scanned],
        "names": question.names.digest if question.names is not None else "",
        "retold": encoder_version() if question.stances.looks_for_retold else "",
        "today": question.today.isoformat(),
    }


def _text(texts: Mapping[str, bytes], name: str) -> str:
    if name not in texts:
        raise InputError(
            f"{name!r} is named as a licence text or as evidence, and cannot be read",
            mend="Correct the path: `license_text` is relative to its card, an evidence's `file` to the release.",
        )
    return texts[name].decode("utf-8")


def data_shards(materials: ReleaseInputs) -> tuple[list[Shard], list[Body]]:
    """Every data file that is there, and the body it belongs to."""
    owners, shards = [], []
    for body in materials.scanned:
        record = body.dataset.personal_data if body.dataset is not None else None
        id_field, withdrawn = getattr(record, "id_field", None), frozenset(withdrawn_ids(body))
        for file in body.files:
            if file.digest:
                owners.append(body)
                shards.append(Shard(name=file.name, path=file.path, digest=file.digest, id_field=id_field, withdrawn=withdrawn))
    return shards, owners


def scanned_data(question: Question, index: ItemIndex, *, workers: int = 1, kept: Path | None = None) -> MediaComparison:
    """Every file scanned, and images and sounds compared; reports are kept by content, so that no step scans a file again."""
    context = question.context
    shards, owners = data_shards(question.materials)
    code = source_digest("kdgov.checks.scan.scan").removeprefix("sha256:")[:16]
    found = scan(shards, index, workers=workers, kept=kept or context.store.root / SCANS / code, progress=context.progress)
    scanned = list(zip(owners, found, strict=True))
    return compare_media(question.materials, scanned, by_likeness=question.stances.compares_likeness)


def licence_answer(question: Question) -> licensing.LicenseAnswer:
    """What the licence reasoner says of the case."""
    return licensing.check(
        licensing.case_from_json(question.case, as_of=question.today, read_text=lambda name: _text(question.texts, name))
    )


def licence_findings(question: Question, answer: licensing.LicenseAnswer) -> list[Finding]:
    """The same as findings, with the policy's verdicts."""
    return [question.stances.applied(finding) for finding in licensing.findings(answer)]


def data_findings(question: Question, media: MediaComparison, index: ItemIndex) -> list[Finding]:
    """What is found of the data and of where everything comes from: provenance, privacy, contamination."""
    materials, stances, reports = question.materials, question.stances, media.reports
    findings = provenance_findings(materials, stances)
    for body in (*materials.described, *([materials.logged] if materials.logged is not None else [])):
        findings += personal_data_findings(body, materials, stances, today=question.today)
    unseen = [key for key in index.not_testable if key not in media.looked_for]
    names = _names(question.names, reports)
    findings += scan_findings(
        materials, reports, question.items, stances, names, not_looked_for=index.not_testable, media=media.beside_text
    )
    taught = [(file.name, file.path) for body in materials.scanned if body is not materials.logged for file in body.files if file.digest]
    known = contaminated_items(taught_reports(materials, reports))
    findings += retold_findings(question.items, taught, stances, known=known)
    findings += sent_findings(materials, reports, stances, today=question.today)
    findings += [*not_testable_finding(unseen, len(index.items), stances), *media_findings(media, stances)]
    return findings


def _names(model: NamesModel | None, reports: list[tuple[Body, ShardReport]]) -> dict[str, NameCount]:
    """Names per body of data, where a model is at hand."""
    if model is None:
        return {}
    found = {}
    for body in {body.key: body for body, report in reports if report.text_bytes}.values():
        own = {report.name: report for owner, report in reports if owner is body and not report.damage}
        paths = [file.path for file in body.files if file.name in own]
        found[body.key] = count_names(paths, text_bytes=sum(report.text_bytes for report in own.values()), model=model)
    return found
