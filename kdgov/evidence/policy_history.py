"""What a store remembers across decisions: which policy first saw some results, and how many students were judged on the same items.

Tables alone cannot tell either. Reading writes nothing; `PolicyHistory.write` is called when a decision is made.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.decision.multiple_comparisons import at_looks, level_share
from kdgov.decision.policy import Policy
from kdgov.digest import PREFIX, canonical_json, digest_json, write_atomic
from kdgov.errors import InputError
from kdgov.finding import Finding

SEALS, LOOKS, LEDGERS = "policy-seals", "looks", "alpha-ledgers"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlphaLedger:
    """Every student that was ever judged on one set of items, over releases and policies, with the error levels it was judged at.

    A plain file: whoever may edit it may reset it, so it belongs where changes are reviewed.
    """

    path: Path
    """The file; it may hold several sets of items."""
    items: str
    """Digest that names the set of items."""

    def look(self, student: str, policy: Policy) -> int:
        """Which student this is on these items, counted from 1; the same results under the same policy are the same look."""
        rows = self._document().get(self.items, [])
        own = [row["look"] for row in rows if (row["student"], row["policy"]) == (student, policy.digest)]
        return int(own[0]) if own else len(rows) + 1

    def write(self, student: str, policy: Policy, *, release: str = "") -> None:
        """Enter a student with the levels that its decision uses; nothing where it stands there already."""
        document = self._document()
        look, rows = self.look(student, policy), document.setdefault(self.items, [])
        if look <= len(rows):
            return
        levels = {criterion.id: float(f"{criterion.alpha:.10g}") for criterion in at_looks(policy, look).criteria}
        share = level_share(policy, look)
        rows.append({"look": look, "student": student, "policy": policy.digest, "release": release, "share": share, "levels": levels})
        write_atomic(self.path, canonical_json({"schema": LEDGER_SCHEMA, "items": document}))

    def _document(self) -> dict[str, list[dict[str, Any]]]:
        try:
            document = json.loads(self.path.read_bytes())
            rows = {name: list(entries) for name, entries in document["items"].items()}
            if not all(isinstance(row["look"], int) and row["student"] and row["policy"] for row in rows.get(self.items, [])):
                raise ValueError("a row names no student")
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"is not a ledger of error levels: {error}",
                where=str(self.path),
                mend="Restore it from its history; a new one forgets students.",
            ) from error
        return rows


LEDGER_SCHEMA = "kdgov.alpha-ledger/1"


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
        if self.policy.spend is not None:
            return self.plan.removeprefix(PREFIX)[:24]
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
        if self.policy.spend is not None:
            return self._ledger.look(self.student, self.policy)
        seen = self._seen()
        return seen.index(self.student) + 1 if self.student in seen else len(seen) + 1

    def write(self) -> None:
        """Remember that these results are judged by this policy now."""
        if self.policy.spend is not None:
            self._ledger.write(self.student, self.policy, release=self.release)
        known = self._seen()
        if self.student not in known:
            document = {"release": self.release, "plan": self.plan, "policy": self.policy.digest, "students": [*known, self.student]}
            write_atomic(self._count, canonical_json(document))
        if not self._seal.exists():
            said = {"policy": self.policy.digest, "name": self.policy.name, "version": self.policy.version}
            write_atomic(self._seal, canonical_json(said))

    @property
    def _ledger(self) -> AlphaLedger:
        return AlphaLedger(path=self.store / LEDGERS / f"{self.plan.removeprefix(PREFIX)[:24]}.json", items=self.plan)

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
