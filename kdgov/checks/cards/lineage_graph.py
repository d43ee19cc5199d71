"""The lineage of a release as a picture: student, teacher, data, generators and licences, with the verdict on each edge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape, quoteattr

_HALO = 'stroke="#ffffff" stroke-width="4" stroke-linejoin="round" paint-order="stroke"'
"""A label stays readable where an edge runs behind it."""
_COLOURS = {"allow": "#2e7d32", "allow_with_obligations": "#00838f", "needs_review": "#b26a00", "deny": "#c62828"}
_WORDS = {"allow": "allow", "allow_with_obligations": "allow, with obligations", "needs_review": "needs review", "deny": "deny"}
_DASHES = {"needs_review": "6 4", "deny": "2 3"}
_BOX_WIDTH, _BOX_HEIGHT, _COLUMN, _LINE, _MARGIN = 210, 46, 400, 74, 24
_LETTERS = 30


@dataclass(slots=True, kw_only=True)
class _Node:
    name: str
    detail: str
    verdict: str
    use: str
    reason: str
    inner: list[_Node] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0


def lineage_svg(case: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    """A standalone SVG: upstreams to the right of what they were used for, one line per use.

    Verdicts are told by colour, by dash and in words, so that no reader depends on colour alone.

    Args:
        case: the licence case, for the student.
        answer: the licence answer, for the uses and their verdicts.
    """
    student = case.get("student", {})
    root = _Node(
        name=str(student.get("name") or "student"),
        detail=str(student.get("license") or "no licence chosen"),
        verdict=str(answer.get("verdict", "")),
        use="",
        reason=f"gate: {answer.get('gate', '')}",
        inner=[_node(edge) for edge in answer.get("uses", [])],
    )
    leaves = _place(root, 0, 0)
    depth = _depth(root)
    width = _MARGIN * 2 + _BOX_WIDTH + (depth - 1) * _COLUMN
    height = _MARGIN * 2 + max(leaves, 1) * _LINE + 40
    label = f"Lineage of {root.name}: {_WORDS.get(root.verdict, root.verdict)}"
    # Every line before any label: no edge may run across what another says.
    drawn = sorted(_edges(root), key=lambda mark: mark.startswith("<text"))
    body = [*drawn, *_boxes(root), *_legend(height)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label={quoteattr(label)} '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" font-family="sans-serif" font-size="12">\n'
        f"<title>{escape(label)}</title>\n"
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _node(edge: Mapping[str, Any]) -> _Node:
    reason = ": ".join(str(part) for part in (edge.get("clause"), edge.get("reason")) if part)
    return _Node(
        name=str(edge.get("name") or edge.get("use", "")),
        detail=str(edge.get("license") or "NOASSERTION"),
        verdict=str(edge.get("verdict", "")),
        use=str(edge.get("use", "")),
        reason=reason,
        inner=[_node(inner) for inner in edge.get("made_by", [])],
    )


def _place(node: _Node, column: int, line: int) -> int:
    """Give every node its place; returns how many lines the subtree takes."""
    lines = 0
    for inner in node.inner:
        lines += _place(inner, column + 1, line + lines)
    node.x = _MARGIN + column * _COLUMN
    node.y = (node.inner[0].y + node.inner[-1].y) / 2 if node.inner else _MARGIN + line * _LINE
    return max(lines, 1)


def _depth(node: _Node) -> int:
    return 1 + max((_depth(inner) for inner in node.inner), default=0)


def _edges(node: _Node) -> Iterator[str]:
    for inner in node.inner:
        colour = _COLOURS.get(inner.verdict, "#616161")
        dash = f' stroke-dasharray="{_DASHES[inner.verdict]}"' if inner.verdict in _DASHES else ""
        x1, y1 = node.x + _BOX_WIDTH, node.y + _BOX_HEIGHT / 2
        x2, y2 = inner.x, inner.y + _BOX_HEIGHT / 2
        bend = (x1 + x2) / 2
        yield (
            f'<path d="M{x2:.0f},{y2:.0f} C{bend:.0f},{y2:.0f} {bend:.0f},{y1:.0f} {x1:.0f},{y1:.0f}" fill="none" '
            f'stroke="{colour}" stroke-width="2"{dash}><title>{escape(inner.reason)}</title></path>'
        )
        words = f"{inner.use}: {_WORDS.get(inner.verdict, inner.verdict)}"
        yield f'<text x="{x2 - 6:.0f}" y="{y2 - 6:.0f}" text-anchor="end" fill="{colour}" {_HALO}>{escape(words)}</text>'
        yield from _edges(inner)


def _boxes(node: _Node) -> Iterator[str]:
    stroke = _COLOURS.get(node.verdict, "#616161")
    yield (
        f"<g><title>{escape(f'{node.name} ({node.detail}) {node.reason}')}</title>"
        f'<rect x="{node.x:.0f}" y="{node.y:.0f}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="6" fill="#fafafa" stroke="{stroke}"/>'
        f'<text x="{node.x + 10:.0f}" y="{node.y + 19:.0f}" font-weight="bold" fill="#212121">{escape(_short(node.name))}</text>'
        f'<text x="{node.x + 10:.0f}" y="{node.y + 36:.0f}" fill="#424242">{escape(_short(node.detail))}</text></g>'
    )
    for inner in node.inner:
        yield from _boxes(inner)


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"


def _legend(height: float) -> Iterator[str]:
    x = float(_MARGIN)
    for verdict, colour in _COLOURS.items():
        dash = f' stroke-dasharray="{_DASHES[verdict]}"' if verdict in _DASHES else ""
        y = height - _MARGIN
        yield f'<path d="M{x:.0f},{y:.0f} h26" stroke="{colour}" stroke-width="2"{dash}/>'
        yield f'<text x="{x + 32:.0f}" y="{y + 4:.0f}" fill="#212121">{_WORDS[verdict]}</text>'
        x += 60 + 7 * len(_WORDS[verdict])
