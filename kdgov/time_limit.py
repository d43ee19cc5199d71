"""A limit on the time that work from somebody else's hand may take."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class TimeLimitError(Exception):
    """Work took longer than it may."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Run the block, and end it with `TimeLimitError` once it has taken that long.

    In the main thread a timer interrupts it; in any other the interpreter looks at the clock line by line, several times slower.
    """
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
        yield from _by_timer(seconds)
    else:
        yield from _by_lines(seconds)


def _by_timer(seconds: float) -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        raise TimeLimitError(f"took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, end)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    began = time.monotonic()
    try:
        yield
    finally:
        # A timer of the caller's goes on with what it has left.
        signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 0.001) if left else 0)
        signal.signal(signal.SIGALRM, before)


def _by_lines(seconds: float) -> Iterator[None]:
    deadline, before = time.monotonic() + seconds, sys.gettrace()

    def look(frame: FrameType, event: str, argument: Any) -> Any:
        if time.monotonic() > deadline:
            raise TimeLimitError(f"took longer than {seconds:g} s")
        return look

    sys.settrace(look)
    try:
        yield
    finally:
        sys.settrace(before)
