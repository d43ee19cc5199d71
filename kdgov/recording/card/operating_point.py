"""Where a student stands: which items it lost and won, how it balances refusing and answering, what it costs and keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.recording.card.summary_sentences import number
from kdgov.recording.card.svg import BAD, GRID, ROW, STUDENT, TEACHER, WIDTH, is_number, label, legend, svg, text, x_of

_REFUSED, _ANSWERED = "refused", "answered"
_LEFT, _TOP, _SIDE = 90, 80, 360


def flips(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """Per task: items the teacher had right and the student lost (left of the line), and the other way round (right).

    Empty where no criterion counted them: equal averages can hide many exchanged items.
    """
    counted = [(row, _count(row, "lost"), _count(row, "won")) for row in rows if "lost" in (row.get("details") or {})]
    unique = {(row.get("suite"), row.get("task"), row.get("metric")): (row, lost, won) for row, lost, won in counted}
    if not unique:
        return ""
    most = max(1, *(max(lost, won) for _, lost, won in unique.values()))
    body = [legend((("lost by the student", BAD), ("won by the student", STUDENT)))]
    middle = x_of(0.5)
    body.append(f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="62" y2="{80 + len(unique) * ROW - 12}" stroke="{GRID}"/>')
    for index, (row, lost, won) in enumerate(unique.values()):
        y = 80 + index * ROW
        left, right = x_of(0.5 - 0.5 * lost / most), x_of(0.5 + 0.5 * won / most)
        body += [
            label(row, y),
            f'<rect x="{left:.1f}" y="{y - 8}" width="{middle - left:.1f}" height="16" fill="{BAD}"/>',
            f'<rect x="{middle:.1f}" y="{y - 8}" width="{right - middle:.1f}" height="16" fill="{STUDENT}"/>',
            text(WIDTH - 8, y + 4, f"−{lost} / +{won} of {number(row.get('n'))}", anchor="end"),
        ]
    return svg(title, body, len(unique))


def operating_point(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """Harmful requests refused (up) against harmless ones answered (right), teacher and student; empty unless both were measured.

    A student that refuses more is not safer when it refuses everything: only both numbers together tell.
    """
    refused, answered = ([r for r in rows if r.get("metric") == metric and r.get("suite") == "safety"] for metric in (_REFUSED, _ANSWERED))
    if not refused or not answered:
        return ""
    body = [legend((("teacher", TEACHER), ("student", STUDENT))), *_frame()]
    for who, colour, line in (("teacher", TEACHER, 70), ("student", STUDENT, 95)):
        right, up = (sum(float(r[who]) for r in found) / len(found) for found in (answered, refused))
        x, y = _LEFT + right * _SIDE, _TOP + (1 - up) * _SIDE
        body += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="{colour}"/>',
            text(_LEFT + _SIDE + 12, _TOP + line, f"{who}: refuses {number(100 * up)} %, answers {number(100 * right)} %"),
        ]
    return svg(title, body, (_SIDE + 60) // ROW)


def cost_and_share(efficiency: Mapping[str, Any], title: str) -> str:
    """Size, time and kept score of the student as shares of the teacher's, with their intervals; empty where nothing was measured."""
    ratios: Mapping[str, Any] = efficiency.get("ratios") or {}
    rows: list[tuple[str, float, float, float]] = []
    for key, name in (("parameters", "parameters"), ("size_bytes", "bytes on disk")):
        if is_number(ratios.get(key)):
            rows.append((name, float(ratios[key]), float(ratios[key]), float(ratios[key])))
    time: Mapping[str, Any] = ratios.get("cpu_time") or {}
    if all(is_number(time.get(key)) for key in ("median", "p10", "p90")):
        rows.append(("processor time per token (p10 to p90)", float(time["median"]), float(time["p10"]), float(time["p90"])))
    for suite, kept in (efficiency.get("kept") or {}).items():
        if isinstance(kept, Mapping) and all(is_number(kept.get(key)) for key in ("share", "low", "high")):
            rows.append((f"{suite}: score kept (90 % interval)", float(kept["share"]), float(kept["low"]), float(kept["high"])))
    if not rows:
        return ""
    reach = max(1.1, *(high for *_, high in rows))
    whole = x_of(1 / reach)
    body = [legend((("student", STUDENT), ("teacher = 1", TEACHER)))]
    body.append(
        f'<line x1="{whole:.1f}" x2="{whole:.1f}" y1="62" y2="{80 + len(rows) * ROW - 12}" stroke="{TEACHER}" stroke-dasharray="5 4"/>'
    )
    for index, (name, value, low, high) in enumerate(rows):
        y = 80 + index * ROW
        end, first, last = (x_of(share / reach) for share in (value, low, high))
        body += [
            text(8, y + 4, name, limit=44),
            f'<rect x="{x_of(0):.1f}" y="{y - 6}" width="{end - x_of(0):.1f}" height="12" fill="{STUDENT}"/>',
            f'<line x1="{first:.1f}" x2="{last:.1f}" y1="{y}" y2="{y}" stroke="black" stroke-width="2"/>',
            text(WIDTH - 8, y + 4, f"{number(value)}" + (f" ({number(low)} to {number(high)})" if low != high else ""), anchor="end"),
        ]
    return svg(title, body, len(rows))


def _frame() -> list[str]:
    far, bottom = _LEFT + _SIDE, _TOP + _SIDE
    lines = [f'<rect x="{_LEFT}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="{GRID}"/>']
    for part in (0.25, 0.5, 0.75):
        x, y = _LEFT + part * _SIDE, _TOP + part * _SIDE
        lines.append(f'<path d="M{x:.0f} {_TOP}V{bottom}M{_LEFT} {y:.0f}H{far}" stroke="{GRID}" fill="none"/>')
    return [
        *lines,
        text(_LEFT, bottom + 20, "0 %"),
        text(far, bottom + 20, "100 % of harmless requests answered", anchor="end"),
        text(_LEFT - 8, bottom, "0 %", anchor="end"),
        text(_LEFT - 8, _TOP + 10, "100 %", anchor="end"),
        text(far + 12, _TOP + 10, "100 % of harmful requests refused"),
    ]


def _count(row: Mapping[str, Any], key: str) -> int:
    value: Any = (row.get("details") or {}).get(key)
    return int(value) if is_number(value) else 0
