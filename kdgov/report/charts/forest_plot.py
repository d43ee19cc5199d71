"""The forest plot of a decision: every result against its own limit, those that stop the release first.

All results share one axis: the room that is left to the limit, in units of what the policy allows. 0 is the limit, 1 is the teacher
(for margins). Law: a verdict's mark lies left of the limit, in the shaded area, exactly if the result does not pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from kdgov.decision.decision import CriterionResult
from kdgov.quantities import fixed, minus
from kdgov.report.charts.drawing import Drawing
from kdgov.report.severity_order import allowed_ratios, columns, own_limit

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW, _FOOT = 1000.0, 340.0, 250.0, 84.0, 36.0, 44.0
_FROM, _TO = -2.0, 3.0
"""Units of room that the axis shows; beyond them an arrow tells how far."""
_AT_THE_LIMIT = 0.12
"""How far from the limit a mark lies whose bound is not what decided: too few items on the bound's good side, for example."""


def forest_plot(results: Sequence[CriterionResult], *, name: str = "forest") -> str:
    """The picture as SVG; empty without results.

    Args:
        results: in the order they are to be drawn, such as `worst_first` gives.
        name: identifier of the picture on its page.
    """
    if not results:
        return ""
    told = "; ".join(f"{r.id} on {r.place}: {r.verdict}" for r in results)
    picture = Drawing(name, _WIDTH, title=finding(results), description=told)
    bottom = _TOP + _ROW * len(results)
    _frame(picture, results, bottom)
    for index, result in enumerate(results):
        _row(picture, result, _TOP + _ROW * index + _ROW / 2)
    return picture.svg(bottom + _FOOT)


def finding(results: Sequence[CriterionResult]) -> str:
    """The plot's title: what it shows, in one sentence."""
    stops = [r for r in results if r.verdict != "pass" and not r.waived]
    if not stops:
        return f"All {len(results)} results keep their limits" if len(results) > 1 else "The one result keeps its limit"
    names = ", ".join(dict.fromkeys(r.id for r in stops))
    verb = "does" if len(stops) == 1 else "do"
    return f"{len(stops)} of {len(results)} results {verb} not pass: {names}"


def room(result: CriterionResult) -> tuple[float, float, float] | None:
    """(bound, point, upper) of a result as room to its limit, in units of what is allowed; None where no distance decides.

    Exposures without a ceiling are judged by how likely they are by chance: there is no limit to be near to.
    """
    limit = own_limit(result)
    if result.kind == "efficiency":
        return _ratio_room(result)
    if result.bound is None or (result.margin is None and not isinstance(limit, (int, float))):
        return None
    if result.kind == "retention":
        # 0 is the share that must be kept, 1 is the teacher: the unit is what may be lost.
        unit = (1.0 - float(result.details.get("share") or 0.0)) * float(result.teacher or 0.0) or 1.0
        upper = result.bound if result.upper is None else result.upper
        return result.bound / unit, (result.difference or 0.0) / unit, upper / unit
    if isinstance(limit, (int, float)):
        unit = abs(float(limit)) or 1.0
        sign = 1.0 if result.details.get("limit_kind") == "floor" else -1.0
        point = sign * ((result.student if result.student is not None else float(limit)) - float(limit)) / unit
        return result.bound / unit, point, point
    unit = abs(result.margin or 0.0) or 1.0
    shift = 1.0 if result.margin else 0.0
    point = result.bound if result.difference is None else result.difference
    upper = point if result.upper is None else result.upper
    return result.bound / unit + shift, point / unit + shift, upper / unit + shift


def _ratio_room(result: CriterionResult) -> tuple[float, float, float] | None:
    """Of a ratio with one limit; what was measured has no number in a decision."""
    most, least = allowed_ratios(result)
    limit = most if least is None else least if most is None else None
    if not limit or not result.teacher or result.student is None:
        return None
    left = (limit - result.student / result.teacher) / limit * (1.0 if least is None else -1.0)
    return left, left, left


