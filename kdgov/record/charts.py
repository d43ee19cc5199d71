"""Charts of a release as SVG: before and after per suite, group dumbbells, margins. Plain text, no script, no library.

The same dossier gives the same bytes. Colours are told apart by lightness too, every mark has its number beside it, and the
title element says in words what the picture shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.record.dossier import Dossier
from kdgov.record.sentences import number
from kdgov.record.text import escaped

_WIDTH, _ROW, _LABEL, _RIGHT = 900, 30, 330, 90
_TEACHER, _STUDENT, _BAD, _GRID, _TEXT = "#5b6b7a", "#1f6fb2", "#b3261e", "#d5dbe1", "#1b1f23"


def charts_of(dossier: Dossier) -> list[tuple[str, str, str]]:
    """(file name, title, SVG) of every chart this release has rows for."""
    rows = [r for r in dossier.criteria if _is_number(r.get("teacher")) and _is_number(r.get("student")) and r.get("task")]
    overall, groups = [r for r in rows if not r.get("group")], [r for r in rows if r.get("group")]
    judged = [r for r in dossier.criteria if _is_number(r.get("difference")) and _is_number(r.get("bound")) and _is_number(r.get("margin"))]
    made = [
        ("before-after.svg", "Teacher and student per task", dumbbells(overall, "Teacher and student per task")),
        ("groups.svg", "Teacher and student per group", dumbbells(groups, "Teacher and student per group")),
        ("margins.svg", "Difference, bound and margin per criterion", margins(judged, "Difference, bound and margin per criterion")),
    ]
    return [(name, title, svg) for name, title, svg in made if svg]


def dumbbells(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """Each row on its own scale from 0: the teacher's value, the student's, a line between. Empty without rows."""
    if not rows:
        return ""
    body = [_legend((("teacher", _TEACHER), ("student", _STUDENT), ("student, blocked", _BAD)))]
    for index, row in enumerate(rows):
        y = 80 + index * _ROW
        top = max(abs(float(row["teacher"])), abs(float(row["student"])), 1.0)
        before, after = _x(float(row["teacher"]) / top), _x(float(row["student"]) / top)
        colour = _STUDENT if row.get("verdict") == "pass" else _BAD
        numbers = f"{number(row['teacher'])} → {number(row['student'])}"
        body += [
            _label(row, y),
            f'<line x1="{_x(0):.1f}" x2="{_x(1):.1f}" y1="{y}" y2="{y}" stroke="{_GRID}"/>',
            f'<line x1="{before:.1f}" x2="{after:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>',
            f'<circle cx="{before:.1f}" cy="{y}" r="6" fill="white" stroke="{_TEACHER}" stroke-width="3"/>',
            f'<circle cx="{after:.1f}" cy="{y}" r="6" fill="{colour}"/>',
            _text(_WIDTH - 8, y + 4, numbers, anchor="end"),
        ]
    return _svg(title, body, len(rows))


def margins(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """Per criterion, in units of its own margin: the difference, its lower bound, and the line at −1 that it must not cross."""
    if not rows:
        return ""
    scaled = [(row, float(row["margin"]) or 1.0) for row in rows]
    reach = max(2.0, *(min(8.0, abs(float(row[key])) / unit) for row, unit in scaled for key in ("difference", "bound")))
    body = [_legend((("difference", _STUDENT), ("bound crosses the margin", _BAD), ("margin", _TEACHER)))]
    bottom = 80 + len(rows) * _ROW - 12
    for place, colour in ((0.0, _GRID), (-1.0, _TEACHER)):
        x = _x((place / reach + 1) / 2)
        body.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="62" y2="{bottom}" stroke="{colour}" stroke-dasharray="{"" if not place else "5 4"}"/>'
        )
    for index, (row, unit) in enumerate(scaled):
        y = 80 + index * _ROW
        difference, bound = (max(-reach, min(reach, float(row[key]) / unit)) for key in ("difference", "bound"))
        here, low = _x((difference / reach + 1) / 2), _x((bound / reach + 1) / 2)
        colour = _STUDENT if row.get("verdict") == "pass" else _BAD
        body += [
            _label(row, y),
            f'<line x1="{low:.1f}" x2="{here:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>',
            f'<line x1="{low:.1f}" x2="{low:.1f}" y1="{y - 7}" y2="{y + 7}" stroke="{colour}" stroke-width="3"/>',
            f'<circle cx="{here:.1f}" cy="{y}" r="6" fill="{colour}"/>',
            _text(_WIDTH - 8, y + 4, f"{number(row['bound'])} / −{number(row['margin'])}", anchor="end"),
        ]
    return _svg(title, body, len(rows))


def _svg(title: str, body: Sequence[str], rows: int) -> str:
    height = 90 + rows * _ROW
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'font-family="sans-serif" font-size="13" fill="{_TEXT}"><title>{escaped(title)}</title>'
        f'<rect width="100%" height="100%" fill="white"/>'
    )
    return "\n".join([head, _text(8, 24, title, weight="bold"), *body, "</svg>\n"])


def _label(row: Mapping[str, Any], y: int) -> str:
    where = "/".join(str(row[k]) for k in ("suite", "task", "metric") if row.get(k))
    group = f" {row['group']}" if row.get("group") else ""
    return _text(8, y + 4, f"{where}{group}", limit=44)


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f'<circle cx="{14 + 210 * i}" cy="46" r="6" fill="{colour}"/>{_text(26 + 210 * i, 50, name)}'
        for i, (name, colour) in enumerate(entries)
    )


def _text(x: float, y: float, text: object, *, anchor: str = "start", weight: str = "normal", limit: int = 90) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}">{escaped(text, limit=limit)}</text>'


def _x(share: float) -> float:
    return _LABEL + max(0.0, min(1.0, share)) * (_WIDTH - _LABEL - _RIGHT - 60)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
