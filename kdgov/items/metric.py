"""What a suite declares of a metric: which way is better, which range is possible, what knowing nothing scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from kdgov.items.table import MetricKey

Direction = Literal["higher", "lower", "target"]
"""``target`` means closeness to `MetricDeclaration.ideal`: a stereotype rate is best at 0.5, not at 0 or 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDeclaration:
    """What a suite says of one metric of one task; the gate never guesses any of it."""

    suite: str
    """Suite name; ``*`` and ``?`` match as in shell globs."""
    task: str
    """Task name or glob."""
    metric: str
    """Metric name or glob."""
    direction: Direction
    """Which scores are better."""
    ideal: float | None = None
    """The best score; required for ``target``."""
    chance: float | None = None
    """Mean score of a model that knows nothing; absent where only a control model can tell."""
    low: float | None = None
    """Smallest possible score; a score below it makes a decision invalid."""
    high: float | None = None
    """Largest possible score."""
    judge: str = ""
    """Name and digest of whatever turned an answer into a score; compared between the two models."""
    candidates: int | None = None
    """For ``exposure``: size ``|R|`` of the canary's candidate space, where rows carry no label."""
    statistic: str = "mean"
    """What the harness's aggregate is of the items: ``mean``, ``weighted_mean`` by the column ``weight``, ``f1``, ``mcc`` …"""
    harmful: bool = False
    """Whether the items' texts are masked in reports."""
    members: tuple[str, ...] = ()
    """Of a group's mean: the tasks whose scores are averaged; one that is named twice counts twice. Empty for a task's own metric."""
    weighted: bool = True
    """Of a group's mean: whether every item counts alike; else every task does."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(self.members))

    def covers(self, suite: str, task: str, metric: str) -> bool:
        """Whether this declaration speaks of that metric."""
        return fnmatchcase(suite, self.suite) and fnmatchcase(task, self.task) and fnmatchcase(metric, self.metric)

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary of every field; what groups alone have is left out of a task's."""
        found = asdict(self)
        if not self.members:
            return {name: value for name, value in found.items() if name not in ("members", "weighted")}
        return {**found, "members": list(self.members)}

    @property
    def group_name(self) -> str:
        """``suite/group metric``."""
        return f"{self.suite}/{self.task} {self.metric}"

    def member_keys(self) -> tuple[MetricKey, ...]:
        """The metrics that a group's mean is made of, each once."""
        return tuple(MetricKey(self.suite, task, self.metric) for task in dict.fromkeys(self.members))


def other_groups(ours: Iterable[MetricDeclaration], theirs: Iterable[MetricDeclaration]) -> list[str]:
    """Groups' means that two sides define otherwise, as ``suite/group metric``; a side that defines none says nothing of them."""
    sides = [{m.group_name: (sorted(m.members), m.weighted) for m in side if m.members} for side in (ours, theirs)]
    if not all(sides):
        return []
    return sorted(name for name in {*sides[0], *sides[1]} if sides[0].get(name) != sides[1].get(name))


def declaration_for(declarations: tuple[MetricDeclaration, ...], suite: str, task: str, metric: str) -> MetricDeclaration | None:
    """The first declaration that covers the metric, exact names before globs; None where no suite speaks of it."""
    exact = next((d for d in declarations if (d.suite, d.task, d.metric) == (suite, task, metric)), None)
    return exact or next((d for d in declarations if d.covers(suite, task, metric)), None)
