"""Progress on standard error: bars on a terminal, sparse lines in a log; finished steps are printed through the same display.

Printing beside a live display overwrites it, so whoever has something to say while bars run says it through `ProgressDisplay.line`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from kdgov.processes import is_first
from kdgov.progress import work_of

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ProgressDisplay(Protocol):
    """What library code is given as ``progress``, and what commands print finished steps through."""

    def __call__(self, label: str, done: int, total: int) -> None:
        """Show how far the work called ``label`` is; ``total`` 0 where it is not known."""

    def line(self, text: str, *, style: str = "") -> None:
        """Print one line above the bars and take down the bars of the step that it ends."""


@contextmanager
def progress_bars() -> Iterator[ProgressDisplay]:
    """Yield the display; of several processes only the first one prints."""
    if not is_first():
        yield _Silent()
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
    # Lines that other code writes to standard output or error while the bars run are printed above them, not through them.
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bars(bars)


class _Silent:
    def __call__(self, label: str, done: int, total: int) -> None:
        """Print nothing: this process is not the first."""

    def line(self, text: str, *, style: str = "") -> None:
        """Print nothing."""


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, label: str, done: int, total: int) -> None:
        work = work_of(label)
        if work not in self._tasks:
            self._tasks[work] = self._bars.add_task(label, total=total or None)
        # A label without its detail leaves the detail that is shown.
        self._bars.update(self._tasks[work], description=label if label != work else None, completed=done, total=total or None)

    def line(self, text: str, *, style: str = "") -> None:
        from rich.text import Text

        for task in self._tasks.values():
            self._bars.remove_task(task)
        self._tasks.clear()
        self._bars.console.print(Text(text, style=style), soft_wrap=False)


class _LinePrinter:
    """A quiet log: at most one line per label and half minute, plus the last."""

    _EVERY_S = 30.0

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def __call__(self, label: str, done: int, total: int) -> None:
        now = time.monotonic()
        ended = bool(total) and done >= total
        work = work_of(label)
        if not ended and now - self._told.get(work, float("-inf")) < self._EVERY_S:
            return
        if self._told.get(work) == float("inf"):
            return
        self._told[work] = float("inf") if ended else now
        sys.stderr.write(f"  {label}: {done}/{total}\n" if total else f"  {label}: {done or 'started'}\n")
        sys.stderr.flush()

    def line(self, text: str, *, style: str = "") -> None:
        self._told.clear()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
