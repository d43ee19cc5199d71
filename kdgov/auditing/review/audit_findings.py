"""The words of an audit: one statement about one thing, and what all statements together amount to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Standing = Literal["verified", "not_verifiable", "violated"]
"""Done again and found as stated; cannot be done again here, and why; found otherwise than stated."""

Outcome = Literal["clean", "incomplete", "violated"]
"""Nothing violated and nothing required missing; something required cannot be shown; something is otherwise than stated."""

Area = Literal["evidence", "signature", "log", "registry", "plan", "decision", "licence", "permission", "practice", "weights", "replay"]
"""Which part of the review speaks."""

AREAS: dict[Area, str] = {
    "evidence": "Evidence files",
    "signature": "Signatures",
    "log": "Log of acts",
    "registry": "What the registry shows",
    "plan": "Identical questions",
    "decision": "Decision, judged again",
    "licence": "Licences, reasoned again",
    "permission": "Waivers and approvals",
    "practice": "Practice record",
    "weights": "Weights",
    "replay": "Evaluation, run again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """What the review found about one thing."""

    area: Area
    """Which part of the review speaks."""
    standing: Standing
    """verified, not_verifiable or violated."""
    subject: str
    """The file, tag, key or act it is about."""
    reason: str
    """What was done and found, in one or two plain sentences."""
    mend: str = ""
    """What would lift it; empty where nothing needs lifting."""
    digest: str = ""
    """Digest of what the statement rests on, where it rests on bytes."""
    required: bool = False
    """For ``not_verifiable``: whether the policy or the schema demands it, so that the audit cannot end well without it."""

    @property
    def stops(self) -> bool:
        """Whether this finding alone keeps the audit from ending well."""
        return self.standing == "violated" or (self.standing == "not_verifiable" and self.required)

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary of every field."""
        return asdict(self)


def verified(area: Area, subject: str, reason: str, *, digest: str = "") -> AuditFinding:
    """Done again, and it is as stated."""
    return AuditFinding(area=area, standing="verified", subject=subject, reason=reason, digest=digest)


def unverifiable(area: Area, subject: str, reason: str, *, mend: str = "", required: bool = False) -> AuditFinding:
    """Cannot be done again from here."""
    return AuditFinding(area=area, standing="not_verifiable", subject=subject, reason=reason, mend=mend, required=required)


def violated(area: Area, subject: str, reason: str, *, mend: str = "", digest: str = "") -> AuditFinding:
    """Done again, and it is otherwise than stated."""
    return AuditFinding(area=area, standing="violated", subject=subject, reason=reason, mend=mend, digest=digest)


def outcome_of(findings: Iterable[AuditFinding]) -> Outcome:
    """What all findings together amount to; no finding at all is ``incomplete``, never clean."""
    seen = list(findings)
    if any(finding.standing == "violated" for finding in seen):
        return "violated"
    return "incomplete" if not seen or any(finding.stops for finding in seen) else "clean"


_ORDER: dict[Standing, int] = {"violated": 0, "not_verifiable": 1, "verified": 2}


def worst_first(findings: Iterable[AuditFinding]) -> tuple[AuditFinding, ...]:
    """Violated, then what is required and cannot be shown, then the rest; within that in the order of `AREAS`."""
    areas = list(AREAS)
    return tuple(sorted(findings, key=lambda f: (_ORDER[f.standing], not f.stops, areas.index(f.area))))
