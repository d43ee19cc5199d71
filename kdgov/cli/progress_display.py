"""Progress bars on standard error; in a log without a terminal, one line when a long part starts and one when it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kdgov.processes import is_first

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress, TaskID


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Yield the ``progress(label, done, total)`` callback that library code takes; of several processes the first one tells."""
    if not is_first():
        yield _untold
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _LinePrinter()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bars(bars)


def _untold(label: str, done: int, total: int) -> None:
    """Progress of a process that is not the first."""


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, label: str, done: int, total: int) -> None:
        if label not in self._tasks:
            self._tasks[label] = self._bars.add_task(label, total=total or None)
        self._bars.update(self._tasks[label], completed=done, total=total or None)


class _LinePrinter:
    """A quiet log: at most one line per label and half minute, plus the last."""

    _EVERY_S = 30.0

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def __call__(self, label: str, done: int, total: int) -> None:
        now = time.monotonic()
        ended = bool(total) and done >= total
        if not ended and now - self._told.get(label, float("-inf")) < self._EVERY_S:
            return
        if self._told.get(label) == float("inf"):
            return
        self._told[label] = float("inf") if ended else now
        sys.stderr.write(f"  {label}: {done}/{total}\n" if total else f"  {label}: {done or 'started'}\n")
        sys.stderr.flush()
