"""Asking in batches, a task no longer than until the policy's sequential criteria have decided it.

The criteria's bound (`betting`) is right at the end of every batch at once, so that stopping as soon as it decides, or not at all, does
not raise its error. What a criterion with any other bound reads is asked as a whole, in the first batch: such a bound holds for one look.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from kdgov.decision.decision import CriterionResult, Decision
from kdgov.decision.judgement import judge
from kdgov.decision.policy import Criterion, Policy
from kdgov.errors import InputError
from kdgov.evaluation.plan.request import Plan, PlannedGroup, PlannedItem, PlannedTask
from kdgov.evaluation.results.compare_results import compare_results
from kdgov.evaluation.results.further_batches import with_batches
from kdgov.items import MetricKey
from kdgov.items.results import Results

Ask = Callable[[Plan, int], tuple[Results, Results]]
"""Asks both models a part of the plan, with the number of the batch from 1: the teacher's results and the student's."""
BATCH_ITEMS = 200
"""Items of a task between two looks, where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStop:
    """How far one task was asked."""

    task: str
    """``suite/task``."""
    asked: int
    """Items that were asked."""
    of: int
    """Items of the plan."""
    verdict: str
    """The worst of its sequential results; ``asked as a whole`` where it has none alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStop:
    """What was asked, and what it decides."""

    batches: int
    """Batches that were asked."""
    tasks: tuple[TaskStop, ...]
    """Every task of the plan."""
    decision: Decision
    """The policy's decision on all batches; what `kdgov gate` says of the same folders."""

    @property
    def saved(self) -> float:
        """Share of the plan's items that nobody had to be asked."""
        return 1.0 - sum(t.asked for t in self.tasks) / sum(t.of for t in self.tasks)

    def as_json(self) -> dict[str, Any]:
        """The outcome as one JSON document."""
        return {
            "schema": "kdgov.early-stop/1",
            "batches": self.batches,
            "saved": round(self.saved, 4),
            "tasks": [asdict(task) for task in self.tasks],
            "verdict": self.decision.verdict,
            "reason": self.decision.reason,
            "decision": self.decision.digest,
        }


def ask_until_decided(plan: Plan, policy: Policy, ask: Ask, *, batch: int = BATCH_ITEMS) -> EarlyStop:
    """Ask batch after batch until every task is decided or has no items left.

    Args:
        plan: everything that may be asked.
        policy: its sequential criteria decide when a task stops.
        ask: asks both models.
        batch: items of each open task per batch, taken in the order of a hash of their names.

    Raises:
        InputError: if no criterion of the policy may be looked at after every batch.
    """
    if not any(criterion.sequential for criterion in policy.criteria):
        what = f"{policy.name} has no criterion that may be looked at after every batch"
        raise InputError(what, where="--until-decided", mend="Write `sequential: true` on the criterion before any result is known.")
    stoppable = {task.name for task in plan.tasks if is_stoppable(task, policy, plan.groups)}
    waiting = {task.name: _in_order(task) for task in plan.tasks}
    asked: list[tuple[Results, Results]] = []
    still_open, decision = {task.name for task in plan.tasks}, None
    while still_open or decision is None:
        part = _part(plan, waiting, {name: batch if name in stoppable else len(waiting[name]) for name in still_open})
        asked.append(ask(part, len(asked) + 1))
        decision = _decided(asked, policy)
        still_open = {t.name for t in plan.tasks if t.name in stoppable and waiting[t.name] and _is_open(t, policy, decision)}
    stops = tuple(_stop(task, policy, decision, left=len(waiting[task.name]), alone=task.name in stoppable) for task in plan.tasks)
    return EarlyStop(batches=len(asked), tasks=stops, decision=decision)


