"""What each step of a release hands to the next: one frozen value per step, with the folder of its files.

A field is a *fact*, kept in the store and printed by ``--format json``, unless it says where something lies today: that is told anew
whenever a result is asked for, so that a store may be moved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

SCAN_REPORTS = "scan.json"
"""File of a check: one report per data file: rows, bytes, identifiers by kind and place, items found."""

_OF_EVERY_RESULT = frozenset({"key", "folder", "reused"})
_TOLD = {"stored": False}


def told(default: Any) -> Any:
    """A field that is told whenever a result is asked for and never kept: a place on this machine, a standing of today."""
    return field(default=default, metadata=_TOLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """A whole result of one step."""

    STEP: ClassVar[str] = ""
    """Which step."""

    key: str
    """Digest of everything that decided the result."""
    folder: Path
    """Where its files lie."""
    reused: bool
    """Whether an earlier run produced it."""

    @property
    def step(self) -> str:
        """Which step."""
        return self.STEP

    @property
    def facts(self) -> dict[str, Any]:
        """What later steps and people want to know, as JSON values."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.name not in _OF_EVERY_RESULT}

    @classmethod
    def kept(cls) -> frozenset[str]:
        """Names of the facts that the store keeps."""
        return frozenset(f.name for f in fields(cls) if f.name not in _OF_EVERY_RESULT and f.metadata.get("stored", True))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult(StepResult):
    """Whether the student may exist, and what it is made of."""

    STEP: ClassVar[str] = "check"

    stops: bool = False
    """Whether a finding stops the release."""
    holds: bool = False
    """Whether a finding holds it until somebody waives it."""
    summary: str = ""
    """One line for people."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Verdict → findings."""
    stopped_by: tuple[str, ...] = ()
    """Rules of the findings that stop."""
    held_by: tuple[str, ...] = ()
    """Rules of the findings that hold."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Input → digest."""
    teacher: Mapping[str, Any] = field(default_factory=dict)
    """The teacher's identity."""
    today: str = ""
    """Day on which expiries were judged."""
    generation: tuple[Any, ...] = told(())
    """What the teachers and judges of ``teacher_text`` terms will be asked: requests, tokens, range of prices, ``line``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateResult(StepResult):
    """What a teacher wrote: a data set with a card."""

    STEP: ClassVar[str] = "generate"

    summary: str = ""
    """One line for people."""
    asked: int = 0
    """Answers that were wanted."""
    rows: int = 0
    """Answers that were kept."""
    usage: Mapping[str, int] = field(default_factory=dict)
    """Tokens read and written."""
    usd: float = 0.0
    """What the answers cost at the declared prices, whenever they were paid."""
    models: Mapping[str, int] = field(default_factory=dict)
    """Name under which a teacher answered → answers."""
    filters: tuple[Any, ...] = ()
    """Per term, what each filter saw and dropped, and why."""
    stops: bool = told(False)
    """Whether the scan of the text found what the policy of today does not let pass."""
    stopped_by: tuple[str, ...] = told(())
    """Rules of the findings that stop."""
    findings: str = told("")
    """Folder of the scan's findings; empty where another process of the launch scans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillResult(StepResult):
    """The student: trained here, or given and identified."""

    STEP: ClassVar[str] = "distill"

    trained: bool = False
    """Whether it was trained here."""
    summary: str = ""
    """One line for people."""
    identity: Mapping[str, Any] = field(default_factory=dict)
    """The student's identity."""
    teacher: Mapping[str, Any] = field(default_factory=dict)
    """The teacher's identity, or what is declared of its endpoint."""
    warnings: tuple[str, ...] = ()
    """What people should know of the training."""
    student: str = told("student")
    """The checkpoint: relative to the folder, or the absolute path of a given student; empty where it is an endpoint."""
    teacher_path: str = told("")
    """Folder of the teacher; empty where it is an endpoint."""

    @property
    def checkpoint(self) -> Path:
        """Folder of the student's checkpoint."""
        return self.folder / self.student


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherTextResult(StepResult):
    """What the teacher wrote, scanned."""

    STEP: ClassVar[str] = "written"

    stops: bool = False
    """Whether a finding stops the release."""
    stopped_by: tuple[str, ...] = ()
    """Rules of the findings that stop."""
    files: int = 0
    """Files scanned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedItemsResult(StepResult):
    """The items of Hub benchmarks, looked for in the training data once the plan held them."""

    STEP: ClassVar[str] = "planned_items"

    items: int = 0
    """Items looked for."""
    found: int = 0
    """Items that occur in the data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEvaluation(StepResult):
    """One model's answers to a plan."""

    STEP: ClassVar[str] = "evaluate-model"

    plan: str = ""
    """Root of the plan."""
    items: Any = 0
    """Digest of the item table."""
    evidence: str = ""
    """Digest of the account of the evaluation."""
    aggregates: Mapping[str, Any] = field(default_factory=dict)
    """``suite/task`` → aggregates."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    """Requests, tokens and dollars, where an endpoint answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateResult(StepResult):
    """All models of a release on one plan."""

    STEP: ClassVar[str] = "evaluate"

    plan: str = ""
    """Root of the plan."""
    teacher_evidence: str = ""
    """Digest of the teacher's ``evidence.json``."""
    student_evidence: str = ""
    """Digest of the student's."""
    items: int = 0
    """Items asked of each model."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    """Role → requests, tokens and dollars, where an endpoint answered for it."""
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    """Task that was left out → what it needs that an endpoint does not give."""
    summary: str = ""
    """One line for people."""
    findings: int = told(0)
    """Differences between the two evaluations that the policy of today does not allow."""
    student_path: str = told("")
    """The student's checkpoint."""
    teacher_path: str = told("")
    """The teacher's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult(StepResult):
    """The decision, sealed in the evidence bundle that ``folder`` is."""

    STEP: ClassVar[str] = "gate"

    verdict: str = ""
    """pass, fail, inconclusive or invalid."""
    decision: str = ""
    """Digest of the decision."""
    policy: str = ""
    """Digest of the policy it was judged by."""
    bundle: str = ""
    """Digest of the bundle's manifest."""
    summary: str = ""
    """One line for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordResult(StepResult):
    """The version that stands in the registry."""

    STEP: ClassVar[str] = "record"

    name: str = ""
    """Registered model."""
    version: int = 0
    """Its number."""
    verdict: str = ""
    """pass, fail, inconclusive or invalid."""
    decision: str = ""
    """Digest of the decision."""
    run_id: str = ""
    """Run that holds the evidence."""
    envelope: str = ""
    """Digest of the signed statement."""
    is_guarded: bool = False
    """Whether the registry itself refuses what no passing decision covers."""
    note: str = ""
    """What to know about the signing key."""
    registry: str = ""
    """What the registry is called."""
    summary: str = ""
    """One line for people."""
    open: str = told("")
    """How a person opens it."""
    judged_anew: bool = told(False)
    """Whether the decision was made in this very call, and not by an earlier one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteResult(StepResult):
    """Whether the guarded alias stands on the version."""

    STEP: ClassVar[str] = "promote"

    name: str = ""
    """Registered model."""
    version: int = 0
    """Its number."""
    alias: str = ""
    """The alias asked for."""
    promoted: bool = False
    """Whether it was given."""
    refusals: tuple[Mapping[str, Any], ...] = ()
    """Why not: criterion, reason and mend each."""
    previous: Any = None
    """Version that held the alias before."""
    summary: str = ""
    """One line for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateResult(StepResult):
    """Which temperature and weights to start from."""

    STEP: ClassVar[str] = "calibrate"

    table: str = ""
    """What was tried, as text."""
    proposal: Mapping[str, Any] = field(default_factory=dict)
    """What is proposed."""
    digest: str = ""
    """Digest of the table."""


def _plain(value: Any) -> Any:
    """As JSON has it, whether the value is fresh or was read from the store."""
    return json.loads(json.dumps(value, default=dict)) if isinstance(value, (tuple, list, Mapping)) else value
