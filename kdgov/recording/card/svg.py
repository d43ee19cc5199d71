"""Pieces of a chart as SVG: frame, row label, legend, text, and the place of a share on the axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.recording.card.escaping import escaped

WIDTH, ROW, LABEL, RIGHT = 900, 30, 330, 90
TEACHER, STUDENT, BAD, GRID, TEXT = "#5b6b7a", "#1f6fb2", "#b3261e", "#d5dbe1", "#1b1f23"


def svg(title: str, body: Sequence[str], rows: int) -> str:
    """A whole picture of so many rows; its title says in words what it shows."""
    height = 90 + rows * ROW
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="sans-serif" font-size="13" fill="{TEXT}"><title>{escaped(title)}</title>'
        f'<rect width="100%" height="100%" fill="white"/>'
    )
    return "\n".join([head, text(8, 24, title, weight="bold"), *body, "</svg>\n"])


def label(row: Mapping[str, Any], y: int) -> str:
    """Suite, task, metric and group at the left of a row."""
    where = "/".join(str(row[k]) for k in ("suite", "task", "metric") if row.get(k))
    group = f" {row['group']}" if row.get("group") else ""
    return text(8, y + 4, f"{where}{group}", limit=44)


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """What the colours mean, above the rows."""
    return "".join(
        f'<circle cx="{14 + 210 * i}" cy="46" r="6" fill="{colour}"/>{text(26 + 210 * i, 50, name)}'
        for i, (name, colour) in enumerate(entries)
    )


def text(x: float, y: float, words: object, *, anchor: str = "start", weight: str = "normal", limit: int = 90) -> str:
    """One line of words, escaped and cut."""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}">{escaped(words, limit=limit)}</text>'


def x_of(share: float) -> float:
    """Where a share from 0 to 1 lies; beyond it, at the end."""
    return LABEL + max(0.0, min(1.0, share)) * (WIDTH - LABEL - RIGHT - 60)


def is_number(value: Any) -> bool:
    """Whether a cell holds a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
