"""What the teacher wrote, scanned after it was written: the same scan as the data the release declares.

`kdgov.pipeline.check` runs before any compute and cannot see text that does not exist yet. This step does, and the gate reads
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
from kdgov.checks.findings.scan_findings import contaminated_items, contamination_findings
from kdgov.checks.scan.contamination import ItemIndex
from kdgov.checks.scan.scan import Shard, ShardReport, scan
from kdgov.checks.scan.suite_items import suite_items
from kdgov.declarations.policy_file import load_policy
from kdgov.digest import digest_json, write_atomic
from kdgov.evidence.bundle_layout import CONTAMINATION, FINDINGS
from kdgov.finding import Finding
from kdgov.pipeline.check import SCANNED
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.load_inputs import suite_files
from kdgov.pipeline.store import StepResult
from kdgov.source_digest import source_digest

STEP = "written"
FOLDER = "teacher_text"
"""Folder of the distillation's result that holds what the teacher wrote: ``<term>/shard-0000.jsonl`` …"""


def written_step(context: ReleaseContext, distilled: Path, *, workers: int = 1) -> StepResult | None:
    """Scan the teacher-written text in a folder of the distillation; None where the teacher wrote nothing.

    The folder of the result holds `FINDINGS`, `CONTAMINATION` and `SCANNED` in the check's own form. ``facts["stops"]`` says that
    the release may not go on. It can be called on a folder that is still being written: whole shards are scanned once.

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
            "intent": context.release.release.distribution,
            "code": source_digest("kdgov.pipeline.scan_teacher_text"),
        }
    )
    if (done := context.store.finished(STEP, key)) is not None:
        return done
    folder = context.store.working(STEP, key)
    reports = scan(shards, index, workers=workers, progress=context.progress)
    stances = read_stances(policy.findings, file=str(context.policy_path()), data=policy.sections.get("data", {}))
    findings = [
        *identifier_findings(
            "teacher-written text", reports, intent=context.release.release.distribution, said_none=False, stances=stances
        ),
        *contamination_findings(reports, items, stances, subject="teacher-written text"),
    ]
    _write(folder, findings, reports)
    stops = [finding.rule for finding in findings if finding.verdict in ("block", "invalid")]
    return context.store.finish(STEP, key, {"stops": bool(stops), "stopped_by": stops, "files": len(files)})


def _write(folder: Path, findings: Sequence[Finding], reports: Sequence[ShardReport]) -> None:
    documents = {
        FINDINGS: [finding.as_json() for finding in findings],
        CONTAMINATION: contaminated_items(reports),
        SCANNED: [asdict(report) for report in reports],
    }
    for name, document in documents.items():
        write_atomic(folder / name, json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n")
