"""A process and all that it started: what they use together, and the end of all of them.

The kernel's limits count for one process each; what many use together is looked at from outside, some tens of times a second, so that a
bound can be passed by what happens between two looks. Linux alone tells which processes a process has started (`/proc`).
"""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROUNDS, _PAUSE_S = 200, 0.005
_BYTES = 1024
_FIRST_TIMES = 11
"""Place in `/proc/<pid>/stat`, behind the name, of own and waited-for processor times in user and kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a tree of processes may use together."""

    tasks: int
    """Processes and threads."""
    memory_bytes: int
    """Memory at hand; what several share counts once."""
    cpu_s: float
    """Processor time, that of ended processes included where somebody waited for them."""


@functools.cache
def can_be_looked_at() -> bool:
    """Whether this system tells which processes a process has started."""
    return Path(f"/proc/self/task/{os.getpid()}/children").is_file()


def exceeded(root: int, bounds: Bounds) -> str:
    """Which bound a process and all it started pass together: ``processes``, ``memory``, ``processor time``; empty: none.

    Args:
        root: number of the process.
        bounds: what they may use.
    """
    found = _tree(root)
    if sum(_entries(f"/proc/{one}/task") for one in found) > bounds.tasks:
        return "processes"
    if sum(_cpu_s(one) for one in found) > bounds.cpu_s:
        return "processor time"
    return "memory" if sum(_memory(one) for one in found) > bounds.memory_bytes else ""


def end_tree(root: int) -> None:
    """End all that a process has started, and then it; whoever starts others meanwhile is stopped first."""
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        fresh = [one for one in _tree(root)[1:] if one not in stopped]
        if not fresh:
            break
        stopped.update(one for one in fresh if _sent(one, signal.SIGSTOP))
    for _ in range(_ROUNDS):
        left = [one for one in _tree(root)[1:] if _sent(one, signal.SIGKILL)]
        if not left:
            break
        time.sleep(_PAUSE_S)
    _sent(root, signal.SIGKILL)


def _sent(process: int, number: signal.Signals) -> bool:
    try:
        os.kill(process, number)
    except (ProcessLookupError, PermissionError):
        return False
    return _state(process) != "Z"


def _tree(root: int) -> list[int]:
    found, at = [root], 0
    while at < len(found):
        found += _children(found[at])
        at += 1
    return found


def _children(process: int) -> Iterator[int]:
    for thread in _names(f"/proc/{process}/task"):
        yield from map(int, _text(f"/proc/{process}/task/{thread}/children").split())


def _cpu_s(process: int) -> float:
    times = _text(f"/proc/{process}/stat").rpartition(")")[2].split()[_FIRST_TIMES : _FIRST_TIMES + 4]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def _state(process: int) -> str:
    return (_text(f"/proc/{process}/stat").rpartition(")")[2].split() or ["Z"])[0]


def _memory(process: int) -> int:
    """Bytes at hand, shared ones divided among those who share them; of a process that hides that, all of them."""
    for file, name in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        found = next((line for line in _text(f"/proc/{process}/{file}").splitlines() if line.startswith(name)), None)
        if found is not None:
            return int(found.split()[1]) * _BYTES
    return 0


def _entries(folder: str) -> int:
    return len(_names(folder))


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
