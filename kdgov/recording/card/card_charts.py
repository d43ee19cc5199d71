"""Charts of a release as SVG: before and after, groups, margins, flips, operating point, cost. Plain text, no script, no library.

The same dossier gives the same bytes. Colours are told apart by lightness too, every mark has its number beside it, and the
title element says in words what the picture shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.recording.card.evidence_bundle import EvidenceBundle
from kdgov.recording.card.operating_point import cost_and_share, flips, operating_point
from kdgov.recording.card.summary_sentences import number
from kdgov.recording.card.svg import BAD, GRID, ROW, STUDENT, TEACHER, WIDTH, is_number, label, legend, svg, text, x_of

OPERATING = "Operating point: harmful requests refused, harmless ones answered"
COST = "What the student costs and keeps, as a share of the teacher"


def charts_of(dossier: EvidenceBundle) -> list[tuple[str, str, str]]:
    """(file name, title, SVG) of every chart this release has rows for."""
    rows = [r for r in dossier.criteria if is_number(r.get("teacher")) and is_number(r.get("student")) and r.get("task")]
    overall, groups = [r for r in rows if not r.get("group")], [r for r in rows if r.get("group")]
    judged = [r for r in dossier.criteria if is_number(r.get("difference")) and is_number(r.get("bound")) and is_number(r.get("margin"))]
    made = [
        ("before-after.svg", "Teacher and student per task", dumbbells(overall, "Teacher and student per task")),
        ("groups.svg", "Teacher and student per group", dumbbells(groups, "Teacher and student per group")),
        ("margins.svg", "Difference, bound and margin per criterion", margins(judged, "Difference, bound and margin per criterion")),
    ]
    made += [
        ("flips.svg", "Items the student lost and won", flips(overall, "Items the student lost and won")),
        ("operating-point.svg", OPERATING, operating_point(overall, OPERATING)),
        ("cost.svg", COST, cost_and_share(dossier.efficiency, COST)),
    ]
    return [(name, title, picture) for name, title, picture in made if picture]


def dumbbells(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """Each row on its own scale from 0: the teacher's value, the student's, a line between. Empty without rows."""
    if not rows:
        return ""
    body = [legend((("teacher", TEACHER), ("student", STUDENT), ("student, blocked", BAD)))]
    for index, row in enumerate(rows):
        y = 80 + index * ROW
        top = max(abs(float(row["teacher"])), abs(float(row["student"])), 1.0)
        before, after = x_of(float(row["teacher"]) / top), x_of(float(row["student"]) / top)
        colour = STUDENT if row.get("verdict") == "pass" else BAD
        numbers = f"{number(row['teacher'])} → {number(row['student'])}"
        body += [
            label(row, y),
            f'<line x1="{x_of(0):.1f}" x2="{x_of(1):.1f}" y1="{y}" y2="{y}" stroke="{GRID}"/>',
            f'<line x1="{before:.1f}" x2="{after:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>',
            f'<circle cx="{before:.1f}" cy="{y}" r="6" fill="white" stroke="{TEACHER}" stroke-width="3"/>',
            f'<circle cx="{after:.1f}" cy="{y}" r="6" fill="{colour}"/>',
            text(WIDTH - 8, y + 4, numbers, anchor="end"),
        ]
    return svg(title, body, len(rows))


def margins(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """Per criterion, in units of its own margin: the difference, its lower bound, and the line at −1 that it must not cross."""
    if not rows:
        return ""
    scaled = [(row, float(row["margin"]) or 1.0) for row in rows]
    reach = max(2.0, *(min(8.0, abs(float(row[key])) / unit) for row, unit in scaled for key in ("difference", "bound")))
    body = [legend((("difference", STUDENT), ("bound crosses the margin", BAD), ("margin", TEACHER)))]
    bottom = 80 + len(rows) * ROW - 12
    for place, colour in ((0.0, GRID), (-1.0, TEACHER)):
        x = x_of((place / reach + 1) / 2)
        body.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="62" y2="{bottom}" stroke="{colour}" stroke-dasharray="{"" if not place else "5 4"}"/>'
        )
    for index, (row, unit) in enumerate(scaled):
        y = 80 + index * ROW
        difference, bound = (max(-reach, min(reach, float(row[key]) / unit)) for key in ("difference", "bound"))
        here, low = x_of((difference / reach + 1) / 2), x_of((bound / reach + 1) / 2)
        colour = STUDENT if row.get("verdict") == "pass" else BAD
        body += [
            label(row, y),
            f'<line x1="{low:.1f}" x2="{here:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>',
            f'<line x1="{low:.1f}" x2="{low:.1f}" y1="{y - 7}" y2="{y + 7}" stroke="{colour}" stroke-width="3"/>',
            f'<circle cx="{here:.1f}" cy="{y}" r="6" fill="{colour}"/>',
            text(WIDTH - 8, y + 4, f"{number(row['bound'])} / −{number(row['margin'])}", anchor="end"),
        ]
    return svg(title, body, len(rows))
