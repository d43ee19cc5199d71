"""The door before training and asking: what the check would block of data and licences is not trained on, whichever command is typed.

`kdgov run` takes the whole check first. Every other way to a student or to teacher-written text (`kdgov distill`, `generate`, `evaluate`,
`gate`, `kdgov.distill` …) comes through here: the same findings of the same code, without what the check says of policy, practice and
suites. Files are scanned once, whoever comes first.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from typing import ClassVar

from kdgov.checks.scan.contamination import ItemIndex
from kdgov.digest import digest_json, write_atomic
from kdgov.errors import BlockedError
from kdgov.evidence.bundle_layout import FINDINGS
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.data_checks.check_question import (
    data_findings,
    deciding_digests,
    licence_answer,
    licence_findings,
    read_question,
    scanned_data,
)
from kdgov.pipeline.finished_work.step_results import CheckResult, StepResult
from kdgov.source_digest import source_digest

_FAMILIES = ("licence", "provenance", "privacy", "contamination")
_OWED_LATER = frozenset({"licence.obligation-unmet"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCheckResult(StepResult):
    """What the check says of data, origins and licences alone, before anything is trained or asked."""

    STEP: ClassVar[str] = "data_check"

    stops: bool = False
    """Whether a finding stops training."""
    stopped_by: tuple[str, ...] = ()
    """Rules of the findings that stop."""
    reasons: tuple[str, ...] = ()
    """What each of them says."""


def bars_training(rule: str, verdict: str) -> bool:
    """Whether a finding keeps a student from being trained: one on data or where it comes from that stops the release.

    What is owed on handing a student on (a notice, a name) stops `kdgov run` and the gate, and bars no training.
    """
    return verdict in ("block", "invalid") and rule.partition(".")[0] in _FAMILIES and rule not in _OWED_LATER


def data_check_step(context: ReleaseContext, *, today: datetime.date | None = None) -> DataCheckResult:
    """The findings of the check on data, origins and licences alone; a finished result is reused.

    The folder holds `FINDINGS` in the check's own form.

    Args:
        context: the release on its way.
        today: day on which expiries are judged; default the present day.

    Raises:
        InputError: if a card, suite or policy is at fault.
        UnavailableError: if a pinned model or data set of the Hub is not at hand and the hub cannot be reached.
    """
    question = read_question(context, today or datetime.datetime.now(tz=datetime.UTC).date())
    key = digest_json(
        {
            "release": context.release.model_dump(mode="json", by_alias=True),
            **deciding_digests(question),
            "code": source_digest("kdgov.pipeline.data_checks.before_training"),
        }
    )
    if (done := context.store.finished(DataCheckResult, key)) is not None:
        return done
    with context.store.work(DataCheckResult, key, tell=context.wait) as work:
        if work.finished is not None:
            return work.finished
        index = ItemIndex(question.items.items)
        findings = data_findings(question, scanned_data(question, index), index)
        findings += licence_findings(question, licence_answer(question))
        rows = [finding.as_json() for finding in sorted(findings, key=lambda one: (one.check, one.rule, one.subject, one.reason))]
        write_atomic(work.folder / FINDINGS, json.dumps(rows, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n")
        stopping = [finding for finding in findings if bars_training(finding.rule, finding.verdict)]
        return work.finish(
            stops=bool(stopping),
            stopped_by=sorted({finding.rule for finding in stopping}),
            reasons=[f"{finding.subject}: {finding.reason}" for finding in stopping],
        )


def refuse_blocked_training(context: ReleaseContext, *, checked: CheckResult | None = None) -> None:
    """Refuse to train, or to ask a teacher, where the check blocks what would be trained on.

    Args:
        context: the release.
        checked: the whole check of it, where it was taken: then nothing is looked at again.

    Raises:
        BlockedError: naming what blocks.
    """
    if checked is not None:
        rules = [rule for rule in checked.stopped_by if bars_training(rule, "block")]
        if rules:
            raise _blocked(context, rules, "")
        return
    if (found := data_check_step(context)).stops:
        raise _blocked(context, found.stopped_by, found.reasons[0])


def _blocked(context: ReleaseContext, rules: list[str] | tuple[str, ...], reason: str) -> BlockedError:
    said = f": {reason}" if reason else ""
    return BlockedError(
        f"nothing was trained or asked: the check blocks this release ({', '.join(dict.fromkeys(rules))}){said}",
        where=str(context.path),
        mend=f"`kdgov check {context.path}` says what and how to mend it; a policy says under `findings:` where it does not block.",
    )
