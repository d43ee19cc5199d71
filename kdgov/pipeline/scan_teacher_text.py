"""What the teacher wrote, scanned after it was written: the same scan as the data the release declares.

The check runs before any compute and cannot see text that does not exist yet. This step does, and the gate reads
its findings beside the check's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from kdgov.checkpoints.digests import remembered_digest
from kdgov.checks.findings.identifier_findings import identifier_findings
from kdgov.checks.findings.rules import read_stances
from kdgov.checks.findings.scan_findings import contaminated_items, contamination_findings, retold_findings
from kdgov.checks.scan.contamination import ItemIndex
from kdgov.checks.scan.retold_items import encoder_version
from kdgov.checks.scan.scan import Shard, ShardReport, scan
from kdgov.checks.scan.suite_items import SuiteItems, suite_items
from kdgov.decision.policy import Policy
from kdgov.declarations.policy_file import load_policy
from kdgov.digest import digest_json, write_atomic
from kdgov.evidence.bundle_layout import CONTAMINATION, FINDINGS
from kdgov.finding import Finding
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.finished_work.step_results import SCAN_REPORTS, TeacherTextResult
from kdgov.pipeline.inputs.load_inputs import suite_files
from kdgov.source_digest import source_digest

FOLDER = "teacher_text"
"""Folder of the distillation's result that holds what the teacher wrote: ``<term>/shard-0000.jsonl`` …"""


def written_step(context: ReleaseContext, distilled: Path, *, workers: int = 1) -> TeacherTextResult | None:
    """Scan the teacher-written text in a folder of the distillation; None where the teacher wrote nothing.

    The folder of the result holds `FINDINGS`, `CONTAMINATION` and `SCAN_REPORTS` in the check's own form. It ``stops`` a release
    that may not go on. It can be called on a folder that is still being written: whole shards are scanned once.

    Args:
        context: the release on its way.
        distilled: folder of the distill step, finished or at work.
        workers: processes for the scan.

    Raises:
        InputError: if the policy or a suite is at fault.
    """
    files = sorted((distilled / FOLDER).glob("*/shard-*.jsonl"))
    if not files:
        return None
    shards = [Shard(name=file.relative_to(distilled).as_posix(), path=file, digest=remembered_digest(file)) for file in files]
    policy = load_policy(context.policy_path())
    items = suite_items(suite_files(context))
    index = ItemIndex(items.items)
    key = digest_json(
        {
            "shards": [[shard.name, shard.digest] for shard in shards],
            "items": index.digest,
            "absent": list(items.absent),
            "policy": policy.digest,
            "retold": encoder_version() if policy.sections.get("data", {}).get("retold_items") else "",
            "intent": context.release.release.distribution,
            "code": source_digest("kdgov.pipeline.scan_teacher_text"),
        }
    )
    if (done := context.store.finished(TeacherTextResult, key)) is not None:
        return done
    with context.store.work(TeacherTextResult, key, tell=context.wait) as work:
        if work.finished is not None:
            return work.finished
        reports = scan(shards, index, workers=workers, progress=context.progress)
        findings = _findings(context, policy, items, reports, index.not_testable, files=[(shard.name, shard.path) for shard in shards])
        _write(work.folder, findings, reports)
        stops = [finding.rule for finding in findings if finding.verdict in ("block", "invalid")]
        return work.finish(stops=bool(stops), stopped_by=stops, files=len(files))


def _findings(
    context: ReleaseContext,
    policy: Policy,
    items: SuiteItems,
    reports: Sequence[ShardReport],
    not_looked_for: Sequence[str],
    *,
    files: Sequence[tuple[str, Path]],
) -> list[Finding]:
    stances = read_stances(policy.findings, file=str(context.policy_path()), data=policy.sections.get("data", {}))
    return [
        *identifier_findings(
            "teacher-written text", reports, intent=context.release.release.distribution, said_none=False, stances=stances
        ),
        *contamination_findings(reports, items, stances, subject="teacher-written text", not_looked_for=not_looked_for),
        *retold_findings(items, files, stances, known=contaminated_items(reports), subject="teacher-written text"),
    ]


def _write(folder: Path, findings: Sequence[Finding], reports: Sequence[ShardReport]) -> None:
    documents = {
        FINDINGS: [finding.as_json() for finding in findings],
        CONTAMINATION: contaminated_items(reports),
        SCAN_REPORTS: [asdict(report) for report in reports],
    }
    for name, document in documents.items():
        write_atomic(folder / name, json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n")
