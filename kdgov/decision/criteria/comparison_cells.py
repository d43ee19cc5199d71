"""What a criterion looks at: its metric's declaration, the pairs in the better direction, and the groups in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kdgov.decision.criteria.group_means import group_fault, group_pairs, groups_named
from kdgov.decision.criteria.groups import attribute_sets, group_masks
from kdgov.decision.criteria.metric_scale import Scale, scale_of
from kdgov.decision.criteria.paired_items import Mismatch, Pairs, pool
from kdgov.decision.criteria.pairing import match
from kdgov.decision.criteria.units import unit_of
from kdgov.decision.decision import CriterionResult, Reference, Verdict
from kdgov.decision.policy import Criterion
from kdgov.decision.statistics.clusters import count_clusters
from kdgov.decision.statistics.methods import is_binary
from kdgov.items import ItemTable, MetricDeclaration, MetricKey
from kdgov.items.metric import declaration_for
from kdgov.quantities import plain_number


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Everything measured that a decision may rest on."""

    teacher: ItemTable
    """The teacher's scores."""
    student: ItemTable
    """The student's scores."""
    control: ItemTable | None = None
    """Scores of a model that knows nothing."""
    root_teacher: ItemTable | None = None
    """Scores of the first teacher of the chain."""
    metrics: tuple[MetricDeclaration, ...] = ()
    """What the suites declare."""
    measurements: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """``teacher`` and ``student`` → measured quantity → value."""
    names_inputs: bool = False
    """Whether the release names production inputs: criteria on them then apply, whether or not results are there."""
    matched: dict[tuple[str, MetricKey], Pairs | Mismatch] = field(default_factory=dict)
    """Pairs already made, so that ten criteria on one metric match it once."""
    keys: list[MetricKey] = field(default_factory=list)
    """Every metric, sorted once for all criteria."""

    def metric_keys(self) -> list[MetricKey]:
        """Every metric either model has rows for, sorted."""
        if not self.keys:
            self.keys.extend(sorted(set(self.teacher.partitions) | set(self.student.partitions)))
        return self.keys

    def pairs(self, key: MetricKey, scale: Scale, reference: Reference) -> Pairs | Mismatch:
        """Pairs of one metric against the teacher or the root teacher."""
        if (reference, key) not in self.matched:
            other = self.root_teacher if reference == "root_teacher" and self.root_teacher is not None else self.teacher
            self.matched[reference, key] = match(other, self.student, key, low=scale.least, high=scale.most)
        return self.matched[reference, key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One thing to judge: a criterion on one metric, overall or within one group."""

    criterion: Criterion
    """The criterion."""
    key: MetricKey
    """Suite, task (``a+b`` where pooled) and metric."""
    scale: Scale
    """How to read the scores."""
    pairs: Pairs
    """Scores of both models."""
    group: str = ""
    """``gender=female``; empty for all items."""
    reference: Reference = "teacher"
    """Whom the student is compared with."""
    clipped: int = 0
    """Scores beyond the criterion's range, which were set to its ends."""
    own_unit: str = ""
    """Unit of a statistic that is not the scores'."""

    @property
    def unit(self) -> str:
        """Unit of what is judged."""
        if self.own_unit:
            return self.own_unit
        binary = is_binary(self.pairs.teacher) and is_binary(self.pairs.student)
        return unit_of(self.key.metric, 0.0 if binary else self.scale.low, 1.0 if binary else self.scale.high)

    @property
    def margin(self) -> float:
        """The margin that holds for this cell."""
        criterion = self.criterion
        if self.reference == "root_teacher" and criterion.root_margin is not None:
            return criterion.root_margin
        if self.group and criterion.group_margin is not None:
            return criterion.group_margin
        return criterion.margins.get(self.unit, criterion.margin) if criterion.margins else criterion.margin

    @property
    def min_items(self) -> int:
        """The smallest number of items that may pass."""
        wanted = self.criterion.min_group_items
        return wanted if self.group and wanted is not None else self.criterion.min_items

    @property
    def unevenness(self) -> str:
        """Why a group's mean tells less than its items would, where that is less than the policy asks for; empty elsewhere."""
        if self.pairs.n < self.min_items or self.pairs.worth >= self.min_items:
            return ""
        worth = f"its tasks weigh so unevenly that the mean tells no more than {self.pairs.worth:.0f} equal items would"
        return f"{worth}, and the policy asks for {self.min_items}"

    def result(self, verdict: Verdict, reason: str, **found: Any) -> CriterionResult:
        """A result of this cell with everything known before judging, and what was found."""
        if "clusters" not in found:
            found["clusters"] = self.pairs.n if self.pairs.clusters is None else count_clusters(self.pairs.clusters)
        return CriterionResult(
            id=self.criterion.id,
            kind=self.criterion.kind,
            verdict=verdict,
            reason=reason,
            suite=self.key.suite,
            task=self.key.task,
            metric=self.key.metric,
            group=self.group,
            reference=self.reference,
            n=self.pairs.n,
            confidence=self.criterion.confidence,
            advisory=self.criterion.advisory,
            **{"unit": self.unit, **found},
        )


def blank(criterion: Criterion, verdict: Verdict, reason: str, key: MetricKey | None = None, *, group: str = "") -> CriterionResult:
    """A result without numbers: nothing could be computed."""
    return CriterionResult(
        id=criterion.id,
        kind=criterion.kind,
        verdict=verdict,
        reason=reason,
        suite=key.suite if key else "",
        task=key.task if key else "",
        metric=key.metric if key else "",
        group=group,
        confidence=criterion.confidence,
        advisory=criterion.advisory,
    )


def _contradiction(criterion: Criterion, key: MetricKey, metrics: tuple[MetricDeclaration, ...]) -> str | None:
    declared = declaration_for(metrics, *key)
    if declared is None or criterion.direction is None or criterion.kind == "exposure":
        return None
    if criterion.direction != declared.direction:
        return f"the policy says that {criterion.direction} {key.metric} is better, the suite says {declared.direction}"
    if declared.ideal is not None and criterion.ideal is not None and criterion.ideal != declared.ideal:
        return (
            f"the policy says that the ideal {key.metric} is {plain_number(criterion.ideal)}, the suite says {plain_number(declared.ideal)}"
        )
    return None


def cells_of(criterion: Criterion, tables: Tables, reference: Reference = "teacher") -> Iterator[Cell | CriterionResult]:
    """Every cell a criterion has to judge; a result instead where a cell cannot be built."""
    named = groups_named(criterion, tables.metrics)
    matching = [key for key in tables.metric_keys() if criterion.matches(key)]
    if not matching and not named:
        what = f"no rows match suite {criterion.suite!r}, tasks {', '.join(criterion.tasks)}, metric {criterion.metric!r}"
        yield blank(criterion, "invalid", f"{what}: a criterion that judges nothing proves nothing")
        return
    if reference == "teacher":
        for task in criterion.absent_tasks([*matching, *(MetricKey(m.suite, m.task, m.metric) for m in named)]):
            where = f"suite {criterion.suite!r}, metric {criterion.metric!r}"
            why = f"`tasks` names {task!r}, and neither model has rows for it in {where}: a task without rows proves nothing"
            yield replace(blank(criterion, "invalid", why), task=task)
    for declared in named:
        yield _group_cell(criterion, declared, tables, reference)
    for keys in _bundles(criterion, matching):
        yield from _cells_of_bundle(criterion, keys, tables, reference)


def _group_cell(criterion: Criterion, declared: MetricDeclaration, tables: Tables, reference: Reference) -> Cell | CriterionResult:
    """The cell of a group's mean: every task of the group has to be there."""
    key = MetricKey(declared.suite, declared.task, declared.metric)
    scale = scale_of(criterion, key, tables.metrics)
    parts = [tables.pairs(member, scale, reference) for member in declared.member_keys()]
    reason = group_fault(criterion) or _contradiction(criterion, key, tables.metrics)
    reason = reason or next((part.reason for part in parts if isinstance(part, Mismatch)), "")
    if reason:
        return replace(blank(criterion, "invalid", f"the group {key}: {reason}", key), reference=reference)
    whole = group_pairs(declared, [part for part in parts if not isinstance(part, Mismatch)], tables.teacher)
    if isinstance(whole, Mismatch):
        return replace(blank(criterion, "invalid", whole.reason, key), reference=reference)
    pairs, clipped = scale.clipped(whole)
    cell = Cell(criterion=criterion, key=key, scale=scale, pairs=_binarised(pairs, criterion), reference=reference, clipped=clipped)
    return cell if criterion.threshold is None else replace(cell, scale=replace(scale, low=0.0, high=1.0))


def _bundles(criterion: Criterion, keys: Sequence[MetricKey]) -> list[list[MetricKey]]:
    if not criterion.pooled:
        return [[key] for key in keys]
    bundles: dict[tuple[str, str], list[MetricKey]] = {}
    for key in keys:
        bundles.setdefault((key.suite, key.metric), []).append(key)
    return list(bundles.values())


def _cells_of_bundle(
    criterion: Criterion, keys: Sequence[MetricKey], tables: Tables, reference: Reference
) -> Iterator[Cell | CriterionResult]:
    name = MetricKey(keys[0].suite, "+".join(key.task for key in keys), keys[0].metric)
    scale = scale_of(criterion, keys[0], tables.metrics)
    if (contradiction := _contradiction(criterion, keys[0], tables.metrics)) is not None:
        yield blank(criterion, "invalid", contradiction, name)
        return
    if any(scale_of(criterion, key, tables.metrics) != scale for key in keys[1:]):
        yield blank(criterion, "invalid", f"the tasks of {name} declare different directions or ranges and cannot be pooled", name)
        return
    parts = []
    for key in keys:
        found = tables.pairs(key, scale, reference)
        if isinstance(found, Mismatch):
            yield replace(blank(criterion, "invalid", found.reason, name), reference=reference)
            return
        parts.append(found)
    pairs, clipped = scale.clipped(pool(parts))
    whole = Cell(criterion=criterion, key=name, scale=scale, pairs=_binarised(pairs, criterion), reference=reference, clipped=clipped)
    if criterion.threshold is not None:
        whole = replace(whole, scale=replace(scale, low=0.0, high=1.0))
    if criterion.where:
        yield _where(whole)
        return
    yield whole
    yield from _group_cells(whole)


def _where(whole: Cell) -> Cell | CriterionResult:
    """The cell of the items that state what the criterion's ``where`` asks for."""
    wanted = whole.criterion.where
    label = " & ".join(f"{name}={value}" for name, value in wanted.items())
    mask = group_masks(whole.pairs, tuple(wanted)).get(tuple(wanted.values()))
    if mask is None:
        return blank(whole.criterion, "invalid", f"no item of {whole.key} states {label}, so it cannot be judged", whole.key, group=label)
    return replace(whole, pairs=whole.pairs.select(mask), group=label)


def _binarised(pairs: Pairs, criterion: Criterion) -> Pairs:
    if criterion.threshold is None:
        return pairs
    return replace(
        pairs,
        teacher=(pairs.teacher >= criterion.threshold).astype(np.float64),
        student=(pairs.student >= criterion.threshold).astype(np.float64),
    )


def _group_cells(whole: Cell) -> Iterator[Cell | CriterionResult]:
    criterion = whole.criterion
    for attributes in attribute_sets(criterion.by, whole.pairs):
        masks = group_masks(whole.pairs, attributes)
        if not masks:
            said = " and ".join(attributes)
            yield blank(criterion, "invalid", f"no item of {whole.key} states {said}, so its groups cannot be judged", whole.key)
            continue
        if len(attributes) == 1:
            absent = [value for value in criterion.groups.get(attributes[0], ()) if (value,) not in masks]
            for value in absent:
                label = f"{attributes[0]}={value}"
                yield blank(criterion, "invalid", f"the declared group {label} has no items in {whole.key}", whole.key, group=label)
        for values, mask in masks.items():
            label = " & ".join(f"{a}={v}" for a, v in zip(attributes, values, strict=True))
            yield replace(whole, pairs=whole.pairs.select(mask), group=label)
