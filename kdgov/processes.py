"""Processes: rank in a launch (torchrun, accelerate), locks between several, the end of a whole group, how often garbage is collected.

Locks are the operating system's and go with the process that holds them: ``flock`` on Linux and macOS, a locked byte on Windows.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from typing import IO, Any

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCKED_BYTE = 1 << 30
"""Windows locks bytes, and nobody else may read a locked one: this one lies behind all that is ever written."""
_POLL_S = 0.2
_NEW_OBJECTS = 100_000
_YOUNG_PASSES = 20


def rank() -> int:
    """Rank among all processes, from 0."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Number of processes started together, at least 1."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """Rank among the processes on this machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", os.environ.get("RANK", "0")))


def is_first() -> bool:
    """Whether this process writes files and prints; the others only work."""
    return rank() == 0


def lock_file(stream: IO[Any], *, wait: bool) -> None:
    """Lock an open file against every other process; closing it gives the lock back.

    Args:
        stream: the file, open for writing.
        wait: wait for whoever holds it.

    Raises:
        BlockingIOError: if another holds it and ``wait`` is false.
        OSError: if the file system knows no locks.
    """
    if sys.platform != "win32":
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        return
    while not _lock_byte(stream):
        if not wait:
            raise BlockingIOError("another process holds the lock")
        time.sleep(_POLL_S)


def _lock_byte(stream: IO[Any]) -> bool:
    if sys.platform == "win32":
        place = os.lseek(stream.fileno(), 0, os.SEEK_CUR)
        try:
            os.lseek(stream.fileno(), _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(stream.fileno(), place, os.SEEK_SET)
    return True


def end_group(process: int, number: int) -> None:
    """Send a signal to a process and all it started; on Windows to the process alone. One that has ended is no fault."""
    try:
        if sys.platform == "win32":
            os.kill(process, number)
        else:
            os.killpg(process, number)
    except (ProcessLookupError, PermissionError):
        return


def can_keep_apart() -> bool:
    """Whether this system can run a process with descriptors and a group of its own, as what keeps foreign code apart needs it."""
    return sys.platform != "win32"


def collect_rarely() -> None:
    """Have this process's cyclic garbage collector run after 100,000 new containers, not after 700.

    The libraries of a run (torch, transformers, lm-eval, pydantic) make about a million objects while they load, nearly all of them
    lasting. At Python's own setting the collector walks over them dozens of times and frees nothing: 1.0 to 1.4 of the 10 processor
    seconds in which one model of 3 layers is asked 640 questions. Objects without cycles, tensors among them, are freed at once as ever.
    For a process of kdgov's own alone: who imports kdgov keeps their setting.
    """
    gc.set_threshold(_NEW_OBJECTS, _YOUNG_PASSES, _YOUNG_PASSES)