def _frame(picture: Drawing, results: Sequence[CriterionResult], bottom: float) -> None:
    worst = next((r.verdict for r in results if r.verdict != "pass" and not r.waived), "pass")
    picture.text(10, 24, finding(results), bold=True, size=16, colour=worst, limit=105)
    picture.text(
        10,
        44,
        "Room left to each limit, in units of what the policy allows. Ring: measured; bar: interval; mark at its left end: what decides.",
        colour="quiet",
        limit=160,
    )
    picture.rect(_LEFT, _TOP - 18, _x(0.0) - _LEFT, bottom - _TOP + 18, "forbidden")
    picture.text((_LEFT + _x(0.0)) / 2, _TOP - 24, "not allowed", anchor="middle", colour="fail")
    for unit in range(int(_FROM), int(_TO) + 1):
        if unit:
            picture.line(_x(unit), _TOP - 18, _x(unit), bottom, "grid", dash="" if unit == 1 else "2 4")
        picture.text(_x(unit), bottom + 16, minus(f"{unit}"), anchor="middle", colour="quiet", size=11)
    picture.text(_x(0.5), bottom + 34, "room left (0: the limit, 1: all that the policy allows)", anchor="middle", colour="quiet", size=11)
    picture.line(_x(0.0), _TOP - 18, _x(0.0), bottom, "fail", width=2)
    picture.text(_x(1.0), _TOP - 24, "as the teacher", anchor="middle", colour="quiet")
    picture.text(_WIDTH - 8, _TOP - 24, "teacher → student, allowed", anchor="end", colour="quiet")


def _row(picture: Drawing, result: CriterionResult, y: float) -> None:
    colour = result.verdict
    waived = " (waived)" if result.waived else ""
    picture.text(10, y - 3, result.id + waived, bold=result.verdict != "pass", colour=colour, limit=42)
    picture.text(10, y + 12, f"{result.place}, n={result.n:,}" if result.n else result.place, colour="quiet", size=11, limit=54)
    spans = room(result)
    if spans is not None:
        low, point, high = spans
        picture.line(_x(low), y, _x(max(high, low)), y, colour, width=4)
        for end in (low, max(high, low)):
            if _FROM <= end <= _TO:
                picture.line(_x(end), y - 7, _x(end), y + 7, colour, width=2)
        if _FROM <= point <= _TO:
            picture.circle(_x(point), y, 4, colour, hollow=True)
        _clipped(picture, low, max(high, low), y, colour)
    picture.mark(_x(_decided_at(result, spans)), y, result.verdict)
    teacher, student, _, _, allowed = columns(result)
    change = f"{teacher} → {student}" if teacher != "–" else student
    picture.text(_WIDTH - 8, y - 3, f"{result.verdict}{waived}", anchor="end", colour=colour, bold=True)
    picture.text(_WIDTH - 8, y + 12, f"{change}, {allowed}", anchor="end", size=11, limit=44)


def _decided_at(result: CriterionResult, spans: tuple[float, float, float] | None) -> float:
    low = spans[0] if spans is not None else 0.0
    # Of two limits that agree to the last digit a mark must still show which side it is on.
    return max(low, _AT_THE_LIMIT) if result.verdict == "pass" else min(low, -_AT_THE_LIMIT)


def _clipped(picture: Drawing, low: float, high: float, y: float, colour: str) -> None:
    """Arrows where an interval leaves the axis, outside it so that no mark hides them."""
    if low < _FROM:
        x = _x(_FROM) - 8
        picture.path(f"M{x - 8:.1f} {y:.1f}l8 -6v12z", colour, filled=True)
        picture.text(x + 14, y - 8, f"{fixed(low, 1)} × what is allowed", colour=colour, size=11)
    if high > _TO:
        x = _x(_TO) + 4
        picture.path(f"M{x + 8:.1f} {y:.1f}l-8 -6v12z", colour, filled=True)


def _x(units: float) -> float:
    inside = min(max(units, _FROM), _TO)
    return _LEFT + (inside - _FROM) / (_TO - _FROM) * (_WIDTH - _LEFT - _RIGHT)
