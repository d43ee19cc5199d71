"""The verdict header: what every surface says first. May it be used, why (not), what is open, who decides.

Terminal, pull-request comment, notebook, card, version page and audit page all show these same sentences; only their markup differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from kdgov.decision.decision import CriterionResult, Decision, Verdict
from kdgov.decision.verdict import limited_by
from kdgov.finding import Finding
from kdgov.quantities import quantity
from kdgov.report.severity_order import MEANS, TITLES, worst_first

SHAPES: Mapping[Verdict, str] = {"pass": "✔", "fail": "✖", "inconclusive": "◐", "invalid": "▲"}
"""A shape beside each word, so that neither colour nor language is needed to tell verdicts apart."""
COLOURS: Mapping[Verdict, str] = {"pass": "#1a7f37", "fail": "#b3261e", "inconclusive": "#8a5a00", "invalid": "#7b1fa2"}
"""Colours with a contrast of at least 4.5 : 1 on white."""
_NEVER_FOLDED = "evidence.not-checked"
_NAMED = 3
"""Rules of warnings that the header names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictHeader:
    """The four answers of a decision, as plain sentences."""

    verdict: Verdict
    """pass, fail, inconclusive or invalid."""
    answer: str
    """``FAIL: the student is blocked``: whether it may be used."""
    reason: str
    """Why, in one sentence."""
    fix: str
    """What would lift the first thing that stops it; empty for a pass."""
    open_points: tuple[str, ...]
    """Warnings by number, waivers and approvals with their dates."""
    decides: tuple[str, ...]
    """Who decides or answers for it, and in which state."""

    @property
    def shape(self) -> str:
        """The verdict's shape."""
        return SHAPES[self.verdict]

    @property
    def colour(self) -> str:
        """The verdict's colour, ``#rrggbb``."""
        return COLOURS[self.verdict]

    def lines(self) -> list[tuple[str, str]]:
        """(label, sentence) of every part that says something, in reading order."""
        parts = [("why", self.reason), ("next", self.fix), ("open", "; ".join(self.open_points)), ("decides", "; ".join(self.decides))]
        return [(label, text) for label, text in parts if text]


def verdict_header(decision: Decision, *, accountable: Mapping[str, str] | None = None) -> VerdictHeader:
    """The header of a decision.

    Args:
        decision: the decision.
        accountable: role → name of whoever answers for the release, where a release declares it.

    Example:
        >>> from kdgov.decision.decision import Decision
        >>> header = verdict_header(Decision(verdict="invalid", reason="The policy judges nothing.", policy={}, criteria=()))
        >>> header.shape, header.answer
        ('▲', 'INVALID: the evidence cannot be judged: the student is blocked')
    """
    waived = " with waivers" if decision.verdict == "pass" and any(r.waived for r in decision.criteria) else ""
    return VerdictHeader(
        verdict=decision.verdict,
        answer=f"{TITLES[decision.verdict]}: {MEANS[decision.verdict]}{waived}",
        reason=_reason(decision),
        fix=_fix(decision),
        open_points=tuple(_open(decision)),
        decides=tuple(_decides(decision, accountable or {})),
    )


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 warning``, ``2 warnings``: number and noun agree."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def warnings_by_rule(findings: tuple[Finding, ...]) -> list[tuple[str, int, Finding]]:
    """Warnings that repeat a rule, folded: (rule, how often, the first of them), in the decision's order.

    What was not checked is never folded: each is another gap that a pass leaves.
    """
    warned = [f for f in findings if f.verdict == "warn"]
    counts = Counter(_folded(f) for f in warned)
    firsts: dict[tuple[str, str], Finding] = {}
    for finding in warned:
        firsts.setdefault(_folded(finding), finding)
    return [(kind[0], counts[kind], first) for kind, first in firsts.items()]


def _folded(finding: Finding) -> tuple[str, str]:
    rule = finding.rule or finding.check
    return rule, finding.subject if rule == _NEVER_FOLDED else ""


def _stopping(decision: Decision) -> tuple[list[CriterionResult], list[Finding]]:
    return [r for r in worst_first(decision) if r.stops], [f for f in decision.findings if f.stops]


def _reason(decision: Decision) -> str:
    results, findings = _stopping(decision)
    if decision.verdict == "pass" or not (results or findings):
        return decision.reason
    if results:
        first = f"{results[0].id}: {results[0].told}"
        others = len(results) - 1 + len(findings)
    else:
        first = f"{findings[0].rule or findings[0].check} ({findings[0].subject}): {findings[0].reason}"
        others = len(findings) - 1
    more = f" (and {others} more)" if others else ""
    return f"{' '.join(first.split()).rstrip('.')}{more}."


def _fix(decision: Decision) -> str:
    results, findings = _stopping(decision)
    if decision.verdict == "pass":
        return ""
    # What a person can lift without a new model comes first where nothing but findings or approvals stands in the way.
    if not results and findings:
        return findings[0].mend
    if not results:
        if decision.verdict == "inconclusive" and (part := limited_by(decision)) is not None:
            return part.mend
        roles = [str(a["role"]) for a in decision.approvals if a.get("state") != "given"]
        return f"Ask for the approval of {' and '.join(roles)} (`kdgov approve`)." if roles else ""
    worst = results[0]
    if worst.verdict == "inconclusive" and worst.n_needed:
        return f"Evaluate about {quantity(worst.n_needed, 'item')} of {worst.suite}/{worst.task}; that many would decide it."
    if worst.verdict == "inconclusive":
        return "Evaluate more or harder items, or train again: these items cannot decide it."
    if worst.verdict == "invalid":
        return "Evaluate again so that this criterion has its items."
    return "Train again, then evaluate, judge and record the new student."


def _open(decision: Decision) -> list[str]:
    found = []
    if warned := sum(f.verdict == "warn" for f in decision.findings):
        rules = list(dict.fromkeys(rule for rule, _, _ in warnings_by_rule(decision.findings)))
        more = f" and {len(rules) - _NAMED} more" if len(rules) > _NAMED else ""
        found.append(f"{counted(warned, 'warning')} ({', '.join(rules[:_NAMED])}{more})")
    for waiver in decision.waivers:
        state = "" if waiver.get("state", "applied") == "applied" else f", not applied: {waiver['state']}"
        found.append(f"waiver of {waiver['criterion']} by {waiver['owner']} until {waiver['expires']}{state}")
    return found


def _decides(decision: Decision, accountable: Mapping[str, str]) -> list[str]:
    named = f"policy {decision.policy.get('name', '')} {decision.policy.get('version', '')}".strip()
    found = []
    for item in decision.approvals:
        by = f" by {item['by']}" if item.get("by") else ""
        on = f" on {str(item['issued'])[:10]}" if item.get("issued") else ""
        found.append(f"{item['role']}: approval {item['state']}{by}{on}")
    if not found and decision.policy:
        found.append("no approval required")
    holders: dict[str, list[str]] = {}
    for role, name in accountable.items():
        if name:
            holders.setdefault(name, []).append(role.replace("_", " "))
    # One person in four roles is named once: the line has to fit a phone's first screen.
    found += [f"{', '.join(roles)}: {name}" for name, roles in holders.items()]
    return [named, *found] if decision.policy else found
