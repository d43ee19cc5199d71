"""Items of Hub benchmarks, looked for in the training data and in the teacher's text as soon as the plan has them.

The check runs before any compute and knows only items that lie beside their suite. The plan holds the others; the gate reads
these findings beside the check's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from kdgov.checkpoints.digests import remembered_digest
from kdgov.checks.cards.release_inputs import ReleaseInputs
from kdgov.checks.findings.rules import read_stances
from kdgov.checks.findings.scan_findings import contaminated_items, contamination_findings, retold_findings
from kdgov.checks.scan.contamination import ItemIndex
from kdgov.checks.scan.retold_items import encoder_version
from kdgov.checks.scan.scan import Shard, ShardReport, scan
from kdgov.checks.scan.suite_items import SuiteItems, items_of_rows, suite_items
from kdgov.declarations.policy_file import load_policy
from kdgov.declarations.suite import find_suite, load_suite
from kdgov.digest import digest_json, write_atomic
from kdgov.evidence.bundle_layout import CONTAMINATION, FINDINGS
from kdgov.finding import Finding
from kdgov.pipeline.confined.release_calls import suite_calls
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.finished_work.step_results import SCAN_REPORTS, PlannedItemsResult
from kdgov.pipeline.inputs.load_inputs import load_release_inputs
from kdgov.pipeline.scan_teacher_text import FOLDER
from kdgov.progress import silent
from kdgov.source_digest import source_digest


def planned_items_step(context: ReleaseContext, plan: str, distilled: Path, *, workers: int = 1) -> PlannedItemsResult | None:
    """Scan all data for the planned items that the check could not look for; None where it could look for every one.

    Args:
        context: the release on its way.
        plan: root of the plan that was evaluated: the items are those of it, or nothing is said.
        distilled: folder of the distill step, for what the teacher wrote.
        workers: processes for the scan.

    Raises:
        InputError: if the policy or a suite is at fault.
        UnavailableError: if the items cannot be had any more.
    """
    materials = load_release_inputs(context)
    at_hand = suite_items(materials.suites)
    shards = _shards(materials, distilled)
    if not at_hand.absent or not shards:
        return None
    policy = load_policy(context.policy_path())
    key = digest_json(
        {
            "plan": plan,
            "shards": [[shard.name, shard.digest] for shard in shards],
            "policy": policy.digest,
            "retold": encoder_version() if policy.sections.get("data", {}).get("retold_items") else "",
            "code": source_digest("kdgov.pipeline.late_scans.planned_items"),
        }
    )
    if (done := context.store.finished(PlannedItemsResult, key)) is not None:
        return done
    with context.store.work(PlannedItemsResult, key, tell=context.wait) as work:
        if work.finished is not None:
            return work.finished
        items = _planned(context, at_hand)
        index = ItemIndex(items.items)
        reports = scan(shards, index, workers=workers, progress=context.progress)
        stances = read_stances(policy.findings, file=str(context.policy_path()), data=policy.sections.get("data", {}))
        subject, files = "data, for the items of Hub benchmarks", [(shard.name, shard.path) for shard in shards]
        findings = contamination_findings(reports, items, stances, subject=subject, not_looked_for=index.not_testable)
        findings += retold_findings(items, files, stances, known=contaminated_items(reports), subject=subject)
        _write(work.folder, findings, reports)
        return work.finish(items=len(items.items), found=len(contaminated_items(reports)))


def _shards(materials: ReleaseInputs, distilled: Path) -> list[Shard]:
    declared = [file for body in (*materials.bodies, *materials.prompts) for file in body.files if file.digest]
    shards = [Shard(name=file.name, path=file.path, digest=file.digest) for file in declared]
    written = sorted((distilled / FOLDER).glob("*/shard-*.jsonl"))
    return [*shards, *(Shard(name=path.relative_to(distilled).as_posix(), path=path, digest=remembered_digest(path)) for path in written)]


def _planned(context: ReleaseContext, at_hand: SuiteItems) -> SuiteItems:
    """The items of every task that had none beside its suite."""
    suites = [load_suite(find_suite(name, beside=context.path)) for name in context.release.suites]
    absent = {name.partition(": ")[0] for name in at_hand.absent}
    declared = {(suite.name, task.task): task for suite in suites for task in suite.tasks}
    names = sorted({task for suite, task in declared if f"{suite}/{task}" in absent})
    # lm-eval takes seconds to load: only where its items have to be read, never on a rerun.
    with suite_calls(context) as calls:
        planned = calls.call("planned_rows", context=replace(context, progress=silent), tasks=names)
    items = []
    for suite, task, rows in planned:
        name = f"{suite}/{task}"
        if name in absent and (suite, task) in declared:
            items += items_of_rows(name, declared[suite, task], ((item_id, doc) for item_id, doc in rows))
    return SuiteItems(items=tuple(items), absent=(), digests={})


def _write(folder: Path, findings: Sequence[Finding], reports: Sequence[ShardReport]) -> None:
    documents = {
        FINDINGS: [finding.as_json() for finding in findings],
        CONTAMINATION: contaminated_items(reports),
        SCAN_REPORTS: [asdict(report) for report in reports],
    }
    for name, document in documents.items():
        write_atomic(folder / name, json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n")
