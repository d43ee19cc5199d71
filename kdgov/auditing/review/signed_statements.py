"""Every signed waiver and approval of the evidence at two moments: when the registry received it, and on the day of the review."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path

from kdgov.auditing.review.audit_findings import AuditFinding, unverifiable, verified, violated
from kdgov.auditing.review.receipt import Receipt
from kdgov.auditing.review.result import Condition
from kdgov.digest import digest_file
from kdgov.evidence.bundle_layout import STATEMENTS, in_run
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.evidence.permission_statements import StatementAnswer, answer_statement
from kdgov.evidence.trust_store import TrustStore


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementReview:
    """What was found about every statement."""

    findings: tuple[AuditFinding, ...] = ()
    """One per file."""
    conditions: tuple[Condition, ...] = ()
    """What held at receipt and does not hold on the day of the review."""


def review_statements(material: BundleReader, trust: TrustStore, receipt: Receipt, *, at: datetime.datetime) -> StatementReview:
    """Signature, key, purpose and role of each waiver and approval, as of receipt and as of the review.

    Args:
        material: the bundle.
        trust: whose signatures count.
        receipt: when the registry received the evidence.
        at: the moment of the review, with a zone.
    """
    folder = material.folder / STATEMENTS
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    reviewed = [_reviewed(path, trust, receipt, at) for path in paths]
    return StatementReview(
        findings=tuple(finding for finding, _ in reviewed),
        conditions=tuple(condition for _, conditions in reviewed for condition in conditions),
    )


def _reviewed(path: Path, trust: TrustStore, receipt: Receipt, at: datetime.datetime) -> tuple[AuditFinding, tuple[Condition, ...]]:
    place = in_run(f"{STATEMENTS}/{path.name}")
    try:
        envelope = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return violated("permission", place, "It is not a signed statement: it cannot be read.", mend="Judge again without it."), ()
    if not isinstance(envelope, dict):
        return violated("permission", place, "It is not a signed statement.", mend="Judge again without it."), ()
    then, now = (answer_statement(envelope, trust, at=moment) for moment in (receipt.at, at))
    digest, name = digest_file(path), _named(then)
    if then.counted:
        told = f"{name}, signed by {', '.join(then.signers)}: it counted {receipt.words}"
        if now.counted:
            return verified("permission", place, f"{told}, and it counts today.", digest=digest), ()
        text = f"{name}: today it {now.fault}. It counted {receipt.words}, so the decision stands; nothing new may rest on it."
        return verified("permission", place, f"{told}. Today it {now.fault}.", digest=digest), (Condition(text=text, by=_owner(then)),)
    if then.is_unknown:
        mend = "Add the signer's key to the trust store of the review, or ask whose key it is."
        told = f"{name}: no key under it is listed in the trust store of this review, so it was not checked."
        return unverifiable("permission", place, told, mend=mend, required=True), ()
    # Also what counts today by a key that was added since: it carried a decision on a day on which nobody vouched for it.
    return violated("permission", place, f"{name}: it {then.fault}, {receipt.words}.", mend=then.mend, digest=digest), ()


def _named(answer: StatementAnswer) -> str:
    claimed = answer.claimed
    if answer.purpose == "approval":
        return f"Approval as {claimed.get('role', 'an unnamed role')} by {claimed.get('by', 'nobody named')}"
    return f"Waiver of {claimed.get('criterion', 'an unnamed criterion')} by {claimed.get('owner', 'nobody named')}"


def _owner(answer: StatementAnswer) -> str:
    return answer.claimed.get("owner") or answer.claimed.get("by") or ""
