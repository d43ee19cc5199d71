"""A suite's entries with groups and tags as their tasks, each task once, and what every group averages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdgov.declarations.suite_parts.lm_eval_config import stated_config
from kdgov.declarations.suite_parts.task_file import NO_FILTER, filters_of, metrics_of, read_task_file
from kdgov.declarations.suite_parts.task_groups import Aggregate, Leaf, Names, Node, node_named, node_of_config, node_of_file
from kdgov.errors import InputError

if TYPE_CHECKING:
    from kdgov.declarations.suite_parts.suite_metric import MetricInSuite
    from kdgov.declarations.suite_parts.suite_task import TaskInSuite

_LM_EVAL = "lm_eval"
_ADDED = ("overconfidence", "confidence", "brier")
_SCALE = ("direction", "ideal", "range")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMean:
    """A metric that a group averages over its tasks."""

    metric: str
    """The metric, as the suite names it."""
    tasks: tuple[str, ...]
    """Tasks that give it; one that is named twice counts twice."""
    weighted: bool
    """Whether every item counts alike; else every task does."""
    of_numbers: bool = False
    """Whether the tasks' own numbers are averaged, which are no means over items (F1, perplexity): shown, and not judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteGroup:
    """A group or tag of a suite."""

    name: str
    """Its name in policies, and for choosing its tasks."""
    alias: str
    """Name for people; empty where it has none."""
    tasks: tuple[str, ...]
    """Its tasks."""
    means: tuple[GroupMean, ...]
    """What it averages; nothing for tags and for groups without ``aggregate_metric_list``."""


def expanded(entries: Sequence[TaskInSuite], path: Path) -> tuple[list[TaskInSuite], list[SuiteGroup]]:
    """The tasks that a suite's entries stand for, and its groups; the very entries where none is a group or tag.

    Raises:
        InputError: if a group is at fault, or two of them ask one task differently.
    """
    nodes = {id(entry): node for entry in entries if (node := _node(entry, entries, path)) is not None}
    if not nodes:
        return list(entries), []
    own = {entry.task: entry for entry in entries if id(entry) not in nodes}
    tasks = dict(own)
    for entry in entries:
        if (node := nodes.get(id(entry))) is not None:
            where = f"{path}: tasks.{entry.task}"
            _add(_tasks_of(entry, node, own, path, where), tasks, where)
    facts = {name: _Facts.of(task, path) for name, task in tasks.items()}
    groups: dict[str, SuiteGroup] = {}
    for entry in entries:
        if (top := nodes.get(id(entry))) is None:
            continue
        for node in top.nodes():
            where = f"{path}: tasks.{entry.task}"
            group = _suite_group(node, tasks, facts, where)
            if node.name in tasks or groups.setdefault(node.name, group) != group:
                raise InputError(f"two different things bear the name {node.name!r}", where=where, mend="Give one of them another name.")
    return list(tasks.values()), list(groups.values())


def _node(entry: TaskInSuite, entries: Sequence[TaskInSuite], path: Path) -> Node | None:
    """What an entry stands for; None for a task."""
    if entry.kind != _LM_EVAL or entry.config is not None:
        return None
    where = f"{path}: tasks.{entry.task}"
    own = frozenset(other.task for other in entries if other is not entry)
    names = Names(folder=path.parent, own=own, where=where)
    found: Node | None = None
    if entry.group is not None:
        found = node_of_config(entry.task, entry.group, names)
    elif entry.file is not None:
        file = path.parent / entry.file
        if "group" in (config := read_task_file(file, where=where)) and "class" not in config:
            found = node_of_file(file, names)
    elif names.stands_for_several(name := entry.lm_eval or entry.task):
        found = node_named(name, names)
    if found is not None and (entry.data or entry.fewshot_data):
        raise InputError("is a group and has `data`", where=where, mend="Give each task an entry with `data`; the group names them.")
    return None if found is None else Node(name=entry.task, alias=found.alias, aggregates=found.aggregates, below=found.below)


def _tasks_of(entry: TaskInSuite, node: Node, own: Mapping[str, TaskInSuite], path: Path, where: str) -> list[TaskInSuite]:
    found: dict[str, TaskInSuite] = {}
    for leaf in node.leaves():
        if leaf.name in own:
            if any(own[leaf.name].overrides.get(key) != value for key, value in leaf.overrides.items()):
                what = f"changes {', '.join(sorted(leaf.overrides))} of {leaf.name!r}, which the suite declares itself"
                raise InputError(what, where=where, mend="Write the settings under `overrides` of that entry.")
            continue
        task = _task(entry, leaf, path)
        if found.setdefault(leaf.name, task) != task:
            raise InputError(f"asks {leaf.name!r} in two ways", where=where, mend="Give both places the same settings: it is asked once.")
    facts = {name: _Facts.of(task, path) for name, task in found.items()}
    given = {m.metric for m in entry.metrics if any(one.gives(m) for one in facts.values())}
    kept = {name: [m for m in entry.metrics if one.gives(m) or m.metric not in given] for name, one in facts.items()}
    if bare := [name for name, metrics in kept.items() if not metrics]:
        gives = ", ".join(sorted(facts[bare[0]].metrics or ())) or "others"
        what = f"its task {bare[0]!r} gives none of the metrics {', '.join(m.metric for m in entry.metrics)}"
        raise InputError(what, where=where, mend=f"It gives {gives}: add one to `metrics`.")
    return [task.model_copy(update={"metrics": kept[name]}) for name, task in found.items()]


