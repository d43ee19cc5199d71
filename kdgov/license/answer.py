"""What the licence reasoner says: verdict and gate of a case, and the why of every edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kdgov.license.vocabulary import Basis, Confidence, Gate, ObligationKind, Trigger, Use, Verdict

SCHEMA = "kdgov.license-answer/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligation:
    """One thing to be done, and whether it is."""

    kind: ObligationKind
    """What sort of duty."""
    text: str
    """What is to be done."""
    trigger: Trigger
    """Release intent from which it applies; the release has reached it."""
    met: bool | None
    """Shown met, shown or left unmet, or None where a fact the case does not hold decides whether it applies."""
    why: str
    """What met it, or what is missing."""
    license: str
    """Licence that asks for it."""
    upstream: str
    """Name of the upstream it comes from."""
    value: str = ""
    """Its argument: a name's prefix, the words to show, who registers."""
    clause: str = ""
    """Section that asks for it."""
    is_contradicted: bool = False
    """Whether the facts of the case themselves show it unmet, whatever evidence says."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary for the answer document."""
        return {
            "kind": self.kind,
            "text": self.text,
            "trigger": self.trigger,
            "met": self.met,
            "why": self.why,
            "value": self.value,
            "license": self.license,
            "upstream": self.upstream,
            "clause": self.clause,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """The answer for one upstream, with everything behind it."""

    use: Use
    """Use as declared."""
    effective_use: Use
    """Use that it comes to for the student, further up the lineage."""
    name: str
    """Name of the upstream."""
    license: str
    """Licence expression as declared."""
    resolved: tuple[str, ...]
    """Licences that the verdict was taken from, after aliases and choices."""
    path: str
    """From the student to this upstream: ``student ← data ← Llama-3-70B``."""
    verdict: Verdict
    """Verdict of this upstream and of everything behind it."""
    clause: str
    """Section that decides."""
    reason: str
    """What it says, in our words."""
    source: str
    """Where that was read."""
    confidence: Confidence | str
    """How well it is known."""
    basis: Basis | str
    """Explicit, inferred or the policy's choice."""
    decided_at: str
    """Path of the edge that decides, which may lie behind this one."""
    mend: str
    """What would lift a verdict that stops; empty where nothing needs lifting."""
    obligations: tuple[Obligation, ...]
    """Obligations of this upstream and of everything behind it."""
    chosen: str = ""
    """Alternative that was taken of an OR expression; empty where there was none."""
    notes: tuple[str, ...] = ()
    """Remarks that change nothing: a dropped edge, a text that agrees with its tag."""
    made_by: tuple[Edge, ...] = ()
    """Answers for its own upstreams."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary for the answer document."""
        return {
            "use": self.use,
            "effective_use": self.effective_use,
            "name": self.name,
            "license": self.license,
            "resolved": list(self.resolved),
            "path": self.path,
            "verdict": self.verdict,
            "clause": self.clause,
            "reason": self.reason,
            "source": self.source,
            "confidence": self.confidence,
            "basis": self.basis,
            "decided_at": self.decided_at,
            "mend": self.mend,
            "chosen": self.chosen,
            "obligations": [obligation.as_json() for obligation in self.obligations],
            "notes": list(self.notes),
            "made_by": [edge.as_json() for edge in self.made_by],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseAnswer:
    """Verdict and gate of a case."""

    verdict: Verdict
    """May this be done: the strictest of all edges."""
    gate: Gate
    """May it go out now: the verdict, and whether its obligations are met."""
    reason: str
    """One sentence on what decides."""
    uses: tuple[Edge, ...]
    """One answer per declared upstream, in the order of the case."""
    obligations: tuple[Obligation, ...]
    """Every obligation once."""
    paths: tuple[str, ...]
    """The paths that stop the release, each with its clause."""
    choices: dict[str, str]
    """Stances on contested readings that were in force."""
    unused_evidence: tuple[str, ...]
    """Evidence that met nothing, each with the reason."""
    facts_digest: str
    """Digest of the fact files it rests on."""

    def as_json(self) -> dict[str, Any]:
        """The answer document of ``kdgov license check --format json``."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "gate": self.gate,
            "reason": self.reason,
            "paths": list(self.paths),
            "uses": [edge.as_json() for edge in self.uses],
            "obligations": [obligation.as_json() for obligation in self.obligations],
            "choices": dict(self.choices),
            "unused_evidence": list(self.unused_evidence),
            "facts_digest": self.facts_digest,
        }
