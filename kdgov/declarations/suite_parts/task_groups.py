"""lm-eval's groups and tags as the tasks they stand for: what a suite names once becomes one entry per task, and the group's mean.

Groups nest, name tags, change settings of their tasks (``{task: …, num_fewshot: 2}``) and define tasks and further groups in place, as
lm-eval's own files do. Names are looked up among the suite's own entries first, then in files beside the suite, then in lm-eval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from kdgov.declarations.suite_parts.task_file import functions_in, read_task_file
from kdgov.declarations.suite_parts.task_index import TaskIndex, builtin_index, is_installed, scanned, unknown_name
from kdgov.errors import InputError

_OF_A_GROUP = ("group", "group_alias", "task", "aggregate_metric_list", "metadata", "tag", "task_list", "include")
_MOST_NESTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """One row of a group's ``aggregate_metric_list``."""

    metric: str
    """The tasks' metric, as lm-eval names it."""
    filters: tuple[str, ...] | None
    """Filters whose values are averaged; None: whichever the tasks have."""
    weighted: bool
    """Whether every item counts alike; else every task does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One task below a group."""

    name: str
    """Its name in results."""
    file: Path | None = None
    """Its file beside the suite; None for one of lm-eval's, an entry of the suite, or one defined in place."""
    config: Mapping[str, Any] | None = None
    """The whole task, where the group defines it in place."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Settings that the group changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A group or tag with what lies below it."""

    name: str
    """Its name; ``outer::inner`` for one that a group defines in place."""
    alias: str
    """Name for people."""
    aggregates: tuple[Aggregate, ...]
    """What it averages; nothing for a tag."""
    below: tuple[Node | Leaf, ...]
    """In the order of its definition."""

    def leaves(self) -> Iterator[Leaf]:
        """Every task below; one that two inner groups name comes twice, and counts twice, as in lm-eval."""
        for one in self.below:
            yield from one.leaves() if isinstance(one, Node) else (one,)

    def nodes(self) -> Iterator[Node]:
        """This group and every one below it."""
        yield self
        for one in self.below:
            if isinstance(one, Node):
                yield from one.nodes()


@dataclass(frozen=True, kw_only=True)
class Names:
    """Where names of a suite are looked up."""

    folder: Path
    """The suite's folder."""
    own: frozenset[str]
    """Tasks that the suite declares itself."""
    where: str
    """Place for messages."""

    @cached_property
    def beside(self) -> TaskIndex:
        """What files beside the suite define."""
        return scanned(self.folder)

    @cached_property
    def builtin(self) -> TaskIndex:
        """What lm-eval defines."""
        return builtin_index() if is_installed() else TaskIndex(root=self.folder, tasks={}, groups={}, tags={})

    def stands_for_several(self, name: str) -> bool:
        """Whether a name is a group or a tag, and no task of lm-eval's."""
        if name in self.builtin.tasks:
            return False
        return any(name in index.groups or name in index.tags for index in (self.beside, self.builtin))

    def index_of(self, name: str) -> TaskIndex:
        """The index that knows a name: files beside the suite go before lm-eval's own.

        Raises:
            InputError: if neither does.
        """
        for index in (self.beside, self.builtin):
            if index.knows(name):
                return index
        raise unknown_name(name, where=self.where)


def node_named(name: str, names: Names) -> Node:
    """The group or tag of a name.

    Raises:
        InputError: if nothing has that name, or a definition is at fault.
    """
    found = _named(name, {}, names, ())
    if isinstance(found, Leaf):
        raise InputError(f"{name!r} is one task", where=names.where, mend="Name its file under `file`.")
    return found


def node_of_file(path: Path, names: Names) -> Node:
    """The group that a file defines.

    Raises:
        InputError: if the definition is at fault.
    """
    config = read_task_file(path, where=names.where)
    return _group(str(config.get("group")), config, {}, names, ())


def node_of_config(name: str, config: Mapping[str, Any], names: Names) -> Node:
    """The group that a suite defines in place.

    Raises:
        InputError: if the definition is at fault.
    """
    return _group(name, config, {}, names, ())


def _named(name: str, overrides: Mapping[str, Any], names: Names, above: tuple[str, ...]) -> Node | Leaf:
    if name in names.own:
        return Leaf(name=name, overrides=overrides)
    if name in above or len(above) > _MOST_NESTED:
        raise InputError(f"the group {name!r} holds itself", where=names.where, mend="Take it out of its own `task:` list.")
    index = names.index_of(name)
    is_beside = index is names.beside
    if name in index.groups:
        config = read_task_file(index.root / index.groups[name], where=names.where)
        return _group(name, config, overrides, names, above)
    if name in index.tags:
        below = tuple(_leaf(task, names, overrides, is_beside=is_beside) for task in index.tags[name])
        return Node(name=name, alias="", aggregates=(), below=below)
    return _leaf(name, names, overrides, is_beside=is_beside)


