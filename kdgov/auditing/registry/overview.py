"""A whole registry at a glance: one row per version, what needs a person first. Weights and re-judging are left to the single audit."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kdgov.auditing.registry.snapshot import LogShown, VersionShown
from kdgov.auditing.review.audit_findings import AuditFinding, Outcome, outcome_of, worst_first
from kdgov.auditing.review.derived_standing import review_derivation
from kdgov.auditing.review.event_log import review_acts
from kdgov.auditing.review.mlflow_record.mlflow_runs import review_record
from kdgov.auditing.review.receipt import bundle_receipt, logged_receipt
from kdgov.auditing.review.review import NOWHERE, Reviewer
from kdgov.auditing.review.signatures import read_attestation, review_binding, review_bundle, review_seals
from kdgov.auditing.review.signed_statements import review_statements
from kdgov.auditing.review.waivers_and_approvals import guarded_aliases, review_permission
from kdgov.digest import digest_json
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.visible_text import visible

SCHEMA = "kdgov.audit_overview/1"
SOON = datetime.timedelta(days=30)
_NONE = "NONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewRow:
    """One version in the overview."""

    name: str
    """Registered model."""
    version: int
    """Number."""
    outcome: Outcome
    """clean, incomplete or violated, as far as an overview looks."""
    verdict: str
    """PASS, FAIL …, NONE without a decision, REVOKED."""
    aliases: tuple[str, ...]
    """Aliases that point at it."""
    registered_at: str
    """ISO 8601."""
    evidence_age_days: int | None
    """Days since the decision was signed; None without one."""
    expires: str
    """Day the decision ends; empty without one."""
    waiver_expires: str
    """First day a waiver ends; empty without one."""
    is_outside_guard: bool
    """Whether a guarded alias or stage was set without the guard."""
    needs: tuple[str, ...]
    """What a person should look at, worst first, as ``subject: reason``."""
    blocked_by: str = ""
    """What stands against a version that did not pass, as its tag says."""

    @property
    def key(self) -> str:
        """``name/version``."""
        return f"{self.name}/{self.version}"

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return asdict(self)


def review_briefly(shown: VersionShown, log: LogShown, reviewer: Reviewer) -> OverviewRow:
    """One version's row: seals, signature, binding, tags, card, log, waivers and ends; what holds a guarded alias is judged again.

    Files are hashed where they can be reached without a download; elsewhere the manifest and the statement are.
    """
    logged = logged_receipt(shown, log, reviewer.trust, at=reviewer.at)
    attested, signature = read_attestation(shown, reviewer.trust, at=logged.at)
    sealed = () if shown.evidence is None else tuple(review_seals(shown) if shown.is_partial else review_bundle(shown))
    is_sealed = not any(finding.stops for finding in sealed)
    material = BundleReader(shown.evidence if shown.evidence is not None and is_sealed else NOWHERE)
    receipt = bundle_receipt(logged, attested)
    findings = [
        *sealed,
        *signature,
        *review_binding(shown, attested),
        *review_statements(material, reviewer.trust, receipt, at=reviewer.at).findings,
        *review_acts(shown, log, attested),
        *review_record(shown),
        *review_permission(material, shown, attested, as_of=reviewer.day, log=log, receipt=receipt),
    ]
    if (aliases := guarded_aliases(shown, log)) and not shown.is_partial and shown.evidence is not None and is_sealed:
        # What is in use is derived again, as at a promotion.
        findings += review_derivation(material, attested, reviewer.asker(attested, receipt.at), aliases=aliases).findings
    stopping = [f for f in worst_first(dict.fromkeys(findings)) if f.stops]
    signed = str(attested.predicate.get("signed_at", ""))
    return OverviewRow(
        name=shown.facts.name,
        version=shown.facts.version,
        outcome=outcome_of(findings),
        verdict=shown.tags.get("kdgov.verdict", _NONE),
        aliases=shown.aliases,
        registered_at=shown.registered_at,
        evidence_age_days=_age(signed, reviewer.day),
        expires=str(attested.predicate.get("expires", ""))[:10],
        waiver_expires=shown.tags.get("kdgov.waiver_expires", ""),
        is_outside_guard=any(_outside(f) for f in stopping),
        needs=tuple(f"{f.subject}: {f.reason}" for f in stopping),
        blocked_by=shown.tags.get("kdgov.blocked_by", ""),
    )


def unreadable_row(shown: VersionShown, fault: str) -> OverviewRow:
    """The row of a version whose evidence cannot be reviewed at all: violated, with the fault."""
    return OverviewRow(
        name=shown.facts.name,
        version=shown.facts.version,
        outcome="violated",
        verdict=shown.tags.get("kdgov.verdict", _NONE),
        aliases=shown.aliases,
        registered_at=shown.registered_at,
        evidence_age_days=None,
        expires="",
        waiver_expires=shown.tags.get("kdgov.waiver_expires", ""),
        is_outside_guard=False,
        needs=(f"evidence: it cannot be reviewed ({visible(fault)[:200]})",),
    )


def _outside(finding: AuditFinding) -> bool:
    return finding.area == "registry" and finding.standing == "violated" and "outside the guard" in finding.reason


def _age(signed_at: str, day: datetime.date) -> int | None:
    try:
        return (day - datetime.date.fromisoformat(signed_at[:10])).days
    except ValueError:
        return None


def fingerprint(shown: VersionShown) -> str:
    """Digest of what the registry lists of a version: a row made for it counts only while this is the same."""
    return digest_json(
        {
            "facts": asdict(shown.facts),
            "tags": dict(shown.tags),
            "aliases": list(shown.aliases),
            "stage": shown.stage,
            "description": shown.description,
            "row": [shown.status, shown.status_message, shown.user, shown.run_link, dict(shown.model_tags)],
        }
    )


def sorted_rows(rows: Iterable[OverviewRow], *, day: datetime.date) -> tuple[OverviewRow, ...]:
    """What needs a person first: violated, promoted without cover, ends soon, incomplete, then the oldest evidence."""
    return tuple(sorted(rows, key=lambda row: (_urgency(row, day), -(row.evidence_age_days or 0), row.name, -row.version)))


def _urgency(row: OverviewRow, day: datetime.date) -> int:
    if row.outcome == "violated":
        return 0 if row.aliases else 1
    if row.outcome == "incomplete":
        return 2 if row.aliases else 4
    return 3 if _ends_soon(row, day) else 5


def _ends_soon(row: OverviewRow, day: datetime.date) -> bool:
    return any(end and end <= (day + SOON).isoformat() for end in (row.waiver_expires, row.expires))


def overview_document(
    rows: Sequence[OverviewRow], log: Sequence[AuditFinding], *, day: datetime.date, silent_models: Sequence[str]
) -> dict[str, Any]:
    """The JSON document of an overview.

    Args:
        rows: sorted rows that are shown.
        log: findings about the log of acts.
        day: day of the review.
        silent_models: registered models without any version.
    """
    counts: Mapping[str, int] = {name: sum(r.outcome == name for r in rows) for name in ("violated", "incomplete", "clean")}
    return {
        "schema": SCHEMA,
        "as_of": day.isoformat(),
        "counts": {
            **counts,
            "versions": len(rows),
            "outside_guard": sum(r.is_outside_guard for r in rows),
            "without_decision": sum(r.verdict == _NONE for r in rows),
            "ending_soon": sum(_ends_soon(r, day) for r in rows),
        },
        "models_without_version": list(silent_models),
        "log": [finding.as_json() for finding in log],
        "versions": [row.as_json() for row in rows],
    }
