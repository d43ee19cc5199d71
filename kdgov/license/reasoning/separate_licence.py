"""Separate licences: the one thing that lifts an explicit deny, and what it must state to do so."""

from __future__ import annotations

from kdgov.license.answer import Obligation
from kdgov.license.case.case import Evidence
from kdgov.license.catalogue.facts import License
from kdgov.license.reasoning.conditions import Situation
from kdgov.license.reasoning.obligations import is_licensor


def missing_separate_licence(owner: License, situation: Situation, clause: str) -> Obligation:
    """The obligation that a deny leaves open: a licence of one's own from whoever grants the denied one."""
    who = (
        owner.licensor[0]
        if owner.licensor
        else situation.upstream.licensor or f"the rights holder of {situation.upstream.name or owner.name}"
    )
    return Obligation(
        kind="SEPARATE_LICENCE",
        text=f"obtain a separate licence from {who}",
        trigger="internal",
        met=False,
        why=_why_not_separate(owner, situation),
        license=owner.id,
        upstream=situation.upstream.name,
        value=who,
        clause=clause,
    )


def separate_fault(evidence: Evidence, owner: License | None, name: str, situation: Situation) -> str | None:
    """None if a separate agreement covers an upstream, "" if it is about another, otherwise what it lacks."""
    named = situation.facts.find(evidence.license) if evidence.license else None
    names = {owner.id if owner else name}
    if evidence.license and (named.id if named else evidence.license) not in names:
        return ""
    licensors = [*(owner.licensor if owner else ()), situation.upstream.licensor]
    is_covered = is_licensor(evidence.licensor, licensors) or (
        # A licence that anyone may use names no licensor: the agreement must name the licence or the artifact's maker.
        not (owner and owner.licensor) and bool(evidence.licensor) and (bool(evidence.license) or _makes(evidence.licensor, situation))
    )
    if not is_covered:
        return ""
    if evidence.expires is None:
        return f"separate licence {evidence.separate_license} states no expiry"
    if situation.case.as_of is None:
        return f"separate licence {evidence.separate_license}: no day is given (as_of) to judge its expiry by"
    if evidence.expires < situation.case.as_of:
        return f"separate licence {evidence.separate_license} expired on {evidence.expires}"
    return None


def _makes(licensor: str, situation: Situation) -> bool:
    return licensor.casefold().replace(" ", "") in situation.upstream.name.casefold().replace(" ", "")


def _why_not_separate(owner: License, situation: Situation) -> str:
    faults = [
        fault
        for evidence in situation.case.evidence
        if evidence.separate_license and (fault := separate_fault(evidence, owner, owner.id, situation))
    ]
    return "; ".join(faults) or "no evidence of a separate licence with id, licensor and expiry"
