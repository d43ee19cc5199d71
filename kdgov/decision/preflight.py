"""Can this policy pass on these suites? Answered from what suites declare and hold, before any model is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from kdgov.decision.policy import Criterion, Policy
from kdgov.decision.statistics.sizes.sample_size import items_needed, power_at
from kdgov.items.table import MetricKey
from kdgov.quantities import quantity

DISAGREEMENT = 0.10
"""Share of items on which an equally good student is assumed to differ, where the criterion plans no other."""
_PATTERN = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """What a suite's task will bring to the decision."""

    suite: str
    """Suite."""
    task: str
    """Task."""
    metrics: tuple[str, ...]
    """Metrics it gives."""
    items: int | None = None
    """Items; None where they are not at hand yet."""
    clusters: int | None = None
    """Distinct clusters among them; None as for the items."""
    is_group: bool = False
    """Whether it is a group of tasks, whose mean a criterion may name in full."""
    groups: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: MappingProxyType({}))
    """Attribute → value → items; an attribute the task declares and whose items are not at hand has no values."""

    @property
    def place(self) -> str:
        """``suite/task``."""
        return f"{self.suite}/{self.task}"

    def is_read_by(self, criterion: Criterion, metric: str) -> bool:
        """Whether a criterion speaks of one of its metrics."""
        key = MetricKey(self.suite, self.task, metric)
        return criterion.names_group(key) if self.is_group else criterion.matches(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfillable:
    """A criterion that cannot pass, whatever the student answers."""

    criterion: str
    """Its id."""
    reason: str
    """Why, in a sentence."""
    mend: str
    """How to fix it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """How often an equally good student would be proven no worse, by one criterion on one metric."""

    criterion: str
    """Its id."""
    place: str
    """``suite/task/metric``."""
    items: int
    """Items at hand."""
    clusters: int
    """Clusters at hand; as many as items where none share one."""
    highest: float
    """Chance of a pass if every item counts on its own."""
    lowest: float
    """Chance of a pass if a cluster counts once."""
    needed: int | None
    """Independent items that would give power 0.8; None where no practical number would."""


def unfillable_criteria(policy: Policy, tasks: Sequence[PlannedTask], *, absent: Collection[str] = ()) -> tuple[Unfillable, ...]:
    """Every criterion that must apply and cannot pass: no task for it, no such metric, no such attribute, or too few items.

    Criteria that apply only where something is measured, advisory ones and those about ratios of cost are not asked for.

    Args:
        policy: what is demanded.
        tasks: what the suites will bring.
        absent: values of ``when`` that do not hold for this release, such as ``production_inputs``.
    """
    found: list[Unfillable] = []
    for criterion in policy.criteria:
        if criterion.kind == "efficiency" or criterion.advisory or criterion.when == "measured" or criterion.when in absent:
            continue
        found += _faults(criterion, tasks)
    return tuple(found)


def _faults(criterion: Criterion, tasks: Sequence[PlannedTask]) -> list[Unfillable]:
    def fault(reason: str, mend: str) -> list[Unfillable]:
        return [Unfillable(criterion=criterion.id, reason=reason, mend=mend)]

    cells = [(task, metric) for task in tasks for metric in task.metrics if task.is_read_by(criterion, metric)]
    wanted = "/".join((criterion.suite, "|".join(criterion.tasks), criterion.metric))
    if not cells:
        there = sorted({f"{task.place}/{metric}" for task in tasks for metric in task.metrics})
        return fault(
            f"It asks for `{wanted}`, and the suites give {', '.join(there[:6])}{' …' if len(there) > 6 else ''}.",
            "Add a suite that gives it to `suites:`, or take the criterion out of the policy.",
        )
    if missing := criterion.absent_tasks(MetricKey(task.suite, task.task, metric) for task, metric in cells):
        return fault(f"It names the task {', '.join(missing)}, which no suite of the release holds.", "Correct `tasks:`, or add the task.")
    named = {name for entry in criterion.by for name in entry if not _PATTERN & set(name)} | set(criterion.groups)
    for name in sorted(named - {attribute for task, _ in cells for attribute in task.groups}):
        return fault(
            f"It judges every {name} on its own, and no task of `{wanted}` states that attribute.",
            f"Add `groups: [{name}]` to the task in the suite, or take it out of `by:`.",
        )
    return _too_few(criterion, cells)


def _too_few(criterion: Criterion, cells: Sequence[tuple[PlannedTask, str]]) -> list[Unfillable]:
    if criterion.where or any(task.items is None for task, _ in cells):
        return []
    counts = {f"{task.place}/{metric}": task.items or 0 for task, metric in cells}
    if criterion.pooled:
        counts = {f"{criterion.suite}/{metric}": sum(task.items or 0 for task, other in cells if other == metric) for _, metric in cells}
    short = {place: count for place, count in counts.items() if count < criterion.min_items}
    found = [
        Unfillable(
            criterion=criterion.id,
            reason=f"It asks for {quantity(criterion.min_items, 'item')}, and {place} has {count:,}.",
            mend="Add items to the suite, or lower `min_items` for a reason that you can give.",
        )
        for place, count in short.items()
    ]
    return found + ([] if criterion.pooled else _small_groups(criterion, cells))


def _small_groups(criterion: Criterion, cells: Sequence[tuple[PlannedTask, str]]) -> list[Unfillable]:
    least = criterion.min_group_items or criterion.min_items
    judged = {entry[0] for entry in criterion.by if len(entry) == 1}
    found = []
    for task, _ in {task.place: (task, metric) for task, metric in cells}.values():
        small = {
            f"{attribute}={value}": count
            for attribute, values in task.groups.items()
            if attribute in judged or "*" in judged
            for value, count in values.items()
            if count < least
        }
        if small:
            shown = ", ".join(f"{name} has {count}" for name, count in sorted(small.items())[:4]) + (" …" if len(small) > 4 else "")
            found.append(
                Unfillable(
                    criterion=criterion.id,
                    reason=f"It asks for {quantity(least, 'item')} of every group of {task.place}, and {shown}.",
                    mend="Add items of those groups, merge them, or lower `min_group_items` for a reason that you can give.",
                )
            )
    return found


def power_at_hand(policy: Policy, tasks: Sequence[PlannedTask]) -> tuple[Power, ...]:
    """How often an equally good student would pass each criterion on differences, by the items at hand.

    By the normal approximation of `items_needed`: the student is assumed to differ on the criterion's own
    ``plan.disagreement`` (or `DISAGREEMENT`) of the items.

    Args:
        policy: what is demanded.
        tasks: what the suites will bring; tasks whose items are not at hand are left out.
    """
    found = []
    for criterion in policy.criteria:
        if criterion.kind != "non_inferiority" or criterion.statistic is not None or criterion.margin <= 0 or criterion.where:
            continue
        for task in tasks:
            for metric in task.metrics:
                if task.items and task.is_read_by(criterion, metric):
                    found.append(_power(criterion, task, metric))
    return tuple(found)


def _power(criterion: Criterion, task: PlannedTask, metric: str) -> Power:
    spread, items = criterion.plan_disagreement or DISAGREEMENT, task.items or 0
    clusters = min(task.clusters or items, items)
    low, high = (
        power_at(items=count, margin=criterion.margin, difference=0.0, spread=spread, alpha=criterion.alpha) for count in (clusters, items)
    )
    return Power(
        criterion=criterion.id,
        place=f"{task.place}/{metric}",
        items=items,
        clusters=clusters,
        highest=high,
        lowest=low,
        needed=items_needed(margin=criterion.margin, difference=0.0, spread=spread, alpha=criterion.alpha),
    )
