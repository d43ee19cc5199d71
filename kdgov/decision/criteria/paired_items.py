"""Scores of both models on the same items, and several tasks of them as one set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kdgov.decision.statistics.clusters import Codes
from kdgov.decision.statistics.methods import Estimate, absolute, compare
from kdgov.decision.statistics.paired import Values
from kdgov.decision.statistics.stratified import Strata, absolute_strata, compare_strata
from kdgov.items import MetricKey
from kdgov.items.table import Indices

Groups = tuple[npt.NDArray[np.int64], tuple[str, ...]]
"""Code of every item, and the group text each code stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Why two sets of rows cannot be compared."""

    reason: str
    """What differs, with file and row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Scores of both models on the same items, in the same order."""

    keys: tuple[MetricKey, ...]
    """What was paired; several where tasks are pooled."""
    teacher: Values
    """Teacher's scores, shape (n,)."""
    student: Values
    """Student's scores, shape (n,)."""
    clusters: Codes | None
    """Cluster number of every item; None where each item is its own."""
    repeats: Codes | None
    """Item number of every row, where an item has several: samples of one item; None where each row is an item of its own."""
    chance: Values | None
    """Score of knowing nothing per item, NaN where none is stated; None where no row states one."""
    weights: Values | None
    """How much each item counts in a weighted mean; None where no row says."""
    gold_teacher: Values | None = None
    """Trusted score of the teacher's answers, NaN where an item has none; None where no row states one."""
    gold_student: Values | None = None
    """Trusted score of the student's answers, likewise."""
    batches: Codes | None = None
    """Number of the batch in which every item was drawn; None where no row says."""
    groups: Groups | None
    """Code per item and the group texts they stand for; None where no row has a group."""
    teacher_rows: tuple[Indices, ...]
    """Rows of the teacher's table, per key."""
    student_rows: tuple[Indices, ...]
    """Rows of the student's table, per key."""
    strata: Strata | None = None
    """The tasks of a group, each counting as the group says; None where every item counts alike."""

    def mean(self, scores: Values) -> float:
        """Mean of the items, or of the group."""
        return float(scores.mean()) if self.strata is None else self.strata.mean(scores)

    def difference(self, teacher: Values, student: Values, *, reach: float | None, worst: float | None = None) -> Estimate:
        """The interval of the mean difference of two sets of scores of these items."""
        if self.strata is None:
            return compare(teacher, student, clusters=self.clusters, reach=reach, worst=worst)
        return compare_strata(teacher, student, self.strata, clusters=self.clusters, reach=reach, worst=worst)

    def level(self, scores: Values, *, reach: float | None) -> Estimate:
        """The interval of the mean of one set of scores of these items."""
        if self.strata is None:
            return absolute(scores, clusters=self.clusters, reach=reach)
        return absolute_strata(scores, self.strata, clusters=self.clusters, reach=reach)

    @property
    def worth(self) -> float:
        """How many items of equal weight would tell as much."""
        return float(self.n) if self.strata is None else self.strata.worth

    def select(self, kept: npt.NDArray[np.bool_]) -> Pairs:
        """The pairs where ``kept`` is True."""
        parts = np.split(kept, np.cumsum([len(rows) for rows in self.teacher_rows])[:-1])
        return Pairs(
            keys=self.keys,
            teacher=self.teacher[kept],
            student=self.student[kept],
            clusters=_of(self.clusters, kept),
            repeats=_of(self.repeats, kept),
            chance=_of(self.chance, kept),
            weights=_of(self.weights, kept),
            gold_teacher=_of(self.gold_teacher, kept),
            gold_student=_of(self.gold_student, kept),
            batches=_of(self.batches, kept),
            groups=None,
            teacher_rows=tuple(rows[part] for rows, part in zip(self.teacher_rows, parts, strict=True)),
            student_rows=tuple(rows[part] for rows, part in zip(self.student_rows, parts, strict=True)),
        )

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.teacher)


def pool(parts: Sequence[Pairs]) -> Pairs:
    """Several tasks of one metric as one set of items; clusters of different tasks stay apart."""
    if len(parts) == 1:
        return parts[0]
    return Pairs(
        keys=tuple(key for part in parts for key in part.keys),
        teacher=np.concatenate([part.teacher for part in parts]),
        student=np.concatenate([part.student for part in parts]),
        clusters=_pool_codes(parts, [part.clusters for part in parts]),
        repeats=_pool_codes(parts, [part.repeats for part in parts]),
        chance=_pool_numbers(parts, [part.chance for part in parts]),
        weights=_pool_numbers(parts, [part.weights for part in parts]),
        gold_teacher=_pool_numbers(parts, [part.gold_teacher for part in parts]),
        gold_student=_pool_numbers(parts, [part.gold_student for part in parts]),
        batches=_pool_batches(parts),
        groups=_pool_groups(parts),
        teacher_rows=tuple(rows for part in parts for rows in part.teacher_rows),
        student_rows=tuple(rows for part in parts for rows in part.student_rows),
    )


def _of(values: Any, kept: npt.NDArray[np.bool_]) -> Any:
    return None if values is None else values[kept]


def _pool_codes(parts: Sequence[Pairs], codes: Sequence[Codes | None]) -> Codes | None:
    if all(one is None for one in codes):
        return None
    moved, start = [], 0
    for part, one in zip(parts, codes, strict=True):
        own = np.arange(part.n) if one is None else one
        moved.append(own + start)
        start += int(own.max(initial=-1)) + 1
    return np.concatenate(moved)


def _pool_numbers(parts: Sequence[Pairs], numbers: Sequence[Values | None]) -> Values | None:
    if all(one is None for one in numbers):
        return None
    return np.concatenate([np.full(part.n, np.nan) if one is None else one for part, one in zip(parts, numbers, strict=True)])


def _pool_batches(parts: Sequence[Pairs]) -> Codes | None:
    if all(part.batches is None for part in parts):
        return None
    return np.concatenate([np.zeros(part.n, dtype=np.int64) if part.batches is None else part.batches for part in parts])


def _pool_groups(parts: Sequence[Pairs]) -> Groups | None:
    if all(part.groups is None for part in parts):
        return None
    texts: dict[str, int] = {}
    codes = []
    for part in parts:
        own, names = part.groups if part.groups is not None else (np.zeros(part.n, dtype=np.int64), ("{}",))
        recode = np.array([texts.setdefault(name, len(texts)) for name in names], dtype=np.int64)
        codes.append(recode[own])
    return np.concatenate(codes), tuple(texts)
