"""A licence case that can be reasoned about on another machine: its texts lie beside it, not somewhere on this one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdgov.digest import digest_bytes

TEXTS = "licences"
"""Folder, beside the case, of the licence texts it names."""


def portable_case(case: Mapping[str, Any], *, base: Path | None = None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The case with every ``license_text`` and evidence ``file`` named relative to it, and the texts by that name.

    A text that cannot be read keeps its bare file name: whoever reasons again then lacks it, as this machine did. A case
    that is portable already stays as it is.

    Args:
        case: the case.
        base: folder its relative names start from; default the working folder.
    """
    texts: dict[str, bytes] = {}
    moved = _moved(case, texts, base or Path())
    return dict(moved), texts


def _moved(value: Any, texts: dict[str, bytes], base: Path) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _place(item, texts, base) if key in ("license_text", "file") and isinstance(item, str) else _moved(item, texts, base)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_moved(item, texts, base) for item in value]
    return value


def _place(name: str, texts: dict[str, bytes], base: Path) -> str:
    path = base / name
    try:
        data = path.read_bytes()
    except OSError:
        return path.name
    # By content first: two cards may each have a file called LICENSE.
    mark = f"{digest_bytes(data)[7:19]}-"
    place = f"{TEXTS}/{mark}{path.name.removeprefix(mark)}"
    texts[place] = data
    return place
