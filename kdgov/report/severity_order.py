"""Worst first: the order in which every report lists results, and the words for verdicts."""

from __future__ import annotations

import re
from typing import Any

from kdgov.decision.decision import CriterionResult, Decision
from kdgov.quantities import decimal, fixed, percent

RANK = {"invalid": 0, "fail": 1, "inconclusive": 2, "pass": 3}
TITLES = {"pass": "PASS", "fail": "FAIL", "inconclusive": "INCONCLUSIVE", "invalid": "INVALID"}
MEANS = {
    "pass": "the student may be promoted",
    "fail": "the student is blocked",
    "inconclusive": "the student is blocked until the open questions are decided",
    "invalid": "the evidence cannot be judged: the student is blocked",
}


def worst_first(decision: Decision) -> list[CriterionResult]:
    """Results by verdict, waived ones after those that stop, then by how far their bound misses the margin."""
    return sorted(decision.criteria, key=lambda r: (not r.stops, RANK[r.verdict], _room(r), r.id, r.place))


def _room(result: CriterionResult) -> float:
    if result.bound is None or result.margin is None:
        return float("-inf") if result.verdict != "pass" else float("inf")
    return (result.bound + result.margin) / (result.margin or 1.0)


def shares(result: CriterionResult) -> bool:
    """Whether a result's numbers read as percentages."""
    return result.unit == "share"


def value(number: float | None, *, share: bool) -> str:
    """``85.0 %`` or four digits; a dash where there is no number."""
    if number is None:
        return "–"
    return percent(number) if share else decimal(number)


def points(number: float | None, *, share: bool) -> str:
    """``−6.3`` percentage points, or signed digits; a dash where there is no number."""
    if number is None:
        return "–"
    return fixed(100 * number, 1, signed=True) if share else decimal(number, 3, signed=True)


def columns(result: CriterionResult) -> tuple[str, str, str, str, str]:
    """Teacher, student, change, bound and limit of a result, as every table shows them.

    A change is always student minus teacher in the better direction. Against a floor, a ceiling, a share to keep or what guessing
    allows, the bound is that of the student's own value or of the share kept, and there is no change but for the share.
    """
    share = shares(result)
    teacher, student = value(result.teacher, share=share), value(result.student, share=share)
    match result.kind:
        case "retention" if result.details.get("kept_at_least") is not None and result.teacher is not None and result.student is not None:
            least, asked = result.details["kept_at_least"], result.details["share"]
            change = points(result.student - result.teacher, share=share)
            return teacher, student, change, f"{value(least, share=True)} kept", f"≥ {value(asked, share=True)} kept"
        case "efficiency":
            ratio = f"× {decimal(result.student / result.teacher, 3)}" if result.teacher and result.student is not None else "–"
            most, least = allowed_ratios(result)
            limits = [f"{sign} × {decimal(limit, 3)}" for sign, limit in (("≤", most), ("≥", least)) if limit is not None]
            return teacher, student, ratio, "–", ", ".join(limits) or "–"
        case "exposure":
            highest = None if result.bound is None or result.student is None or result.difference is None else _highest(result)
            allowed = "–" if result.margin is None or highest is None else f"≤ {value(_chance(result) + result.margin, share=False)}"
            return teacher, student, "–", value(highest, share=False), allowed
    limit = own_limit(result)
    if limit is None:
        allowed = points(None if result.margin is None else -result.margin, share=share)
        return teacher, student, points(result.difference, share=share), points(result.bound, share=share), allowed
    is_floor = result.details.get("limit_kind") == "floor"
    edge = None if result.bound is None else (limit + result.bound if is_floor else limit - result.bound)
    return teacher, student, "–", value(edge, share=share), f"{'≥' if is_floor else '≤'} {value(limit, share=share)}"


def own_limit(result: CriterionResult) -> Any:
    """The limit of the student's own value; None where a change is judged, as of a gap that may be wider than the teacher's by a margin."""
    return None if result.kind == "gap" and result.margin else result.details.get("limit")


def allowed_ratios(result: CriterionResult) -> tuple[float | None, float | None]:
    """Largest and smallest ratio that an efficiency result allows, as its details state them."""
    told = str(result.details.get("allowed") or "")
    found = {word: re.search(rf"{word} ([\d.e+-]+)", told) for word in ("at most", "at least")}
    most, least = (float(hit.group(1)) if hit else None for hit in found.values())
    return most, least


def _chance(result: CriterionResult) -> float:
    """The mean exposure of canaries that nobody saw: what an exposure's difference is taken from."""
    return float(result.student or 0.0) + float(result.difference or 0.0)


def _highest(result: CriterionResult) -> float:
    """The largest mean exposure that the canaries leave open."""
    return _chance(result) - float(result.bound or 0.0)


def headline(decision: Decision) -> str:
    """``FAIL: the student is blocked. Of 12 results 1 failed.``."""
    waived = " with waivers" if decision.verdict == "pass" and any(r.waived for r in decision.criteria) else ""
    return f"{TITLES[decision.verdict]}: {MEANS[decision.verdict]}{waived}. {decision.reason}"
