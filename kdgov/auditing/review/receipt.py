"""When the registry received a decision, and who vouches for that moment: what was true at release is judged by it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from kdgov.auditing.registry.snapshot import LogShown, VersionShown
from kdgov.auditing.review.event_log import of_version
from kdgov.auditing.review.signatures import Attested
from kdgov.evidence.event_chain import head_fault
from kdgov.evidence.trust_store import TrustStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The moment of receipt, as far as somebody trusted vouches for one."""

    at: datetime.datetime
    """When, with a zone; the moment of the review where nobody vouches for an earlier one."""
    by: str = ""
    """What says so: ``log entry 3``, ``the signed decision``; empty where nobody does."""

    @property
    def words(self) -> str:
        """``when it was received on 2026-11-22 (log entry 3)``, or what takes its place."""
        if not self.by:
            return "today, for nobody vouches for an earlier day of receipt"
        return f"when it was received on {self.at:%Y-%m-%d} ({self.by})"


def logged_receipt(shown: VersionShown, log: LogShown, trust: TrustStore, *, at: datetime.datetime) -> Receipt:
    """When the guard logged the decision the version shows, where a key trusted for acts signed that entry.

    An unsigned entry tells no time: whoever can write the log could date an old key's new signature back.

    Args:
        shown: the version.
        log: the log of acts.
        trust: whose signatures count.
        at: the moment of the review, with a zone.
    """
    wanted = shown.tags.get("kdgov.decision")
    stored = [e for e in of_version(log, shown) if e.kind == "decide" and e.details.get("decision") == wanted]
    for entry in reversed(stored):
        try:
            logged = datetime.datetime.fromisoformat(entry.at)
            if logged.tzinfo is not None and logged <= at and not head_fault(entry, trust):
                return Receipt(at=logged, by=f"log entry {entry.seq}")
        except ValueError:
            continue
    return Receipt(at=at)


def bundle_receipt(logged: Receipt, attested: Attested) -> Receipt:
    """The moment for what lies inside the evidence: as logged, else as the signed decision that names the evidence is dated."""
    if logged.by or not attested.is_signed:
        return logged
    try:
        signed = datetime.datetime.fromisoformat(str(attested.predicate.get("signed_at", "")))
    except ValueError:
        return logged
    return Receipt(at=signed, by="the signed decision") if signed.tzinfo is not None and signed <= logged.at else logged
