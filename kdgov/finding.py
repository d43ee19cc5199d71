"""The words for what a check found: facts about licences, provenance, privacy, contamination and evidence."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

CheckName = Literal["licence", "provenance", "privacy", "contamination", "coverage", "practice", "evidence"]
FindingVerdict = Literal["pass", "warn", "review", "block", "invalid"]
"""``review`` and ``block`` both stop a promotion; ``review`` may be waived, a licence ``block`` may not."""

STOPPING: frozenset[FindingVerdict] = frozenset({"review", "block", "invalid"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One statement of one check about one subject."""

    check: CheckName
    """Which family of checks speaks."""
    verdict: FindingVerdict
    """What it means for the release."""
    subject: str
    """What it is about, as the user names it: a licence edge, a card, a file, a key."""
    reason: str
    """Why, in one or two plain sentences."""
    mend: str = ""
    """What would lift it; empty where nothing needs lifting."""
    source: str = ""
    """Clause, rule or page the statement rests on."""
    rule: str = ""
    """Stable identifier such as ``licence.deny`` or ``practice.temperature-uncalibrated``: what a policy key names."""
    details: dict[str, Any] = field(default_factory=dict)
    """Further JSON values: digests, counts, obligations."""

    @property
    def stops(self) -> bool:
        """Whether this finding alone keeps a release from being promoted."""
        return self.verdict in STOPPING

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary with every field, ready for the decision document."""
        return asdict(self)