def is_stoppable(task: PlannedTask, policy: Policy, groups: Sequence[PlannedGroup] = ()) -> bool:
    """Whether every criterion that reads the task may be looked at after every batch, and its items stand alone or in equal clusters.

    A criterion on a group's mean reads all of its tasks, each as a whole.
    """
    if any(group.suite == task.suite and task.task in group.tasks and _names(c, group) for group in groups for c in policy.criteria):
        return False
    reading = [c for c in policy.criteria if not c.advisory and _reads(c, task)]
    is_alone = len(task.items) == len({item.cluster for item in task.items})
    # Tasks that are judged together make one sequence, in which clusters of two would stand beside single items.
    return bool(reading) and all(c.sequential and (is_alone or not c.pooled) for c in reading) and _cluster_size(task) > 0


def _cluster_size(task: PlannedTask) -> int:
    """Items of every cluster; 0 where clusters differ in size."""
    sizes = {*Counter(item.cluster for item in task.items).values()}
    return sizes.pop() if len(sizes) == 1 else 0


def _reads(criterion: Criterion, task: PlannedTask) -> bool:
    return any(criterion.matches(MetricKey(task.suite, task.task, str(metric["metric"]))) for metric in task.metrics)


def _names(criterion: Criterion, group: PlannedGroup) -> bool:
    return not criterion.advisory and criterion.names_group(MetricKey(group.suite, group.group, group.metric))


def _in_order(task: PlannedTask) -> list[PlannedItem]:
    """Items in an order that no result has chosen, those of one cluster behind each other."""

    def place(name: str) -> bytes:
        return hashlib.blake2b(f"{task.task}\0{name}".encode(), digest_size=8).digest()

    names: dict[str, list[str]] = {}
    for item in task.items:
        names.setdefault(item.cluster, []).append(item.item_id)
    at = {cluster: place(min(members)) for cluster, members in names.items()}
    return sorted(task.items, key=lambda item: (at[item.cluster], item.cluster, place(item.item_id)))


def _part(plan: Plan, waiting: dict[str, list[PlannedItem]], sizes: dict[str, int]) -> Plan:
    tasks = []
    for task in plan.tasks:
        if (size := sizes.get(task.name, 0)) > 0:
            # Clusters are asked whole.
            size = -(-size // (whole := max(_cluster_size(task), 1))) * whole
            taken, waiting[task.name] = waiting[task.name][:size], waiting[task.name][size:]
            # A batch is a part by design; what a limit keeps out of every batch is said in each.
            kept_out = max(task.of_suite - len(task.items), 0)
            of_suite = len(taken) + kept_out if kept_out else 0
            tasks.append(replace(task, items=tuple(sorted(taken, key=lambda item: item.item_id)), of_suite=of_suite))
    return plan.part(tasks)


def _decided(asked: Sequence[tuple[Results, Results]], policy: Policy) -> Decision:
    compared = with_batches(compare_results(*asked[0], policy), asked[1:], policy)
    return judge(compared.teacher, compared.student, policy, metrics=compared.metrics, findings=compared.findings)


def _results_of(task: PlannedTask, policy: Policy, decision: Decision) -> Iterator[CriterionResult]:
    sequential = {c.id: c for c in policy.criteria if c.sequential and not c.advisory and _reads(c, task)}
    for result in decision.criteria:
        if result.id in sequential and (sequential[result.id].pooled or (result.suite, result.task) == (task.suite, task.task)):
            yield result


def _is_open(task: PlannedTask, policy: Policy, decision: Decision) -> bool:
    """Whether more items could decide the task: a proven loss decides it, whatever else is still open."""
    verdicts = {result.verdict for result in _results_of(task, policy, decision)}
    return "inconclusive" in verdicts and not verdicts & {"fail", "invalid"}


def _stop(task: PlannedTask, policy: Policy, decision: Decision, *, left: int, alone: bool) -> TaskStop:
    verdicts = {result.verdict for result in _results_of(task, policy, decision)}
    worst = next((v for v in ("invalid", "fail", "inconclusive", "pass") if v in verdicts), "not judged")
    of = len(task.items)
    return TaskStop(task=task.name, asked=of - left, of=of, verdict=worst if alone else "asked as a whole")
