"""What a store remembers across decisions: which policy first saw some results, and how many students were judged on the same items.

Tables alone cannot tell either. Reading writes nothing; `PolicyHistory.write` is called when a decision is made.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from kdgov.decision.policy import Policy
from kdgov.digest import PREFIX, canonical_json, digest_json, write_atomic
from kdgov.finding import Finding

SEALS, LOOKS = "policy-seals", "looks"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyHistory:
    """The past of one set of results under one policy."""

    store: Path
    """Folder of finished work."""
    release: str
    """The release's name."""
    evaluation: str
    """Key of the results."""
    plan: str
    """Root of the frozen plan, which names every item."""
    student: str
    """Digest of the student's results."""
    policy: Policy
    """The policy that judges."""

    @property
    def name(self) -> str:
        """Names the plan under this policy: what students are counted by."""
        place = digest_json({"release": self.release, "plan": self.plan, "policy": self.policy.digest})
        return place.removeprefix(PREFIX)[:24]

    def earlier_policy(self) -> str:
        """A sentence on the other policy that these results were first judged by; empty where there is none."""
        try:
            first = json.loads(self._seal.read_bytes())
        except FileNotFoundError:
            return ""
        if first["policy"] == self.policy.digest:
            return ""
        return f"These results were first judged by policy {first['name']} {first['version']} ({first['policy'][:19]}…), not by this one."

    def looks(self) -> int:
        """Which student this is on these items under this policy, counted from 1; results judged again are the same look."""
        seen = self._seen()
        return seen.index(self.student) + 1 if self.student in seen else len(seen) + 1

    def write(self) -> None:
        """Remember that these results are judged by this policy now."""
        known = self._seen()
        if self.student not in known:
            document = {"release": self.release, "plan": self.plan, "policy": self.policy.digest, "students": [*known, self.student]}
            write_atomic(self._count, canonical_json(document))
        if not self._seal.exists():
            said = {"policy": self.policy.digest, "name": self.policy.name, "version": self.policy.version}
            write_atomic(self._seal, canonical_json(said))

    @property
    def _seal(self) -> Path:
        return self.store / SEALS / f"{self.evaluation.removeprefix(PREFIX)[:24]}.json"

    @property
    def _count(self) -> Path:
        return self.store / LOOKS / f"{self.name}.json"

    def _seen(self) -> list[str]:
        try:
            return list(json.loads(self._count.read_bytes())["students"])
        except FileNotFoundError:
            return []


def late_policy(reason: str) -> Finding:
    """The finding that names a policy younger than the results it judges."""
    return Finding(
        check="evidence",
        verdict="warn",
        subject="policy",
        reason=reason,
        mend="Set margins before looking at results; `findings: {evidence.policy-newer: block}` makes this stop.",
        rule="evidence.policy-newer",
        source="FDA 2016, Non-Inferiority Clinical Trials: the margin is fixed before the trial",
    )
