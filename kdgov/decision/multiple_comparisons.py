"""Repeated looks: a student chosen as the best of many on the same items owes part of its score to chance.

Judging k students that all lost exactly the margin promotes one of them up to k times as often as the stated level. The
level divided by k holds for all of them together (Bonferroni), whatever the students have in common.
"""

from __future__ import annotations

from dataclasses import replace

from kdgov.decision.policy import Policy
from kdgov.finding import Finding

_LEAST_LEVEL = 1e-12
"""No bound is computed at a smaller error level."""


def at_looks(policy: Policy, looks: int) -> Policy:
    """The policy with every error level divided by the number of looks, where it asks for that.

    Args:
        policy: the policy.
        looks: students judged on these items under this policy so far, this one included; at least 1.
    """
    share = level_share(policy, looks)
    if share == 1.0:
        return policy
    return replace(policy, criteria=tuple(replace(c, confidence=1.0 - max(c.alpha * share, _LEAST_LEVEL)) for c in policy.criteria))


def level_share(policy: Policy, looks: int) -> float:
    """Share of every error level that student number ``looks`` on its items is judged at.

    A spending rule's shares sum to 1 over all students, so that the chance that any student that lost the margin ever passes stays
    at the stated level, however many follow.
    """
    match policy.spend:
        case "reciprocal":
            return 1.0 / (looks * (looks + 1))
        case "halving":
            return 0.5 ** min(looks, 60)
        case _:
            return 1.0 / looks if policy.looks == "corrected" else 1.0


def looks_finding(policy: Policy, looks: int) -> Finding | None:
    """What is said of a student that is not the first one judged on its items; None for the first."""
    if policy.spend is not None:
        return _spent(policy, looks)
    if looks <= 1:
        return None
    corrected = policy.looks == "corrected"
    said = (
        f"every error level was divided by {looks}"
        if corrected
        else f"the chance that one of them passes although it lost the margin is up to {looks} times the stated level"
    )
    return Finding(
        check="evidence",
        verdict="warn",
        subject="looks",
        reason=f"This is student {looks} judged on the same items under this policy: {said}.",
        mend="" if corrected else "`looks: corrected` in the policy divides the error levels; fresh items start a fresh count.",
        rule="evidence.looks",
        source="Bonferroni's inequality; docs/gate.md, looks",
        details={"looks": looks},
    )


def _spent(policy: Policy, looks: int) -> Finding:
    share = level_share(policy, looks)
    return Finding(
        check="evidence",
        verdict="warn",
        subject="looks",
        reason=f"This is student {looks} judged on the same items: the {policy.spend} rule leaves it {share:.3g} of every error level.",
        mend="Fresh items start a fresh ledger.",
        rule="evidence.looks",
        source="docs/gate.md, looks",
        details={"looks": looks, "share": share},
    )
