"""The decision: what was judged, by what, with which result. Frozen values and their one JSON form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal

from kdgov.digest import canonical_json, digest_bytes
from kdgov.finding import Finding

SCHEMA = "kdgov.decision/1"
Verdict = Literal["pass", "fail", "inconclusive", "invalid"]
Reference = Literal["teacher", "root_teacher", "absolute"]

_SIGNIFICANT_DIGITS = 10
_RANK: dict[str, int] = {"pass": 0, "inconclusive": 1, "fail": 2, "invalid": 3}


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict that stands for several: invalid over fail over inconclusive over pass."""
    return max(verdicts, key=_RANK.__getitem__, default="pass")


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionResult:
    """One criterion on one metric of one task, overall or within one group."""

    id: str
    """The criterion."""
    kind: str
    """Its kind."""
    verdict: Verdict
    """pass, fail, inconclusive or invalid."""
    reason: str
    """Why, in one plain sentence with the numbers."""
    suite: str = ""
    """Suite; empty where no rows matched."""
    task: str = ""
    """Task, or the tasks of a pooled criterion."""
    metric: str = ""
    """Metric."""
    group: str = ""
    """``gender=female``; empty for all items."""
    reference: Reference = "teacher"
    """What the student was compared with."""
    n: int = 0
    """Items."""
    clusters: int = 0
    """Clusters; equal to ``n`` where each item is its own."""
    teacher: float | None = None
    """Teacher's mean in the metric's own units; null where there is none."""
    student: float | None = None
    """Student's mean."""
    difference: float | None = None
    """Student minus teacher in the better direction: negative is a loss."""
    bound: float | None = None
    """Lower one-sided bound of the difference."""
    upper: float | None = None
    """Upper one-sided bound."""
    margin: float | None = None
    """How much worse was allowed."""
    confidence: float | None = None
    """One-sided confidence."""
    method: str = ""
    """How the bound was computed."""
    unit: str = ""
    """Unit of teacher, student, difference, bound and margin: ``share``, ``nats``, ``bits``, ``ratio`` … or ``raw``."""
    advisory: bool = False
    """Whether the criterion is judged and shown only: it never decides."""
    n_needed: int | None = None
    """Items that would settle an open question; null where it is settled or no practical number would."""
    p_worse: float | None = None
    """Smallest level at which the loss is proven to exceed the margin; null where it is not proven at the criterion's own."""
    proven: bool = False
    """Whether the regression is proven over all criteria together (Holm)."""
    assay: str = ""
    """What is known about the suite's power to tell skill from none."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further numbers for reports: cross-checks, counts of flips, gaps."""
    waived: bool = False
    """Whether a valid waiver sets this result aside."""
    shown: str = ""
    """Measured numbers for people. No part of the decision: they differ on every run, and its digest does not."""

    @property
    def told(self) -> str:
        """The reason, with the measured numbers where there are any."""
        return f"{self.reason} [{self.shown}]" if self.shown else self.reason

    @property
    def place(self) -> str:
        """``capability/facts/acc [gender=female]``."""
        parts = "/".join(part for part in (self.suite, self.task, self.metric) if part)
        group = f" [{self.group}]" if self.group else ""
        root = " against the root teacher" if self.reference == "root_teacher" else ""
        return f"{parts}{group}{root}"

    @property
    def stops(self) -> bool:
        """Whether this result alone keeps the student back."""
        return self.verdict != "pass" and not self.waived and not self.advisory

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary; numbers to ten significant digits, so that processors agree on every byte."""
        document: dict[str, Any] = rounded({key: value for key, value in asdict(self).items() if key != "shown"})
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A verified statement that sets one result of one decision aside for a while."""

    decision: str
    """Digest of the decision it is about."""
    criterion: str
    """Criterion id, or rule of a finding."""
    owner: str
    """Accountable owner."""
    reason: str
    """Why."""
    expires: str
    """Last day it holds, YYYY-MM-DD."""
    issued: str
    """Day it was signed, YYYY-MM-DD."""
    place: str = ""
    """The result's place where the criterion has several; empty: all of the criterion's results."""
    signer: str = ""
    """Fingerprint of the key that signed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A verified statement that a role approves one decision."""

    decision: str
    """Digest of the decision it is about."""
    role: str
    """Role, as the policy names it."""
    by: str
    """Who approved."""
    issued: str = ""
    """Day it was signed, YYYY-MM-DD."""
    note: str = ""
    """What the approver wrote."""
    signer: str = ""
    """Fingerprint of the key that signed it."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The answer: may this student be promoted, and on what does that rest."""

    verdict: Verdict
    """Only ``pass`` promotes."""
    reason: str
    """One sentence."""
    policy: Mapping[str, str]
    """name, version, digest."""
    criteria: tuple[CriterionResult, ...]
    """Every result, in the policy's order."""
    findings: tuple[Finding, ...] = ()
    """What the checks said, at the policy's level."""
    waivers: tuple[Mapping[str, Any], ...] = ()
    """Waivers handed in, each with ``state``: applied, or why not."""
    approvals: tuple[Mapping[str, Any], ...] = ()
    """Roles the policy demands, each with ``state``: given or awaited."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """What was judged: item tables, weights, plan, data."""
    subject: Mapping[str, Any] = field(default_factory=dict)
    """Names of release, teacher and student."""
    base: str = ""
    """Digest of this decision before waivers and approvals; empty where it had none."""

    def as_json(self) -> dict[str, Any]:
        """The decision document, schema ``kdgov.decision/1``."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "reason": self.reason,
            "policy": dict(self.policy),
            "criteria": [result.as_json() for result in self.criteria],
            "findings": [rounded(finding.as_json()) for finding in self.findings],
            "waivers": [dict(item) for item in self.waivers],
            "approvals": [dict(item) for item in self.approvals],
            "digests": dict(self.digests),
            "subject": rounded(dict(self.subject)),
            "base": self.base,
        }

    @cached_property
    def canonical(self) -> bytes:
        """The bytes of ``decision.json``."""
        return canonical_json(self.as_json())

    @property
    def digest(self) -> str:
        """``sha256:…`` of `canonical`: what waivers, approvals, signatures and the registry name it by."""
        return digest_bytes(self.canonical)

    @property
    def promotes(self) -> bool:
        """Whether the student may be promoted."""
        return self.verdict == "pass"

    def with_(self, **changes: Any) -> Decision:
        """The decision with some fields replaced."""
        return replace(self, **changes)


