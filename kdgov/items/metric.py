"""What a suite declares of a metric: which way is better, which range is possible, what knowing nothing scores."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

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

    def covers(self, suite: str, task: str, metric: str) -> bool:
        """Whether this declaration speaks of that metric."""
        return fnmatchcase(suite, self.suite) and fnmatchcase(task, self.task) and fnmatchcase(metric, self.metric)

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary of every field."""
        return asdict(self)


def declaration_for(declarations: tuple[MetricDeclaration, ...], suite: str, task: str, metric: str) -> MetricDeclaration | None:
    """The first declaration that covers the metric, exact names before globs; None where no suite speaks of it."""
    exact = next((d for d in declarations if (d.suite, d.task, d.metric) == (suite, task, metric)), None)
    return exact or next((d for d in declarations if d.covers(suite, task, metric)), None)
