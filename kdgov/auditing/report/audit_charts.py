"""Charts of a report as inline SVG: each with a title and a description for those who do not see it.

Colours differ in lightness as well, and every mark has its own shape, so that print in grey and colour-blind readers lose
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.auditing.report.html_builder import Safe, join, tag

INK, QUIET, LINE = "#1b1b1b", "#4f4f4f", "#8a8a8a"
TEACHER, STUDENT = "#4f4f4f", "#0b4f8a"
VERDICT_COLOURS = {"pass": "#1b5e20", "fail": "#9b1c1c", "inconclusive": "#6b4700", "invalid": "#6a1b6a"}
_WIDTH, _LEFT, _RIGHT, _ROW = 920, 330, 210, 30
Scale = tuple[float, float]


def before_after(measures: Sequence[Mapping[str, Any]], *, name: str, title: str) -> Safe:
    """Teacher and student per measure, the student's interval, and the line it had to stay right of.

    Only measures on the scale from 0 to 1 are drawn; the table beside the chart has all of them. Empty when none is.
    """
    rows = [m for m in measures if _is_share(m)]
    if not rows:
        return Safe("")
    height = 56 + _ROW * len(rows)
    scale = _scale(rows)
    parts: list[Safe] = [_axis(height, scale)]
    for index, measure in enumerate(rows):
        parts += _row(measure, 52 + _ROW * index + _ROW / 2, scale)
    told = "; ".join(f"{_label(m)}: teacher {_percent(m['teacher'])}, student {_percent(m['student'])}, {m['verdict']}" for m in rows)
    return _svg(name, title, told, height, parts)


def _is_share(measure: Mapping[str, Any]) -> bool:
    pair = (measure.get("teacher"), measure.get("student"))
    return all(isinstance(v, (int, float)) and 0 <= v <= 1 for v in pair) and measure.get("kind") not in ("efficiency", "exposure")


def _row(measure: Mapping[str, Any], y: float, scale: Scale) -> list[Safe]:
    teacher, student = float(measure["teacher"]), float(measure["student"])
    colour = VERDICT_COLOURS.get(str(measure.get("verdict")), INK)
    waived = " (waived)" if measure.get("waived") else ""
    return [
        _text(_LEFT - 12, y + 4, _label(measure), anchor="end"),
        tag("line", x1=_x(teacher, scale), y1=_n(y), x2=_x(student, scale), y2=_n(y), stroke=LINE, stroke_width=2),
        *_interval(measure, y, scale),
        tag("circle", cx=_x(teacher, scale), cy=_n(y), r=5, fill="#ffffff", stroke=TEACHER, stroke_width=2),
        tag("rect", x=_n(_place(student, scale) - 5), y=_n(y - 5), width=10, height=10, fill=STUDENT),
        _text(_WIDTH - _RIGHT + 14, y + 4, f"{_percent(teacher)} → {_percent(student)}"),
        _text(_WIDTH - 6, y + 4, f"{measure.get('verdict', '')}{waived}", anchor="end", fill=colour, weight="bold"),
    ]


def _interval(measure: Mapping[str, Any], y: float, scale: Scale) -> list[Safe]:
    turn = _turn(measure)
    bound, upper, margin = measure.get("bound"), measure.get("upper"), measure.get("margin")
    teacher = float(measure["teacher"])
    if turn == 0 or bound is None:
        return []
    ends = [teacher + turn * float(bound), teacher + turn * float(upper if upper is not None else bound)]
    low, high = (min(1.0, max(0.0, end)) for end in sorted(ends))
    parts = [tag("line", x1=_x(low, scale), y1=_n(y), x2=_x(high, scale), y2=_n(y), stroke=STUDENT, stroke_width=4, opacity="0.55")]
    parts += [
        tag("line", x1=_x(end, scale), y1=_n(y - 6), x2=_x(end, scale), y2=_n(y + 6), stroke=STUDENT, stroke_width=2) for end in (low, high)
    ]
    if margin is not None and 0 <= (limit := teacher - turn * float(margin)) <= 1:
        dash = tag(
            "line",
            x1=_x(limit, scale),
            y1=_n(y - 10),
            x2=_x(limit, scale),
            y2=_n(y + 10),
            stroke=INK,
            stroke_width=2,
            stroke_dasharray="3 2",
        )
        parts.append(dash)
    return parts


def _turn(measure: Mapping[str, Any]) -> int:
    """1 where higher is better, -1 where lower is, 0 where neither end is the good one."""
    if stated := {"higher": 1, "lower": -1}.get(str(measure.get("better"))):
        return stated
    teacher, student, difference = measure.get("teacher"), measure.get("student"), measure.get("difference")
    if teacher is None or student is None or difference is None:
        return 0
    plain = float(student) - float(teacher)
    if abs(plain - float(difference)) < 1e-6:
        return 1
    return -1 if abs(plain + float(difference)) < 1e-6 else 0


def _scale(rows: Sequence[Mapping[str, Any]]) -> Scale:
    """The tenths between which every mark lies, at least two of them: dots compare by place, so the axis may start above 0."""
    seen = [float(m[key]) for m in rows for key in ("teacher", "student")]
    seen += [float(m["teacher"]) - _turn(m) * float(m["margin"]) for m in rows if m.get("margin") is not None]
    for measure in rows:
        seen += [float(measure["teacher"]) + _turn(measure) * float(measure[k]) for k in ("bound", "upper") if measure.get(k) is not None]
    low = max(0.0, math.floor(10 * min(seen)) / 10)
    high = min(1.0, math.ceil(10 * max(seen)) / 10)
    return (low, high) if high - low > 0.15 else (max(0.0, high - 0.2), max(high, 0.2))


def _axis(height: int, scale: Scale) -> Safe:
    parts = []
    low, high = scale
    steps = round((high - low) * 10)
    every = 1 if steps <= 5 else 2
    for step in range(0, steps + 1, every):
        share = low + step / 10
        x = _x(share, scale)
        parts.append(tag("line", x1=x, y1=40, x2=x, y2=_n(height - 4), stroke="#d6d6d6", stroke_width=1))
        parts.append(_text(float(x), 34, f"{100 * share:.0f} %", anchor="middle", fill=QUIET))
    legend = [
        tag("circle", cx=_LEFT, cy=12, r=5, fill="#ffffff", stroke=TEACHER, stroke_width=2),
        _text(_LEFT + 10, 16, "teacher"),
        tag("rect", x=_LEFT + 78, y=7, width=10, height=10, fill=STUDENT),
        _text(_LEFT + 94, 16, "student, with interval"),
        tag("line", x1=_LEFT + 250, y1=3, x2=_LEFT + 250, y2=21, stroke=INK, stroke_width=2, stroke_dasharray="3 2"),
        _text(_LEFT + 258, 16, "limit the policy set"),
    ]
    return join([*parts, *legend])


def lineage(edges: Sequence[Mapping[str, Any]], *, name: str, title: str) -> Safe:
    """Boxes and arrows from the first upstreams on the left to the student on the right; empty without edges."""
    if not edges:
        return Safe("")
    depth = _depths(edges)
    columns: dict[int, list[str]] = {}
    for node, level in depth.items():
        columns.setdefault(level, []).append(node)
    last = max(columns)
    wide = min(250.0, (_WIDTH - 20) / (last + 1) - 60)
    step = (_WIDTH - wide - 20) / max(last, 1)
    place: dict[str, tuple[float, float]] = {}
    for level, nodes in columns.items():
        for index, node in enumerate(nodes):
            place[node] = (10 + (last - level) * step, 20 + index * 76.0)
    height = int(20 + 76 * max(len(nodes) for nodes in columns.values()))
    parts = [_arrow_head(name)] + [_edge(edge, place, wide, name) for edge in edges]
    licences = {str(e["source"]): str(e.get("license") or "") for e in edges}
    parts += [_box(node, licences.get(node, ""), place[node], wide, is_student=depth[node] == 0) for node in place]
    told = "; ".join(f"{e['source']} goes into {e['target']} ({e['use']})" for e in edges)
    return _svg(name, title, told, height, parts)


def _depths(edges: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    sources = {str(e["source"]) for e in edges}
    depth = {str(e["target"]): 0 for e in edges if str(e["target"]) not in sources}
    # Each round reaches one step further up; a circle would never end, so the rounds are bounded by the nodes.
    for _ in range(len(edges) + 1):
        for edge in edges:
            if str(edge["target"]) in depth:
                reached = min(depth[str(edge["target"])] + 1, 6)
                depth[str(edge["source"])] = max(depth.get(str(edge["source"]), 0), reached)
    for edge in edges:
        for end in ("source", "target"):
            depth.setdefault(str(edge[end]), 1)
    return depth


def _edge(edge: Mapping[str, Any], place: Mapping[str, tuple[float, float]], wide: float, name: str) -> Safe:
    (x1, y1), (x2, y2) = place[str(edge["source"])], place[str(edge["target"])]
    start, end = (x1 + wide, y1 + 26), (x2 - 4, y2 + 26)
    middle = (start[0] + end[0]) / 2
    path = f"M{_n(start[0])} {_n(start[1])} C{_n(middle)} {_n(start[1])} {_n(middle)} {_n(end[1])} {_n(end[0])} {_n(end[1])}"
    return tag("path", d=path, fill="none", stroke=QUIET, stroke_width=1.5, marker_end=f"url(#{name}-head)")


def _box(node: str, licence: str, at: tuple[float, float], wide: float, *, is_student: bool) -> Safe:
    x, y = at
    room = max(8, int(wide / 7.6))
    parts = [
        tag(
            "rect",
            x=_n(x),
            y=_n(y),
            width=_n(wide),
            height=52,
            rx=6,
            fill="#eef3f8" if is_student else "#f6f6f6",
            stroke=STUDENT if is_student else QUIET,
        ),
        _text(x + 10, y + 22, _cut(node, room), weight="bold"),
        _text(x + 10, y + 41, "student" if is_student else _cut(licence or "licence not stated", room), fill=QUIET),
    ]
    return join(parts)


def timeline(acts: Sequence[Mapping[str, Any]], *, name: str, title: str) -> Safe:
    """Dated acts from top to bottom; empty without any."""
    if not acts:
        return Safe("")
    height = 20 + 34 * len(acts)
    parts = [tag("line", x1=190, y1=16, x2=190, y2=height - 16, stroke=LINE, stroke_width=2)]
    for index, act in enumerate(acts):
        y = 24 + 34 * index
        by = f", by {act['by']}" if act.get("by") else ""
        parts += [
            _text(176, y + 4, str(act["at"])[:16].replace("T", " "), anchor="end", fill=QUIET),
            tag("circle", cx=190, cy=y, r=6, fill=STUDENT),
            _text(208, y + 4, _cut(f"{act['what']}{by}", 92)),
        ]
    told = "; ".join(f"{act['at']}: {act['what']}" for act in acts)
    return _svg(name, title, told, height, parts)


def _svg(name: str, title: str, told: str, height: float, parts: Sequence[Safe]) -> Safe:
    head = [tag("title", title, id=f"{name}-title"), tag("desc", told, id=f"{name}-desc")]
    return tag(
        "svg",
        *head,
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {_n(height)}",
        role="img",
        aria_labelledby=f"{name}-title",
        aria_describedby=f"{name}-desc",
        class_="chart",
    )


def _arrow_head(name: str) -> Safe:
    head = tag("polygon", points="0,0 8,4 0,8", fill=QUIET)
    marker = tag(
        "marker", head, id=f"{name}-head", markerWidth=8, markerHeight=8, refX=7, refY=4, orient="auto", markerUnits="userSpaceOnUse"
    )
    return tag("defs", marker)


def _text(x: float, y: float, words: str, *, anchor: str = "start", fill: str = INK, weight: str | None = None) -> Safe:
    return tag("text", words, x=_n(x), y=_n(y), text_anchor=anchor, fill=fill, font_size=13, font_weight=weight)


def _label(measure: Mapping[str, Any]) -> str:
    place = str(measure.get("place") or measure.get("id"))
    group = f" [{measure['group']}]" if measure.get("group") else ""
    return _cut(place + group, 44)


def _cut(words: str, room: int) -> str:
    return words if len(words) <= room else words[: room - 1] + "…"


def _percent(value: Any) -> str:
    return f"{100 * float(value):.1f} %"


def _place(share: float, scale: Scale) -> float:
    low, high = scale
    return _LEFT + (share - low) / (high - low) * (_WIDTH - _RIGHT - _LEFT)


def _x(share: float, scale: Scale) -> str:
    return _n(_place(share, scale))


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
