"""The audit's answer to the four questions: the sealed decision's header, under what was found otherwise than recorded."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kdgov.auditing.registry.snapshot import VersionShown
from kdgov.auditing.review.audit_findings import AuditFinding, worst_first
from kdgov.auditing.review.signatures import Attested
from kdgov.decision.decision import decision_from_json
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.recording.card.standing_header import closed, standing_header
from kdgov.report.verdict_header import VerdictHeader, verdict_header


def audit_header(
    material: BundleReader, shown: VersionShown, attested: Attested, findings: Sequence[AuditFinding], *, day: datetime.date
) -> VerdictHeader:
    """May it be used, why, what is open, who decides."""
    decided = _decided(material)
    end = str(attested.predicate.get("expires", ""))[:10]
    stopping = [finding for finding in worst_first(findings) if finding.stops]
    if violated := [finding for finding in stopping if finding.standing == "violated"]:
        more = f" (and {len(violated) - 1} more)" if len(violated) > 1 else ""
        told = f"{violated[0].subject}: {' '.join(violated[0].reason.split()).rstrip('.')}{more}."
        header = closed("VIOLATED: do not rely on this version before it is explained", told, violated[0].mend)
        return replace(header, open_points=decided.open_points, decides=decided.decides) if decided is not None else header
    header = standing_header(decided, shown.tags, end=end, today=day.isoformat(), fault="No decision could be read.")
    if stopping:
        told = f"not shown: {stopping[0].subject}" + (f" and {len(stopping) - 1} more" if len(stopping) > 1 else "")
        return replace(header, open_points=(*header.open_points, told))
    return header


def _decided(material: BundleReader) -> VerdictHeader | None:
    accountable: Any = material.release.get("accountable") or {}
    named = {role: str(who) for role, who in dict(accountable).items() if role != "informed" and isinstance(who, str)}
    try:
        return verdict_header(decision_from_json(material.decision), accountable=named)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
