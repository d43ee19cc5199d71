"""HTML by calls: plain text is always escaped, only `Safe` text is not."""

from __future__ import annotations

from collections.abc import Iterable

from kdgov.report.escaping import escaped_lines

_VOID = frozenset({"meta", "br", "hr", "input", "line", "circle", "rect", "path", "polygon"})


class Safe(str):
    """Text that is markup already."""

    __slots__ = ()


def text(value: object) -> Safe:
    """A value as escaped text, without control and direction characters; markup stays as it is."""
    if isinstance(value, Safe):
        return value
    return Safe(escaped_lines(value))


def tag(name: str, /, *children: object, **attributes: object) -> Safe:
    """One element; ``class_`` and ``for_`` lose their underscore, other underscores become hyphens, None leaves one out."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items() if value is not None)
    if name in _VOID:
        return Safe(f"<{name}{written}>" if name in ("meta", "br", "hr", "input") else f"<{name}{written}/>")
    return Safe(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[object], separator: str = "") -> Safe:
    """Several parts in a row, each escaped unless it is markup."""
    return Safe(separator.join(text(part) for part in parts))


def table(head: Iterable[object], rows: Iterable[Iterable[object]], *, caption: str, class_: str = "") -> Safe:
    """A table with a caption, column heads and the first cell of each row as its head."""
    named = list(head)
    heads = tag("tr", *(tag("th", cell, scope="col") for cell in named))
    # On a narrow screen each cell stands below its column's name (`.cards` of the style sheet).
    labels = [None if isinstance(cell, Safe) else str(cell) for cell in named]
    body = [tag("tr", *(_cell(index, cell, labels[index]) for index, cell in enumerate(row))) for row in rows]
    inner = tag("table", tag("caption", caption), tag("thead", heads), tag("tbody", *body), class_=class_ or None)
    # A wide table scrolls inside its own box: focusable, so that it can be scrolled without a mouse.
    return tag("div", inner, class_="wide", tabindex="0", role="region", aria_label=caption)


def _cell(index: int, cell: object, label: str | None) -> Safe:
    return tag("th", cell, scope="row") if index == 0 else tag("td", cell, data_head=label)
