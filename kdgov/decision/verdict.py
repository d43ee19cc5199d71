"""From results to a verdict: findings, waivers and approvals, each bound to the very decision it speaks of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from kdgov.decision.decision import Approval, Decision, Verdict, Waiver, worst
from kdgov.decision.policy import Policy
from kdgov.decision.waivers import is_finding_waived, waiver_fault, waives
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.quantities import quantity

NOT_WAIVABLE_CHECKS = frozenset({"licence"})
LIMITED = "evidence.limited"
"""Rule of a task of which only some items were asked: whatever they show, nothing passes on a part that somebody chose."""
_APPLIED = "applied"


def settle(
    base: Decision, policy: Policy, *, waivers: Sequence[Waiver] = (), approvals: Sequence[Approval] = (), as_of: str = ""
) -> Decision:
    """The decision with its verdict, after waivers and approvals that are bound to it.

    The decision before any of them is the *base*; its digest is what waivers and approvals must name. A decision that was
    changed by waivers or approvals carries that digest, so that the chain can be followed back.
    """
    plain = _with_verdict(base, policy, given=frozenset())
    if not waivers and not approvals:
        return plain
    if waivers and not as_of:
        raise InputError("waivers need the day they are counted on", mend="Pass as_of as YYYY-MM-DD.")
    bound = plain.digest
    judged = [(waiver, waiver_fault(waiver, plain, policy, bound, as_of)) for waiver in waivers]
    effective = [waiver for waiver, fault in judged if not fault]
    given = [approval for approval in approvals if approval.decision == bound]
    criteria = tuple(replace(r, waived=True) if any(waives(w, r) for w in effective) else r for r in plain.criteria)
    listed = tuple({**asdict(waiver), "state": fault or _APPLIED} for waiver, fault in judged)
    changed = plain.with_(criteria=criteria, waivers=listed, base=bound)
    settled = _with_verdict(changed, policy, given=frozenset(a.role for a in given), waived_rules=tuple(w.criterion for w in effective))
    return settled.with_(approvals=_approval_rows(policy, approvals, bound))


def _with_verdict(decision: Decision, policy: Policy, *, given: frozenset[str], waived_rules: tuple[str, ...] = ()) -> Decision:
    stopping = [f for f in decision.findings if f.stops and not is_finding_waived(f, waived_rules)]
    deciding = [r for r in decision.criteria if not r.advisory]
    verdicts: list[Verdict] = [r.verdict for r in deciding if not r.waived]
    verdicts += ["invalid" if f.verdict == "invalid" else "fail" for f in stopping]
    if not deciding:
        verdicts.append("invalid")
    verdict = worst(verdicts)
    awaited = [role for role in policy.approvals if role not in given]
    if verdict == "pass" and (awaited or limited_by(decision) is not None):
        verdict = "inconclusive"
    rows = tuple({"role": role, "state": "given" if role in given else "awaited"} for role in policy.approvals)
    return decision.with_(verdict=verdict, reason=_reason(decision, stopping, verdict, awaited), approvals=rows)


def _reason(decision: Decision, stopping: Sequence[Finding], verdict: Verdict, awaited: Sequence[str]) -> str:
    if all(r.advisory for r in decision.criteria):
        return "The policy judges nothing that decides." if decision.criteria else "The policy judges nothing."
    held = [r for r in decision.criteria if r.stops]
    if verdict == "pass":
        deciding = [r for r in decision.criteria if not r.advisory]
        waived, count = sum(r.waived for r in deciding), len(deciding)
        text = f"All {count} results hold" if count > 1 else "The one result holds"
        if waived:
            text = f"{quantity(count - waived, 'result holds', 'results hold')}, {waived} set aside by waiver"
        advised = sum(r.advisory and r.verdict != "pass" for r in decision.criteria)
        text += f"; {quantity(advised, 'advisory result does', 'advisory results do')} not hold" if advised else ""
        return f"{text}; no finding stops the release."
    if verdict == "inconclusive" and not held and not stopping:
        text = f"; the approval of {' and '.join(awaited)} is awaited" if awaited else ""
        if (part := limited_by(decision)) is not None:
            look = f"{part.subject}: {_share(part)}"
            return f"A look at some of the items, on which nothing is promoted; on these the numbers hold ({look}){text}."
        return f"The numbers hold{text}."
    text = _held_in_words([r.verdict for r in held], len(decision.criteria))
    if stopping:
        text += f"; {quantity(len(stopping), 'finding')} {'stops' if len(stopping) == 1 else 'stop'} the release"
    return text + "."


def limited_by(decision: Decision) -> Finding | None:
    """The finding that only some items were asked; None where all were."""
    return next((finding for finding in decision.findings if finding.rule == LIMITED), None)


def _share(part: Finding) -> str:
    asked, whole = part.details.get("items"), part.details.get("of_suite")
    return f"{asked:,} of {quantity(whole, 'item')}" if isinstance(asked, int) and isinstance(whole, int) else "not all items"


def _held_in_words(verdicts: Sequence[Verdict], total: int) -> str:
    """``2 of 14 results failed, 1 is inconclusive``."""
    parts: list[str] = []
    for kind, word in (("invalid", "invalid"), ("fail", ""), ("inconclusive", "inconclusive")):
        if count := verdicts.count(kind):
            of = "" if parts else f" of {quantity(total, 'results', 'results')}"
            parts.append(f"{count}{of} {'failed' if not word else ('is ' if count == 1 else 'are ') + word}")
    return ", ".join(parts) or "Every criterion holds"


def _approval_rows(policy: Policy, approvals: Sequence[Approval], bound: str) -> tuple[Mapping[str, Any], ...]:
    rows: list[dict[str, Any]] = []
    for role in policy.approvals:
        own = [a for a in approvals if a.role == role]
        good = [a for a in own if a.decision == bound]
        if good:
            rows.append({**asdict(good[0]), "state": "given"})
        else:
            rows.append({"role": role, "state": "refused: bound to another decision" if own else "awaited"})
    rows += [{**asdict(a), "state": "noted: the policy does not ask for it"} for a in approvals if a.role not in policy.approvals]
    return tuple(rows)