def decision_from_json(document: Mapping[str, Any]) -> Decision:
    """A decision read back from its document; unknown fields of later versions are left out.

    Raises:
        KeyError, TypeError: if it is no decision document; callers name the file.
    """
    if document["schema"] != SCHEMA:
        raise KeyError("schema")
    known = {f.name for f in fields(CriterionResult)}
    spoken = {f.name for f in fields(Finding)}
    return Decision(
        verdict=document["verdict"],
        reason=document.get("reason", ""),
        policy=document["policy"],
        criteria=tuple(
            CriterionResult(**{**_unit_of_old(item), **{k: v for k, v in item.items() if k in known}}) for item in document["criteria"]
        ),
        findings=tuple(Finding(**{k: v for k, v in item.items() if k in spoken}) for item in document["findings"]),
        waivers=tuple(document["waivers"]),
        approvals=tuple(document["approvals"]),
        digests=document["digests"],
        subject=document.get("subject", {}),
        base=document.get("base", ""),
    )


def _unit_of_old(item: Mapping[str, Any]) -> dict[str, str]:
    """Decisions before 0.2.0 state no unit; the methods for 0/1 scores tell shares."""
    return {"unit": "share"} if str(item.get("method", "")).startswith(("tango", "newcombe", "clopper")) else {}


def rounded(value: Any) -> Any:
    """A JSON value with every float at ten significant digits; NaN and infinities become null."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") + 0.0
    if isinstance(value, Mapping):
        return {str(k): rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v) for v in value]
    return value
