"""Progress of long work: one callback type, and the callback that does nothing."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as ``progress(label, done, total)``; ``total`` 0 where it is not known. A label may carry a detail that changes, behind
`DETAIL`: ``distilling · loss 1.2`` is the same work as ``distilling``."""

DETAIL = " · "


def work_of(label: str) -> str:
    """The label without its detail: what names the work."""
    return label.partition(DETAIL)[0]


def silent(label: str, done: int, total: int) -> None:
    """No-op progress callback."""
