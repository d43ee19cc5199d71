"""Policy and suites joined before compute: what cannot pass whatever the student answers, and the power that the items at hand have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kdgov.checks.cards.release_inputs import SuiteFile
from kdgov.checks.findings.rules import Stances
from kdgov.checks.scan.suite_items import item_rows
from kdgov.decision.policy import Policy
from kdgov.decision.preflight import PlannedTask, Power, power_at_hand, unfillable_criteria
from kdgov.declarations.release_parts.production_inputs import REPLAY
from kdgov.declarations.suite import find_suite, load_suite
from kdgov.declarations.suite_parts.judging_models import measured_metrics
from kdgov.declarations.suite_parts.suite_task import LM_EVAL, TaskInSuite
from kdgov.finding import Finding
from kdgov.passing_rules import passing
from kdgov.quantities import percent, quantity

UNFILLABLE, LOW_POWER = "evidence.criterion-unfillable", "evidence.low-power"
LEAST_POWER = 0.5
"""An equally good student that would be proven less often than this is worth a warning before it is trained."""
_MANY_VALUES = 200
_QUALITY = ("reference_overlap", "reference_quality", "judged_quality")
"""Metrics of production inputs that have a reference or a judge."""


def preflight_findings(policy: Policy, suites: Sequence[SuiteFile], stances: Stances, *, names_inputs: bool) -> list[Finding]:
    """Whether this policy can pass on these suites; one finding for each criterion that cannot, else one that says so; none without suites.

    Args:
        policy: the release's policy.
        suites: the suites it names.
        stances: what the policy makes of each rule.
        names_inputs: whether the release names production inputs.
    """
    if not suites:
        # A release that only trains: evaluation refuses it in its own words.
        return []
    tasks = planned_tasks(suites)
    absent = set() if names_inputs else {"production_inputs"}
    faults = unfillable_criteria(policy, (*tasks, *(replayed_tasks(policy) if names_inputs else ())), absent=absent)
    found = [stances.finding(UNFILLABLE, f"{policy.name}: {fault.criterion}", fault.reason, mend=fault.mend) for fault in faults]
    powers = power_at_hand(policy, tasks)
    if weak := [power for power in powers if power.highest < LEAST_POWER]:
        found.append(_weak(policy, weak, stances))
    if not faults:
        unknown = [task.place for task in tasks if task.items is None]
        left_out = [f"counts of {', '.join(unknown[:4])}, whose items the plan will count"] if unknown else []
        left_out += ["criteria on production inputs"] if names_inputs else []
        found.append(
            passing(
                "evidence",
                UNFILLABLE,
                policy.name,
                f"This policy can pass on these suites: {quantity(len(policy.criteria), 'criterion', 'criteria')}, "
                f"{quantity(len(tasks), 'task')}{_told(powers)}.",
                looked_for={"criteria": len(policy.criteria)},
                left_out=left_out,
            )
        )
    return found


def replayed_tasks(policy: Policy) -> Iterable[PlannedTask]:
    """What the suite will bring that replays production inputs: it is made from the log later on, which tells items and groups."""
    suite = load_suite(find_suite(REPLAY))
    named = {name for criterion in policy.criteria for entry in (*criterion.by, tuple(criterion.groups)) for name in entry}
    for task in suite.tasks:
        metrics = (*(metric.metric for metric in task.metrics), *_QUALITY)
        yield PlannedTask(suite=REPLAY, task=task.task, metrics=metrics, groups={name: {} for name in named})


def _told(powers: Sequence[Power]) -> str:
    if not powers:
        return ""
    least = min(powers, key=lambda power: power.highest)
    return f"; the least power of an equally good student is {percent(least.highest, 0)} ({least.criterion} on {least.place})"


def _weak(policy: Policy, weak: Sequence[Power], stances: Stances) -> Finding:
    shown = [
        f"{power.criterion} on {power.place} is proven of an equally good student {percent(power.highest, 0)} of the time by "
        f"{quantity(power.items, 'item')}" + (f", {power.needed:,} would give 80%" if power.needed else "")
        for power in weak[:5]
    ]
    more = f" (and {len(weak) - 5} more)" if len(weak) > 5 else ""
    return stances.finding(
        LOW_POWER,
        policy.name,
        f"Too few items to prove much: {'; '.join(shown)}{more}.",
        mend="Add items before training; a wider margin needs a reason that a user would accept.",
        details={"power": {f"{power.criterion} {power.place}": round(power.highest, 3) for power in weak}},
    )


def planned_tasks(suites: Iterable[SuiteFile]) -> tuple[PlannedTask, ...]:
    """What each task of the suites will bring, as far as it can be read off the suites and their item files.

    Raises:
        InputError: if an item file cannot be read.
    """
    return tuple(found for file in suites for found in _planned_of(file))


def _planned_of(file: SuiteFile) -> list[PlannedTask]:
    tasks = [_planned(task, file) for task in file.suite.tasks]
    items = {task.task: task.items for task in tasks}
    for group in file.suite.task_groups:
        for mean in group.means:
            counts = [items.get(task) for task in dict.fromkeys(mean.tasks)]
            known = None if None in counts else sum(count or 0 for count in counts)
            tasks.append(PlannedTask(suite=file.suite.name, task=group.name, metrics=(mean.metric,), items=known, is_group=True))
    return tasks


def _planned(task: TaskInSuite, file: SuiteFile) -> PlannedTask:
    metrics = tuple(metric.metric for metric in measured_metrics(task))
    stated = (*task.groups, *(("attack",) if task.attacks else ()))
    unread = PlannedTask(suite=file.suite.name, task=task.task, metrics=metrics, groups={name: {} for name in stated})
    # Other kinds make several items of a row, or one of several.
    if task.kind != LM_EVAL or task.data is None:
        return unread
    rows = [row for _, row, _ in item_rows(task, file.path)]
    if not rows or task.limit is not None:
        # A limit draws by hash: how many of each group it keeps, the plan tells.
        return PlannedTask(suite=unread.suite, task=unread.task, metrics=metrics, groups=unread.groups, items=_limited(task, len(rows)))
    return PlannedTask(
        suite=unread.suite,
        task=unread.task,
        metrics=metrics,
        items=len(rows),
        clusters=len({_cluster(task, row, number) for number, row in enumerate(rows)}),
        groups={name: _values(rows, name) for name in task.groups},
    )


def _limited(task: TaskInSuite, rows: int) -> int | None:
    return min(rows, task.limit or rows) or None


def _cluster(task: TaskInSuite, row: Mapping[str, Any], number: int) -> str:
    fields = [task.cluster] if isinstance(task.cluster, str) else list(task.cluster or [])
    named = [str(row.get(field)) for field in fields if row.get(field) is not None]
    return "\0".join(named) if named else f"\0{number}"


def _values(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, int]:
    counted = Counter(str(row[name]) for row in rows if row.get(name) is not None)
    # Free text is no group.
    return dict(counted) if len(counted) <= _MANY_VALUES else {}