def _leaf(name: str, names: Names, overrides: Mapping[str, Any], *, is_beside: bool) -> Leaf:
    if name in names.own:
        return Leaf(name=name, overrides=overrides)
    return Leaf(name=name, file=names.beside.root / names.beside.tasks[name] if is_beside else None, overrides=overrides)


def _group(name: str, config: Mapping[str, Any], overrides: Mapping[str, Any], names: Names, above: tuple[str, ...]) -> Node:
    own = _plain({key: value for key, value in config.items() if key not in _OF_A_GROUP}, name, names)
    # Whoever names a group changes more than the group itself.
    merged = {**own, **overrides}
    listed = config.get("task")
    members = [listed] if isinstance(listed, str) else listed
    if not isinstance(members, list) or not members:
        raise InputError(f"the group {name!r} lists no tasks", where=names.where, mend="Write `task: [name, …]`.")
    below = tuple(found for one in members for found in _member(one, name, merged, names, (*above, name)))
    alias = str(config.get("group_alias") or "")
    return Node(name=name, alias=alias, aggregates=_aggregates(config.get("aggregate_metric_list"), name, names), below=below)


def _member(one: Any, group: str, overrides: Mapping[str, Any], names: Names, above: tuple[str, ...]) -> Iterator[Node | Leaf]:
    if isinstance(one, str):
        found = _named(one, overrides, names, above)
        # A tag is a short way of writing its tasks, and no group of its own.
        yield from found.below if isinstance(found, Node) and not _is_group(one, names) else (found,)
        return
    if not isinstance(one, Mapping) or not ("task" in one or "group" in one):
        raise InputError(f"the group {group!r} lists {str(one)[:60]!r}", where=names.where, mend="Write a name, or a mapping with `task:`.")
    if "group" in one:
        inner = str(one["group"])
        if _knows(inner, names):
            changed = _plain({key: value for key, value in one.items() if key not in _OF_A_GROUP}, inner, names)
            yield _named(inner, {**overrides, **changed}, names, above)
        else:
            yield _group(f"{group}::{inner}", one, overrides, names, above)
        return
    base = str(one["task"])
    changed = _plain({key: value for key, value in one.items() if key not in ("task", "tag", "group")}, base, names)
    # Without data of its own it is no task defined here, but a name that nobody knows, which is refused with the nearest ones.
    if not _knows(base, names) and "dataset_path" in {**overrides, **changed}:
        yield Leaf(name=f"{group}::{base}", config={**overrides, **changed})
        return
    found = _named(base, {**overrides, **changed}, names, above)
    yield from found.below if isinstance(found, Node) and not _is_group(base, names) else (found,)


def _knows(name: str, names: Names) -> bool:
    return name in names.own or names.beside.knows(name) or names.builtin.knows(name)


def _is_group(name: str, names: Names) -> bool:
    return name in names.index_of(name).groups


def _plain(settings: Mapping[str, Any], of: str, names: Names) -> dict[str, Any]:
    if functions := functions_in(settings):
        what = f"the settings given to {of!r} in a group name the function {functions[0]}"
        raise InputError(what, where=names.where, mend="Write them in a task file of their own, and name that task in the group.")
    if "include" in settings:
        raise InputError(f"{of!r} is defined in a group with `include`", where=names.where, mend="Write its keys there, or a task file.")
    return dict(settings)


def _aggregates(listed: Any, name: str, names: Names) -> tuple[Aggregate, ...]:
    rows: Sequence[Any] = [listed] if isinstance(listed, Mapping) else listed or []
    found = []
    for row in rows:
        fault = _aggregate_fault(row)
        if fault:
            raise InputError(f"aggregate_metric_list of the group {name!r}: {fault}", where=names.where, mend="See docs/evaluation.md.")
        filters = row.get("filter_list")
        kept = None if filters is None else (filters,) if isinstance(filters, str) else tuple(str(one) for one in filters)
        found.append(Aggregate(metric=str(row["metric"]), filters=kept, weighted=bool(row.get("weight_by_size", True))))
    return tuple(found)


def _aggregate_fault(row: Any) -> str:
    if not isinstance(row, Mapping) or not isinstance(row.get("metric"), str):
        return "a row names no metric"
    if unknown := sorted(set(row) - {"metric", "filter_list", "aggregation", "weight_by_size", "higher_is_better"}):
        return f"{unknown[0]} is no key of it"
    if row.get("aggregation", "mean") != "mean" or functions_in(row):
        return f"{row.get('aggregation')!r} is no mean, and lm-eval knows no other"
    if not isinstance(row.get("weight_by_size", True), (bool, int)):
        return f"weight_by_size is {row.get('weight_by_size')!r}; write true or false"
    if not isinstance(row.get("filter_list"), (list, str, type(None))):
        return "filter_list is no list"
    return ""
