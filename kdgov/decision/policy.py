"""What a policy says, as frozen values; `kdgov.declarations.policy_file` reads them from YAML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Literal

from kdgov.items import Direction, MetricKey

_PATTERN = frozenset("*?[")
STATISTIC_NAMES = ("mean", "weighted_mean", "macro_f1", "f1", "mcc", "auc", "corpus_bleu", "chrf", "ece", "pass@k", "majority")
"""What a criterion can compare; a test holds the names to `kdgov.decision.statistics.whole.item_statistics.STATISTICS`."""
_OF_SAMPLES = re.compile(r"pass@[1-9][0-9]{0,3}")
Assay = Literal["when_known", "required", "skip"]
Churn = Literal["negative_flips", "changed"]
GapOf = Literal["mean", "demographic_parity", "equal_opportunity", "equalized_odds"]
Confidences = Literal["required", "when_stated"]
Looks = Literal["named", "corrected"]
Spend = Literal["reciprocal", "halving"]
When = Literal["always", "production_inputs", "measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One demand on the student; each matching (suite, task, metric) is judged on its own unless pooled."""

    id: str
    """Name in decisions and waivers."""
    kind: str
    """Which question it asks: a row of `kdgov.decision.criteria.kinds.KINDS`."""
    suite: str = "*"
    """Suite name or glob."""
    tasks: tuple[str, ...] = ("*",)
    """Task names or globs."""
    metric: str = "*"
    """Metric name or glob."""
    when: When = "always"
    """Whether the criterion applies to every release, only to those that name production inputs, or only where rows are there."""
    direction: Direction | None = None
    """Which way is better; None: as the suite declares."""
    ideal: float | None = None
    """Best value, for ``direction: target``."""
    chance: float | None = None
    """Score of knowing nothing, for the assay; None: as the suite declares."""
    low: float | None = None
    """Smallest possible score; None: as the suite declares."""
    high: float | None = None
    """Largest possible score."""
    margin: float = 0.0
    """How much worse the student may be, in the metric's own units."""
    margins: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Margin per unit of the scores (``share``, ``nats``, ``bits``, ``bleu`` …); ``margin`` for every other unit."""
    share: float = 0.0
    """Retention: the share of the teacher's score that the student must keep."""
    statistic: str | None = None
    """Which function of the items is compared; None: the mean."""
    gold_items: int | None = None
    """Items that must carry a trusted score of both models beside the judge's; None: none has to."""
    sequential: bool = False
    """Whether the items are judged batch by batch, so that further batches may follow an open answer."""
    advisory: bool = False
    """Whether the criterion is judged and shown only."""
    confidence: float = 0.95
    """One-sided confidence."""
    min_items: int = 1
    """Fewer items than this are never a pass."""
    pooled: bool = False
    """Whether all matching tasks of one metric are judged together."""
    where: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Attribute → value: only items that state it are judged, such as ``coverage: far``."""
    by: tuple[tuple[str, ...], ...] = ()
    """Attributes whose every value must hold on its own; several in one entry are an intersection. A pattern such as ``*``
    stands for every attribute the items state, and asks for none."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Declared values per attribute; a declared value without items makes the decision invalid."""
    group_margin: float | None = None
    """Margin within a group; None: ``margin``."""
    min_group_items: int | None = None
    """Fewer items of a group than this are never a pass; None: ``min_items``."""
    floor: float | None = None
    """The student's own mean must be proven above this."""
    ceiling: float | None = None
    """The student's own mean (rate, exposure, share of flips) must be proven below this."""
    threshold: float | None = None
    """Scores of at least this count as 1, all others as 0, before anything else: rare harm is judged as a rate."""
    assay: Assay = "when_known"
    """Whether the teacher must be proven better than knowing nothing by more than the margin."""
    root_margin: float | None = None
    """Margin against the root teacher; None: ``margin``."""
    brier_margin: float | None = None
    """Calibration: margin of the Brier score; None: ``margin``."""
    confidences: Confidences = "required"
    """Calibration: whether a metric whose items state no confidence is invalid, or left out and named."""
    measure: str = ""
    """Efficiency: name of the measured quantity."""
    max_ratio: float | None = None
    """Efficiency: largest student / teacher."""
    min_ratio: float | None = None
    """Efficiency: smallest student / teacher."""
    of: Churn = "negative_flips"
    """Churn: items lost, or items answered differently."""
    gap_of: GapOf = "mean"
    """Gap: what is compared between groups."""
    gap_margin: float | None = None
    """Gap: how much wider the student's largest gap may be than the teacher's; None: not asked."""
    positive: str = ""
    """Gap: the label that counts as positive, for a classifier's rates."""

    plan_items: int | None = None
    """Items a suite for this criterion should hold; None: ``min_items``. Decides nothing, `kdgov policy drill` uses it."""
    plan_disagreement: float | None = None
    """Share of items on which an equally good student is expected to differ; likewise."""
    plan_level: float | None = None
    """Share the teacher is expected to have right; likewise."""
    plan_groups: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Attribute → number of values the items should state; likewise."""

    @property
    def alpha(self) -> float:
        """One-sided error level."""
        return 1.0 - self.confidence

    @property
    def least_group_items(self) -> int:
        """Fewer items of a group than this are never a pass."""
        return self.min_items if self.min_group_items is None else self.min_group_items

    def matches(self, key: MetricKey) -> bool:
        """Whether the criterion speaks of a metric."""
        if not (fnmatchcase(key.suite, self.suite) and fnmatchcase(key.metric, self.metric)):
            return False
        return any(fnmatchcase(key.task, task) for task in self.tasks)

    def names_group(self, key: MetricKey) -> bool:
        """Whether the criterion speaks of a group's mean: by its name in full, for a pattern means single tasks."""
        return fnmatchcase(key.suite, self.suite) and fnmatchcase(key.metric, self.metric) and key.task in self.tasks

    def absent_tasks(self, keys: Iterable[MetricKey]) -> tuple[str, ...]:
        """Tasks named in full, without a pattern, that none of the metrics belongs to."""
        there = {key.task for key in keys}
        return tuple(task for task in self.tasks if not _PATTERN & set(task) and task not in there)


