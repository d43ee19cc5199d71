"""Whether a waiver counts: bound to this very decision, allowed by its policy, in date, and about something that can be waived."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fnmatch import fnmatchcase

from kdgov.decision.decision import CriterionResult, Decision, Waiver
from kdgov.decision.policy import Policy
from kdgov.finding import Finding


def waives(waiver: Waiver, result: CriterionResult) -> bool:
    """Whether a waiver that counts sets this result aside."""
    return waiver.criterion == result.id and result.verdict in ("fail", "inconclusive") and waiver.place in ("", result.place)


def is_finding_waived(finding: Finding, rules: Sequence[str]) -> bool:
    """Whether one of the waived rules sets this finding aside: only one under review can be."""
    return finding.verdict == "review" and bool(finding.rule) and finding.rule in rules


def waiver_fault(waiver: Waiver, decision: Decision, policy: Policy, bound: str, as_of: str) -> str:
    """Why a waiver does not count; empty where it does."""
    if not policy.waivers.allowed:
        return "refused: the policy allows no waivers"
    if waiver.decision != bound:
        return "refused: it is bound to another decision"
    if any(fnmatchcase(waiver.criterion, pattern) for pattern in policy.waivers.never):
        return "refused: the policy lets nobody waive this"
    days = [_day(text) for text in (waiver.issued, waiver.expires, as_of)]
    issued, expires, today = days
    if issued is None or expires is None or today is None:
        return "refused: one of its dates is not YYYY-MM-DD"
    if today > expires:
        return "refused: it has expired"
    if today < issued:
        return "refused: it is dated in the future"
    if (expires - issued).days > policy.waivers.max_days:
        return f"refused: it runs longer than the {policy.waivers.max_days} days the policy allows"
    if not (waiver.owner.strip() and waiver.reason.strip()):
        return "refused: it names no owner or no reason"
    return _subject_fault(waiver, decision)


def _subject_fault(waiver: Waiver, decision: Decision) -> str:
    results = [r for r in decision.criteria if r.id == waiver.criterion and waiver.place in ("", r.place)]
    findings = [f for f in decision.findings if f.rule == waiver.criterion]
    if not results and not findings:
        return "refused: the decision has no such criterion or finding"
    if any(r.verdict == "invalid" for r in results) or any(f.verdict == "invalid" for f in findings):
        return "refused: an invalid result cannot be waived"
    if any(f.verdict == "block" for f in findings):
        return "refused: a finding that blocks cannot be waived"
    if not any(r.verdict in ("fail", "inconclusive") for r in results) and not any(f.stops for f in findings):
        return "refused: there is nothing to waive"
    return ""


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
