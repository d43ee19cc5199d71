"""Facts about people: who approved, who waived, who answers for the release, and who was told."""

from __future__ import annotations

from kdgov.auditing.crosswalk.fact_source import Answer, Evidence, either
from kdgov.evidence.bundle_layout import DECISION, RELEASE


def approvals(e: Evidence) -> Answer:
    """Whether every approval the policy demands was given."""
    rows = e.material.decision.get("approvals") or []
    given = [r for r in rows if r.get("state") == "given"]
    if not rows:
        return "partly", "The policy demands no approval.", DECISION
    told = f"{len(given)} of {len(rows)} demanded approvals were given."
    return ("shown" if len(given) == len(rows) else "partly"), told, DECISION


def waivers(e: Evidence) -> Answer:
    """Whether every waiver has owner, reason and end."""
    rows = e.material.decision.get("waivers") or []
    loose = [w for w in rows if not all(w.get(k) for k in ("owner", "reason", "expires"))]
    told = f"{len(rows)} waivers, each with owner, reason and end." if rows else "There is none."
    return either(bool(e.material.decision) and not loose, told, "A waiver lacks owner, reason or end.", DECISION)


def roles(e: Evidence) -> Answer:
    """Which accountable roles are named."""
    held = [r.role for r in e.roles if r.holder]
    return either(bool(held), f"Named: {', '.join(held)}.", "Nobody is named.", RELEASE)


def informed(e: Evidence) -> Answer:
    """Whether every named role was informed, with a date."""
    held, dated = [r for r in e.roles if r.holder], [r for r in e.roles if r.informed_on]
    if dated and len(dated) < len(held):
        return "partly", f"{len(dated)} of {len(held)} roles were informed with a date.", RELEASE
    return either(bool(dated), f"{len(dated)} roles were informed with a date.", "No date is kept.", RELEASE)
