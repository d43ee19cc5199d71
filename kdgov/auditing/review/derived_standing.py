"""Whether the signed statement follows from the evidence: the question that the guard asks at every promotion, asked by the reviewer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kdgov.auditing.review.audit_findings import AuditFinding, unverifiable, verified, violated
from kdgov.auditing.review.result import Condition
from kdgov.auditing.review.signatures import Attested
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.evidence.derivation.derive import OTHER_JUDGE, Asker, Derivation, derive
from kdgov.evidence.rejudge import DECIDE_AGAIN

_ELSEWHERE = "permission"
"""Waivers and approvals have findings of their own, which know the reviewer's trust from the registry's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivationReview:
    """What came of deriving a statement from its evidence."""

    findings: tuple[AuditFinding, ...] = ()
    """What does not follow, or that everything does."""
    conditions: tuple[Condition, ...] = ()
    """What a pass rests on beside its evidence, or lacks."""


def review_derivation(material: BundleReader, attested: Attested, asker: Asker, *, aliases: Sequence[str]) -> DerivationReview:
    """What of the statement does not follow; and every guarded alias that stands on something else than a derived pass.

    Args:
        material: the bundle, as sealed.
        attested: the statement; one that nobody signed is derived from nothing.
        asker: the reviewer's trust and moment, and what the registry's owner signed.
        aliases: guarded aliases of the version.
    """
    if not attested.is_signed:
        return DerivationReview()
    derived = derive(material.folder, attested.predicate, asker)
    conditions = tuple(Condition(text=f"{_sentence(told)}.") for told in derived.standing)
    return DerivationReview(findings=tuple(_findings(derived, attested, aliases)), conditions=conditions)


def _findings(derived: Derivation, attested: Attested, aliases: Sequence[str]) -> Iterator[AuditFinding]:
    refusals = [refusal for refusal in derived.refusals if refusal.criterion != _ELSEWHERE]
    # What other code decided is told once, by the review of the decision.
    for refusal in (refusal for refusal in refusals if refusal.criterion != OTHER_JUDGE):
        yield violated("decision", f"statement: {refusal.criterion}", f"{_sentence(refusal.reason)}.", mend=refusal.mend)
    for refusal in derived.ruled_out:
        told = f"{_sentence(refusal.reason)}."
        if aliases:
            yield violated("permission", f"owner's rules: {refusal.criterion}", told, mend=refusal.mend)
        else:
            yield unverifiable("permission", f"owner's rules: {refusal.criterion}", f"It may not be promoted: {told}", mend=refusal.mend)
    if not refusals and derived.verdict == attested.predicate.get("verdict"):
        yield verified("decision", "statement", f"Verdict, policy, name, model and plan follow from the evidence: {derived.verdict}.")
    for alias in aliases:
        if refusals or derived.ruled_out or derived.verdict not in ("pass", "invalid"):
            told, mend = (
                "It points at a version that is no pass when derived from its evidence.",
                "Take it away, or judge the version again.",
            )
            if {refusal.criterion for refusal in (*refusals, *derived.ruled_out)} == {OTHER_JUDGE}:
                told = "It points at a version that is no pass when derived from its evidence."
            mend = "Take it away, or judge the version again."
            if {refusal.criterion for refusal in (*refusals, *derived.ruled_out)} == {OTHER_JUDGE}:
                told, mend = "It points at a version that other code decided on, and that today's judges otherwise.", DECIDE_AGAIN
            yield violated("permission", f"alias {alias}", told, mend=mend)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")
