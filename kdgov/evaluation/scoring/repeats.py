"""Several sampled answers to one question: their mean, their majority, and the chance that one of k is right."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kdgov.errors import InputError

_SOURCE = re.compile(r"(mean|majority|pass@([1-9]\d*)):(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """All answers to one item under one filter of its task."""

    texts: tuple[str, ...]
    """What the filter made of each answer."""
    values: tuple[Mapping[str, Any], ...]
    """The task's own metrics of each answer, taken alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedMetric:
    """What a suite writes as ``source``: ``mean:exact_match``, ``majority:exact_match``, ``pass@5:exact_match``."""

    how: str
    """mean, majority or pass."""
    k: int
    """Of how many answers one must be right, for pass; else 0."""
    metric: str
    """The task's own metric of one answer."""


def repeated_metric(source: str) -> RepeatedMetric | None:
    """The declared statistic over repeated answers; None where the source is a plain metric.

    >>> repeated_metric("pass@5:exact_match").k, repeated_metric("exact_match")
    (5, None)
    """
    match = _SOURCE.fullmatch(source)
    if match is None:
        return None
    return RepeatedMetric(how=match[1].partition("@")[0], k=int(match[2] or 0), metric=match[3])


def repeated_score(
    said: RepeatedMetric, samples: Samples, *, of_one: Callable[[Mapping[str, Any]], float | None], of_text: Callable[[str], float | None],
    where: str,
) -> float | None:  # fmt: skip
    """One item's score over its repeated answers.

    Args:
        said: the statistic.
        samples: the answers.
        of_one: metrics of one answer → score of the metric.
        of_text: a filtered answer → its score, for the majority's.
        where: place for messages.

    Raises:
        InputError: if there are fewer answers than ``pass@k`` needs, or its metric is not right or wrong.
    """
    if said.how == "majority":
        # The most frequent answer; of equals the one that came first, as a vote counted in order would have it.
        return of_text(Counter(samples.texts).most_common(1)[0][0])
    scores = [of_one(values) for values in samples.values]
    known = [score for score in scores if score is not None]
    if len(known) < len(scores):
        return None
    if said.how == "mean":
        return math.fsum(known) / len(known)
    if any(score not in (0.0, 1.0) for score in known):
        raise InputError(f"pass@{said.k} needs a metric that is 0 or 1", where=where, mend="Name one such as exact_match, or use `mean:`.")
    return pass_at_k(len(known), int(sum(known)), said.k, where=where)


def pass_at_k(n: int, right: int, k: int, *, where: str = "") -> float:
    """The unbiased estimate that at least one of ``k`` answers is right, of ``n`` of which ``right`` were.

    >>> pass_at_k(5, 1, 5), round(pass_at_k(5, 1, 1), 3), round(pass_at_k(4, 2, 2), 3)
    (1.0, 0.2, 0.833)

    Raises:
        InputError: if fewer than ``k`` answers were asked for.

    Source: Chen et al. 2021, arXiv:2107.03374, section 2.1.
    """
    if k > n:
        raise InputError(f"pass@{k} needs {k} answers and {n} are asked", where=where, mend="Raise `repeats` of the task, or lower k.")
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)
