"""Where facts are read from: the evidence of one release, and the ways of looking that several facts share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from kdgov.auditing.crosswalk.fact_catalogue import FactStatus
from kdgov.auditing.registry.snapshot import LogShown, VersionShown
from kdgov.auditing.review.audit_findings import AuditFinding
from kdgov.auditing.review.practice_record import counted
from kdgov.auditing.review.result import Role
from kdgov.auditing.review.signatures import Attested
from kdgov.evidence.bundle_layout import DECISION, FINDINGS, RELEASE
from kdgov.evidence.bundle_reader import BundleReader

Answer = tuple[FactStatus, str, str]
"""Status, words, file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a fact may be read from."""

    material: BundleReader
    """The bundle."""
    shown: VersionShown
    """What the registry shows."""
    attested: Attested
    """The signed statement."""
    log: LogShown
    """The log of acts."""
    findings: Sequence[AuditFinding]
    """What the review found."""
    roles: Sequence[Role]
    """Accountable roles."""


def either(is_shown: bool, told: str, absent: str, source: str = "", *, otherwise: FactStatus = "absent") -> Answer:
    """Shown with its words and file where something is there; otherwise absent with the other words."""
    return ("shown", told, source) if is_shown else (otherwise, absent, "")


def results_of(e: Evidence, **match: str) -> list[Mapping[str, Any]]:
    """Results of the decision whose fields match the globs."""
    rows = [r for r in e.material.decision.get("criteria") or [] if isinstance(r, Mapping)]
    return [r for r in rows if all(fnmatchcase(str(r.get(k, "")), v) for k, v in match.items())]


def suite(pattern: str) -> Callable[[Evidence], Answer]:
    """Whether suites of a name were judged."""

    def read(e: Evidence) -> Answer:
        rows = results_of(e, suite=pattern)
        bad = [r for r in rows if r.get("verdict") != "pass"]
        told = f"{counted(len(rows), 'result')}, {len(rows) - len(bad)} pass."
        return either(bool(rows), told, "No such suite was judged.", DECISION)

    return read


def findings_of(e: Evidence, *checks: str) -> list[Mapping[str, Any]]:
    """Sealed findings of the checks of these names."""
    return [row for row in e.material.findings if row.get("check") in checks]


def checked(check: str, told: str) -> Callable[[Evidence], Answer]:
    """Whether a check looked and found nothing that stops."""

    def read(e: Evidence) -> Answer:
        rows = findings_of(e, check)
        stopping = [r for r in rows if r.get("verdict") in ("review", "block", "invalid")]
        if rows and stopping:
            return "partly", f"{told} Stopping: {stopping[0].get('reason')}", FINDINGS
        told_all = f"{told} {counted(len(rows), 'finding')}, none stops the release."
        return either(bool(rows), told_all, "The check left no finding.", FINDINGS)

    return read


def rule(*patterns: str) -> Callable[[Evidence], Answer]:
    """Whether a finding of a rule speaks of it."""

    def read(e: Evidence) -> Answer:
        rows = [r for r in e.material.findings if any(fnmatchcase(str(r.get("rule", "")), p) for p in patterns)]
        if not rows:
            return "absent", "No finding speaks of it.", ""
        bad = [r for r in rows if r.get("verdict") != "pass"]
        return ("partly" if bad else "shown"), str((bad or rows)[0].get("reason")), FINDINGS

    return read


def release(key: str, told: str, absent: str) -> Callable[[Evidence], Answer]:
    """Whether the release declares it."""
    return lambda e: either(bool(e.material.release.get(key)), told, absent, RELEASE)


def is_verified(e: Evidence, area: str, subject: str = "*") -> bool:
    """Whether everything of a part was verified."""
    found = [f for f in e.findings if f.area == area and fnmatchcase(f.subject, subject)]
    return bool(found) and all(f.standing == "verified" for f in found)


def cards_of(e: Evidence, kind: str) -> list[Mapping[str, Any]]:
    """Cards of one kind."""
    return list(e.material.cards_of(kind))


def said(card: Mapping[str, Any], key: str) -> Any:
    """What a card says under a key of its own or under ``further``; None where it says nothing."""
    further = card.get("further")
    found = card.get(key) or (further.get(key) if isinstance(further, Mapping) else None)
    return found if found not in ("", [], {}) else None


def card_fields(kind: str, *keys: str) -> Callable[[Evidence], Answer]:
    """Whether every card of a kind says it, in a field of its own or under ``further``."""

    def read(e: Evidence) -> Answer:
        cards = cards_of(e, kind)
        having = [c for c in cards if any(said(c, k) for k in keys)]
        if cards and len(having) < len(cards):
            return ("partly" if having else "absent"), f"{len(having)} of {len(cards)} cards say it.", "cards" if having else ""
        told = "; ".join(f"{c.get('name')}: {said(c, k)}" for c in having for k in keys if said(c, k))
        return either(bool(having), f"All {len(cards)} cards say it. {told[:200]}", "No card says it.")

    return read


def never(text: str) -> Callable[[Evidence], Answer]:
    """A fact that no evidence of a release shows."""
    return lambda e: ("absent", text, "")
