"""One run at a time works on one result; another waits for it and then reuses it.

The lock is the operating system's (`lock_file`): it goes with the process that holds it, so a killed run blocks nobody.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from kdgov.processes import lock_file

Tell = Callable[[str], None]
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
_LEADER = ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")


@contextmanager
def held(path: Path, *, what: str, tell: Tell) -> Iterator[IO[str]]:
    """Hold a lock file while the block runs, waiting for whoever holds it now.

    Args:
        path: the lock file; it is removed afterwards.
        what: what is being worked on, for the message.
        tell: called with one sentence when there is somebody to wait for, and with an empty one when the wait is over.

    Yields:
        The open lock file; `announce` writes into it who is at work.
    """
    stream = _acquired(path, what=what, tell=tell)
    try:
        yield stream
    finally:
        # Removed while it is still held: whoever waits notices that the name stands for another file by now, and takes that one.
        # Windows removes no open file: there the empty file stays, and the next run locks it again.
        with suppress(PermissionError):
            path.unlink(missing_ok=True)
        stream.close()


def announce(stream: IO[str]) -> None:
    """Say in a held lock file that this run works on the result: the other processes of a launch may join."""
    stream.seek(0)
    stream.truncate()
    stream.write(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "launch": launch()}))
    stream.flush()


def launch() -> str:
    """What all processes of one launch (torchrun, accelerate) have in common, and no other launch has."""
    own = [os.environ.get(name, "") for name in _LEADER]
    # On one machine they also have one parent; of several machines each has its own.
    single = os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE")
    return ":".join([*own, str(os.getppid()) if single else ""])


def is_joined(path: Path) -> bool:
    """Whether the first process of this very launch holds the lock and is at work."""
    return _holder(path).get("launch") == launch()


def _acquired(path: Path, *, what: str, tell: Tell) -> IO[str]:
    waited = False
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        stream = path.open("a+", encoding="utf-8")
        try:
            waited |= _lock(stream, what=what, tell=tell, holder=_holder(path))
        except BaseException:
            stream.close()
            raise
        if _is_at(stream, path):
            if waited:
                tell("")
            return stream
        stream.close()


def _lock(stream: IO[str], *, what: str, tell: Tell, holder: dict[str, str]) -> bool:
    """Lock an open file; whether there was somebody to wait for."""
    try:
        lock_file(stream, wait=False)
    except BlockingIOError:
        who = f" (process {holder['process']} on {holder['host']})" if "process" in holder else ""
        tell(f"another run{who} is at work on {what}: waiting for it")
        lock_file(stream, wait=True)
        return True
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        tell("the store's file system knows no locks: do not run two kdgov on one release at the same time")
    return False


def _is_at(stream: IO[str], path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    own = os.fstat(stream.fileno())
    return (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)


def _holder(path: Path) -> dict[str, str]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}
