"""Operating characteristics as SVG: true drop against the chance of promotion, one panel per criterion."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from kdgov.decision.drill.operating_characteristics import OperatingCurve

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 640, 250, 64, 46, 24, 44


def curves_svg(curves: Sequence[OperatingCurve], *, title: str) -> str:
    """One self-contained SVG; the gate's curve is solid, a point threshold's dashed, the margin a vertical line."""
    height = 40 + _HEIGHT * max(len(curves), 1)
    panels = "".join(_panel(curve, 40 + _HEIGHT * index) for index, curve in enumerate(curves))
    said = "; ".join(
        f"{c.criterion}: {c.promoted[0]:.0%} at no drop, {_at(c, 1.0):.1%} at the margin, {_at(c, 2.0):.1%} at twice" for c in curves
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-labelledby="t d" font-family="system-ui, sans-serif" font-size="12" fill="#1b1b1b">'
        f'<title id="t">{escape(title)}</title><desc id="d">{escape(said)}</desc>'
        f'<rect width="100%" height="100%" fill="#ffffff"/><text x="16" y="26" font-size="16">{escape(title)}</text>{panels}</svg>\n'
    )


def _at(curve: OperatingCurve, multiple: float) -> float:
    return curve.promoted[min(range(len(curve.drops)), key=lambda i: abs(curve.drops[i] - multiple * curve.margin))]


def _panel(curve: OperatingCurve, top: int) -> str:
    far = max(curve.drops) or 1.0

    def place(drop: float, chance: float) -> tuple[float, float]:
        across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * drop / far
        return across, top + _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - chance)

    def line(chances: Sequence[float]) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(d, c) for d, c in zip(curve.drops, chances, strict=True)))

    x_margin, y_zero = place(curve.margin, 0.0)
    _, y_one = place(0.0, 1.0)
    grid = "".join(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{place(0, c)[1]:.1f}" y2="{place(0, c)[1]:.1f}" stroke="#d9d9d9"/>'
        f'<text x="{_LEFT - 8}" y="{place(0, c)[1] + 4:.1f}" text-anchor="end">{c:.0%}</text>'
        for c in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    ticks = "".join(
        f'<text x="{place(d, 0)[0]:.1f}" y="{y_zero + 18:.1f}" text-anchor="middle">{100 * d:.3g}</text>' for d in curve.drops[::2]
    )
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="#0b57d0"/>' for x, y in map(place, curve.drops, curve.promoted))
    return (
        f'<g><text x="16" y="{top + 22}" font-weight="600">{escape(curve.criterion)}</text>'
        f'<text x="16" y="{top + 38}" fill="#555555">{escape(curve.place)}, {curve.n:,} items, '
        f"{curve.disagreement:.0%} differ</text>{grid}{ticks}"
        f'<line x1="{x_margin:.1f}" x2="{x_margin:.1f}" y1="{y_one:.1f}" y2="{y_zero:.1f}" stroke="#b3261e" stroke-width="1.5"/>'
        f'<text x="{x_margin + 4:.1f}" y="{y_one + 12:.1f}" fill="#b3261e">margin</text>'
        f'<polyline points="{line(curve.point_threshold)}" fill="none" stroke="#777777" stroke-width="1.5" stroke-dasharray="5 4"/>'
        f'<polyline points="{line(curve.promoted)}" fill="none" stroke="#0b57d0" stroke-width="2"/>{dots}'
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{y_zero + 36:.1f}" text-anchor="middle">'
        "true drop, points (solid: this policy, dashed: a point threshold)</text></g>"
    )
