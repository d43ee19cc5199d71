"""Everything a decision is made from, as one value: policy, tables, findings, verified waivers and approvals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kdgov.decision.criteria.comparison_cells import Tables
from kdgov.decision.decision import Approval, Decision, Waiver
from kdgov.decision.judgement import judge
from kdgov.decision.policy import Policy
from kdgov.finding import Finding
from kdgov.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """Verified waivers and approvals, and the day they are counted on."""

    waivers: tuple[Waiver, ...] = ()
    """Waivers signed by a key trusted for waivers."""
    approvals: tuple[Approval, ...] = ()
    """Approvals signed by a key trusted for that role."""
    as_of: str = ""
    """The day, YYYY-MM-DD; empty where there is no waiver."""
    envelopes: Mapping[str, bytes] = field(default_factory=dict)
    """File name → bytes, for the evidence bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateInputs:
    """Everything a decision was made from."""

    policy: Policy
    """The policy."""
    policy_text: bytes
    """Its file as it was."""
    tables: Tables
    """Item tables and what the suites declare."""
    findings: tuple[Finding, ...] = ()
    """What the checks found, before the policy's levels."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Name → digest of what was judged."""
    subject: Mapping[str, Any] = field(default_factory=dict)
    """Names for people."""
    statements: Statements = field(default_factory=Statements)
    """Waivers and approvals, verified."""
    looks: int = 1
    """Students judged on these items under this policy so far, this one included."""
    seen_items: tuple[str, ...] = ()
    """``suite/task/item`` found in the training data, where the policy judges them apart."""

    def decide(self, progress: Progress | None = None) -> Decision:
        """The decision."""
        tables = self.tables
        return judge(
            tables.teacher,
            tables.student,
            self.policy,
            metrics=tables.metrics,
            findings=self.findings,
            control=tables.control,
            root_teacher=tables.root_teacher,
            measurements=tables.measurements,
            waivers=self.statements.waivers,
            approvals=self.statements.approvals,
            digests=self.digests,
            subject=self.subject,
            as_of=self.statements.as_of,
            looks=self.looks,
            seen_items=self.seen_items,
            progress=progress,
        )