def is_statistic(name: str) -> bool:
    """Whether a criterion can compare it; ``pass@k`` stands for every number of samples."""
    return (name in STATISTIC_NAMES and name != "pass@k") or _OF_SAMPLES.fullmatch(name) is not None


FindingLevel = Literal["pass", "warn", "review", "block"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverRules:
    """Who may set a criterion aside, and for how long."""

    allowed: bool = True
    """Whether waivers count at all."""
    max_days: int = 90
    """Longest time between a waiver's date and its expiry."""
    never: tuple[str, ...] = ()
    """Criterion ids or finding rules (globs) that nobody may waive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All demands on a release."""

    name: str
    """The policy's name."""
    version: str
    """The policy's version."""
    digest: str
    """Digest of its meaning: comments and formatting do not change it."""
    criteria: tuple[Criterion, ...]
    """What is demanded of the numbers."""
    findings: Mapping[str, FindingLevel] = field(default_factory=lambda: MappingProxyType({}))
    """Finding rule (glob) → what it means here."""
    approvals: tuple[str, ...] = ()
    """Roles that must approve the very decision."""
    waivers: WaiverRules = field(default_factory=WaiverRules)
    """Rules for waivers."""
    pins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Name in the decision's digests → the only digest accepted, such as ``teacher_weights``."""
    root_teacher: Assay = "when_known"
    """Whether a root teacher's table is required."""
    looks: Looks = "named"
    """Whether a student that is not the first one judged on its items is named, or also judged at a divided error level."""
    spend: Spend | None = None
    """How every error level is spent over the students ever judged on the same items; None: not at all."""
    ledger: str | None = None
    """File that remembers them for item tables, beside the policy."""
    require_digests: tuple[str, ...] = ()
    """Names that the decision's digests must hold."""
    allowed_differences: tuple[str, ...] = ()
    """Ways in which the two models may have been run differently: ``backend``, ``dtype``, ``device``."""
    allowed_code: tuple[str, ...] = ()
    """Digests of files whose code a suite may have run while it was evaluated."""
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    """The policy's other parts as written: ``license``, ``provenance``, ``privacy``, ``promotion`` …, for their readers."""
    source: str = ""
    """File it was read from; not part of the digest."""
    lines: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Criterion id → line of the file, for SARIF; not part of the digest."""
