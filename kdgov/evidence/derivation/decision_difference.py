"""What two decisions about the same evidence decide otherwise: verdicts, numbers, names and digests; wording does not count."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

_CLOSE = 1e-6
"""Numbers of another processor may differ in the last digits; verdicts may not."""
_NUMBERS = ("n", "teacher", "student", "difference", "bound", "margin", "confidence")
_PLACE = ("id", "kind", "suite", "task", "metric", "group", "reference", "verdict", "waived")


def decision_differences(sealed: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[str]:
    """What a decision decides, twice: verdicts, numbers, names and digests. Wording may differ between versions of kdgov."""
    for key in ("schema", "verdict", "policy", "subject", "digests", "base", "as_of"):
        if sealed.get(key) != again.get(key):
            yield f"{key} is sealed as {_short(sealed.get(key))}, judged again {_short(again.get(key))}"
    for key, of_row in (("criteria", _criterion), ("findings", _finding), ("waivers", dict), ("approvals", dict)):
        rows = [[of_row(row) for row in document.get(key) or []] for document in (sealed, again)]
        if len(rows[0]) != len(rows[1]):
            yield f"it has {len(rows[0])} {key}, judged again there are {len(rows[1])}"
        for first, second in zip(*rows, strict=False):
            if not _same(first, second):
                odd = next(name for name in {**first, **second} if not _same(first.get(name), second.get(name)))
                named = first.get("id") or first.get("rule") or first.get("criterion") or first.get("role") or key
                yield f"{named}: {odd} is sealed as {_short(first.get(odd))}, judged again {_short(second.get(odd))}"


def _criterion(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in (*_PLACE, *_NUMBERS)}


def _finding(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in ("check", "verdict", "subject", "rule")}


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, (int, float)) and isinstance(right, (int, float)) and not isinstance(left, bool):
        return math.isclose(left, right, rel_tol=_CLOSE, abs_tol=_CLOSE)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[name], right[name]) for name in left)
    return bool(left == right)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