def _task(entry: TaskInSuite, leaf: Leaf, path: Path) -> TaskInSuite:
    file = None if leaf.file is None else leaf.file.relative_to(path.parent).as_posix()
    config = None if leaf.config is None else dict(leaf.config)
    changed: dict[str, Any] = {"task": leaf.name, "lm_eval": None, "group": None, "file": file, "config": config}
    changed["overrides"] = {} if config is not None else {**leaf.overrides, **entry.overrides}
    if config is not None:
        changed["config"] = {**config, **entry.overrides}
    return entry.model_copy(update=changed)


def _add(new: Iterable[TaskInSuite], tasks: dict[str, TaskInSuite], where: str) -> None:
    """Every task once, with the metrics of every group that names it."""
    for task in new:
        known = tasks.get(task.task)
        if known is None:
            tasks[task.task] = task
            continue
        if known.model_copy(update={"metrics": task.metrics}) != task:
            what = f"asks {task.task!r} otherwise than another group does"
            raise InputError(what, where=where, mend="Give both groups the same settings: it is asked once.")
        metrics = {m.metric: m for m in known.metrics}
        if clash := [m.metric for m in task.metrics if metrics.setdefault(m.metric, m) != m]:
            what = f"reads {clash[0]} of {task.task!r} otherwise than another group does"
            raise InputError(what, where=where, mend="Declare it alike in both.")
        tasks[task.task] = known.model_copy(update={"metrics": list(metrics.values())})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What a task's definition says of its metrics."""

    metrics: Mapping[str, bool] | None
    filters: Sequence[str]

    @classmethod
    def of(cls, task: TaskInSuite, path: Path) -> _Facts:
        if task.kind != _LM_EVAL:
            return cls(metrics=None, filters=(NO_FILTER,))
        config = stated_config(task, path)
        return cls(metrics=metrics_of(config), filters=filters_of(config))

    def gives(self, metric: MetricInSuite) -> bool:
        source = metric.source or metric.metric
        return bool(metric.judge) or self.metrics is None or source in self.metrics or source in _ADDED or ":" in source

    def averages(self, metric: MetricInSuite) -> bool:
        source = metric.source or metric.metric
        return bool(metric.judge) or self.metrics is None or self.metrics.get(source, True)

    def filter_of(self, metric: MetricInSuite) -> str:
        return NO_FILTER if metric.judge else metric.filter or self.filters[0]


def _suite_group(node: Node, tasks: Mapping[str, TaskInSuite], facts: Mapping[str, _Facts], where: str) -> SuiteGroup:
    leaves = [leaf.name for leaf in node.leaves()]
    means = [mean for row in node.aggregates for mean in _means(node.name, row, leaves, tasks, facts, where)]
    names = [mean.metric for mean in means]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"the group {node.name!r} averages {twice[0]} twice", where=where, mend="Keep one row of `aggregate_metric_list`.")
    return SuiteGroup(name=node.name, alias=node.alias, tasks=tuple(dict.fromkeys(leaves)), means=tuple(means))


def _means(
    name: str, row: Aggregate, leaves: Sequence[str], tasks: Mapping[str, TaskInSuite], facts: Mapping[str, _Facts], where: str
) -> list[GroupMean]:
    """What one row averages, per metric that the suite declares of that source."""
    declared: dict[str, list[tuple[str, MetricInSuite]]] = {}
    for leaf in leaves:
        for metric in tasks[leaf].metrics:
            source = metric.metric if metric.judge else metric.source or metric.metric
            if source == row.metric and facts[leaf].gives(metric) and _passes(row, facts[leaf].filter_of(metric)):
                declared.setdefault(metric.metric, []).append((leaf, metric))
    found = []
    for metric_name, members in declared.items():
        filters = {facts[leaf].filter_of(metric) for leaf, metric in members}
        if len(filters) > 1:
            what = f"the tasks of the group {name!r} score {metric_name} through the filters {', '.join(sorted(filters))}"
            raise InputError(what, where=where, mend="Name one under `filter` of the metric.")
        scales = {tuple(str(getattr(metric, key)) for key in _SCALE) for _, metric in members}
        if len(scales) > 1:
            what = f"the tasks of the group {name!r} declare {metric_name} with other directions or ranges"
            raise InputError(what, where=where, mend="A mean over them has no meaning: declare them alike.")
        plain = all(facts[leaf].averages(metric) for leaf, metric in members)
        tasks_of = tuple(leaf for leaf, _ in members)
        found.append(GroupMean(metric=metric_name, tasks=tasks_of, weighted=row.weighted, of_numbers=not plain))
    return found


def _passes(row: Aggregate, filter_name: str) -> bool:
    return row.filters is None or filter_name in row.filters
