"""A ruling: what a licence expression says of one use in one situation, and how it is made stricter."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kdgov.license.answer import Obligation
from kdgov.license.vocabulary import VERDICTS, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a licence expression says of one use in one situation."""

    verdict: Verdict
    """May it be done."""
    clause: str
    """Section that decides."""
    reason: str
    """What it says."""
    source: str
    """Where that was read."""
    confidence: str
    """How well it is known."""
    basis: str
    """Explicit, inferred or the policy's choice."""
    mend: str = ""
    """What would lift a verdict that stops."""
    obligations: tuple[Obligation, ...] = ()
    """Obligations that apply."""
    resolved: tuple[str, ...] = ()
    """Licences it rests on."""
    chosen: str = ""
    """Alternative taken of an OR."""


def at_least_review(ruling: Ruling, *, clause: str, reason: str, source: str, mend: str) -> Ruling:
    """The ruling held for review for a further reason; what is stricter already keeps its verdict and clause."""
    if VERDICTS.index(ruling.verdict) >= VERDICTS.index("needs_review"):
        if ruling.verdict == "deny":
            return replace(ruling, reason=f"{ruling.reason} Besides: {reason}")
        return replace(
            ruling, clause=f"{clause}; {ruling.clause}", reason=f"{reason} Besides: {ruling.reason}", mend=f"{mend} {ruling.mend}".strip()
        )
    return replace(
        ruling,
        verdict="needs_review",
        clause=clause,
        reason=reason,
        source=source,
        mend=mend,
        basis="inferred",
        # Whether these duties are the right ones is the question: they hold the release, they do not contradict it.
        obligations=tuple(replace(o, is_contradicted=False) for o in ruling.obligations),
    )
