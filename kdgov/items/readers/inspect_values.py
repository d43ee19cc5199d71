"""What Inspect's scores are as numbers, and how its reducers bring the epochs of a sample together."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from kdgov.errors import InputError
from kdgov.items.formats.source import Source

_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_REDUCERS = "Known: mean, median, mode, max, at_least_k, pass_at_k, pass_k_k."


def number(value: Any) -> float:
    """What Inspect's own `value_to_float` makes of a value; NaN where that would warn and count 0."""
    if isinstance(value, (bool, int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if isinstance(value, str):
        if value in _GRADES:
            return _GRADES[value]
        if value.lower() in _WORDS:
            return _WORDS[value.lower()]
        try:
            return float(value)
        except ValueError:
            return math.nan
    return math.nan


def no_number(metric: str, values: Sequence[Any]) -> str:
    """Why a metric has no number for any sample; empty where one has."""
    stated = [v for v in values if v is not None]
    if stated and all(isinstance(v, str) and math.isnan(number(v)) for v in stated):
        shown = ", ".join(repr(str(v)[:20]) for v in list(dict.fromkeys(stated))[:3])
        return f"{metric} gives labels such as {shown}, which are no grades"
    return ""


def is_graded(values: Sequence[Any]) -> bool:
    """Whether all values are grades, yes and no, or true and false: shares of 0 to 1, of which more is better."""
    stated = [v for v in values if v is not None]
    return bool(stated) and all(isinstance(v, bool) or (isinstance(v, str) and (v in _GRADES or v.lower() in _WORDS)) for v in stated)


def reduced(stated: Sequence[Any], reducer: str, source: Source) -> float:
    """One item's epochs as Inspect's reducers bring them together."""
    values = [number(v) for v in stated]
    if any(math.isnan(v) for v in values):
        return math.nan
    name, _, count = reducer.rpartition("_")
    match name or reducer:
        case "mean":
            return math.fsum(values) / len(values)
        case "median":
            return statistics.median(values)
        case "mode":
            # Of what was written, before grades become numbers: I and N are both 0, and two values.
            return number(Counter(stated).most_common(1)[0][0])
        case "max":
            return max(values)
        case "at_least" if count.isdigit():
            return float(sum(v >= 1.0 for v in values) >= int(count))
        case "pass_at" if count.isdigit():
            return _pass_at(values, int(count))
        case "pass_k" if count.isdigit():
            return _pass_all(values, int(count))
    raise InputError(f"reduces epochs by {reducer!r}, which is unknown here", where=str(source), mend=_REDUCERS)


def _pass_at(values: Sequence[float], k: int) -> float:
    """Chen et al. 2021, arXiv:2107.03374, section 2.1: the unbiased estimate from n samples of which c are right."""
    n, right = len(values), sum(v >= 1.0 for v in values)
    if n - right < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - right + 1, n + 1))


def _pass_all(values: Sequence[float], k: int) -> float:
    """Yao et al. 2024, arXiv:2406.12045: the chance that k samples are all right, from n samples of which c are."""
    return math.comb(sum(v >= 1.0 for v in values), k) / math.comb(len(values), k) if len(values) >= k else math.nan
