"""Progress of long work: one callback type, and the callback that does nothing."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as ``progress(label, done, total)``; ``total`` 0 where it is not known."""


def silent(label: str, done: int, total: int) -> None:
    """No-op progress callback."""
