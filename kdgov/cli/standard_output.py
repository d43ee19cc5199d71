"""What standard output is: a terminal of some width with or without colours, or a pipe that has neither."""

from __future__ import annotations

import os
import shutil
import sys


def wants_colour() -> bool:
    """Whether to write colours: only to a terminal, and never where NO_COLOR is set (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def columns() -> int | None:
    """Columns of the terminal; None for a pipe or a file, whose lines are not wrapped."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
