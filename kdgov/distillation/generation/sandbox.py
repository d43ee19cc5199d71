"""A command run on what a model wrote: bounded in time, memory and files, without network, secrets or a place to write but its own.

What holds depends on the kernel. Limits of time, memory, processor and file size and an environment without secrets always hold. Network
and other processes are out of reach where Linux gives a user namespaces (`unshare`); there the disk outside the command's own folder is
mounted read-only, modes and times of files included, and its own folder is memory of a bounded size. Where only Landlock is, files
elsewhere cannot be written. The limits count for each process the command starts; what all of them use together (processes and threads,
memory, processor time) is looked at on Linux while they run, and all end with the first bound that is passed. `isolation` says which of
these this machine has; the record of the data set repeats it.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdgov.distillation.generation.process_tree import Bounds, can_be_looked_at, end_tree, exceeded
from kdgov.errors import UnavailableError
from kdgov.processes import can_keep_apart, end_group

_OUTPUT_BYTES = 1 << 16
_FILE_BYTES = 64 << 20
_NAMESPACES = ("--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child")
_PROBE_S = 10.0
_LOOK_S = 0.02
_MOST_TASKS, _ROOM_FOR_TASKS = 128, 2048
_TIME = "time"
_GRACE_S = 1.0
_LANDLOCK_CREATE = 444

# Runs in the child, before the command: no thread of ours is alive there, so nothing can be left locked.
_LAUNCHER = """
import ctypes, os, resource, struct, sys
own, memory, seconds, file_bytes, writes, read_only, tasks = sys.argv[1], *map(int, sys.argv[2:8])
libc = ctypes.CDLL(None, use_errno=True)
if read_only:
    # In a mount namespace of its own: all there is read-only (modes and times too), then its own folder writable.
    def set_mount(path, recursive, sets, clears):
        return libc.syscall(442, -100, os.fsencode(path), recursive, struct.pack("QQQQ", sets, clears, 0, 0), 32)
    path = os.fsencode(own)
    if set_mount("/", 0x8000, 1, 0):
        sys.exit(125)
    if libc.mount(b"tmpfs", path, b"tmpfs", 0, b"size=256m,nr_inodes=16384,mode=700"):
        if libc.mount(path, path, None, 4096, None) or set_mount(own, 0, 0, 1):
            sys.exit(125)
    os.chdir(own)
# Whoever outlives its parent becomes a child of this process, and ends with it.
libc.prctl(36, 1, 0, 0, 0)
command = os.fork()
if command:
    ended, status = os.wait()
    while ended != command:
        ended, status = os.wait()
    try:
        while left := open(f"/proc/self/task/{os.getpid()}/children").read().split():
            for one in left:
                os.kill(int(one), 9)
            os.wait()
    except OSError:
        pass
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)
limits = [(resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, file_bytes), (resource.RLIMIT_CORE, 0)]
for kind, limit in [*limits, *([(resource.RLIMIT_NPROC, tasks)] if tasks else [])]:
    most = resource.getrlimit(kind)[1]
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(kind, (limit, limit))
if writes:
    # Every right that makes, changes or removes something; reading and running stay free.
    ruleset = libc.syscall(444, struct.pack("Q", writes), 8, 0)
    def allow(path, rights):
        place = os.open(path, os.O_PATH)
        libc.syscall(445, ruleset, 1, struct.pack("=Qi", rights, place), 0)
    allow(own, writes)
    allow("/dev/null", 2)
    if ruleset < 0 or libc.prctl(38, 1, 0, 0, 0) or libc.syscall(446, ruleset, 0):
        sys.exit(125)
try:
    os.execvp(sys.argv[8], sys.argv[8:])
except OSError:
    os._exit(127)
"""
_LAUNCH = (sys.executable, "-I", "-S", "-c", _LAUNCHER)
# Landlock's rights: write a file, remove and make every kind of file (version 1), truncate (version 3); not execute, read or list.
_WRITES, _TRUNCATES, _KNOWS_TRUNCATE = 0x1FF0 | 0x2, 1 << 14, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a command ended."""

    code: int
    """Its exit code; 128 and a number, or a negative one: the signal that ended it."""
    output: str
    """What it printed, up to 64 KiB."""
    is_late: bool = False
    """Whether it was ended because its time was up."""
    exceeded: str = ""
    """The bound that it passed with all it started, for which it was ended (`process_tree.exceeded`)."""


def run_confined(command: Sequence[str], *, text: str, time_limit_s: float, memory_mb: int) -> Ran:
    """Run a command with a text on its standard input, in an empty folder of its own that is gone afterwards.

    Args:
        command: program and arguments.
        text: standard input.
        time_limit_s: wall time after which it and all it started are ended.
        memory_mb: address space that each of its processes may have, and memory of all of them together.

    Raises:
        UnavailableError: on Windows.
    """
    if not can_keep_apart():
        raise UnavailableError(
            "a verifier's command needs a process kept apart, which is not done on Windows", mend="Use WSL, Linux or macOS."
        )
    with tempfile.TemporaryDirectory(prefix="kdgov-verifier-") as own:
        writes = _write_rights()
        seconds = int(time_limit_s) + 1
        numbers = (memory_mb << 20, seconds, _FILE_BYTES, writes, int(_can_be_read_only()), _tasks_of_the_user())
        launcher = [*_LAUNCH, own, *map(str, numbers)]
        output = Path(own) / ".output"
        with tempfile.TemporaryFile() as given, output.open("w+b") as printed:
            given.write(text.encode("utf-8", "replace"))
            given.seek(0)
            started = subprocess.Popen(
                [*_apart(), *launcher, *command],
                stdin=given, stdout=printed, stderr=subprocess.DEVNULL, cwd=own, env=_environment(own), start_new_session=True,
            )  # fmt: skip
            bounds = Bounds(tasks=_MOST_TASKS, memory_bytes=memory_mb << 20, cpu_s=seconds)
            code, ended_for = _awaited(started, time_limit_s, bounds)
        with output.open("rb") as printed:
            text = printed.read(_OUTPUT_BYTES).decode("utf-8", "replace")
        return Ran(code=code, output=text, is_late=ended_for == _TIME, exceeded="" if ended_for == _TIME else ended_for)


def isolation() -> dict[str, bool]:
    """What this machine keeps a command from, besides the limits that always hold."""
    read_only = _can_be_read_only()
    return {
        "network": bool(_unshared()),
        "other_processes": bool(_unshared()),
        "writing_elsewhere": read_only or bool(_write_rights()),
        "modes_and_times_elsewhere": read_only,
        "more_in_sum": can_be_looked_at(),
    }


def _awaited(started: subprocess.Popen[bytes], time_limit_s: float, bounds: Bounds) -> tuple[int, str]:
    """Exit code, and for what it was ended before it ended itself."""
    until = time.monotonic() + time_limit_s
    try:
        while True:
            left = until - time.monotonic()
            try:
                return started.wait(timeout=min(_LOOK_S, max(left, 0))), ""
            except subprocess.TimeoutExpired:
                passed = _TIME if time.monotonic() >= until else exceeded(started.pid, bounds)
            if passed:
                return _ended(started), passed
    finally:
        # What it started and left behind ends with it; a namespace has already seen to that where there is one.
        _kill_group(started.pid)


def _ended(started: subprocess.Popen[bytes]) -> int:
    end_tree(started.pid)
    _kill_group(started.pid)
    return started.wait(timeout=_GRACE_S * 10)


@functools.cache
def _tasks_of_the_user() -> int:
    """Most processes and threads this user may have while a command runs: those there are, and room for others; not root's to obey."""
    if not sys.platform.startswith("linux"):
        return 0
    own, count = os.getuid(), 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            count += len(os.listdir(folder / "task")) if folder.stat().st_uid == own else 0
        except OSError:
            continue
    return count + _ROOM_FOR_TASKS


def _kill_group(group: int) -> None:
    end_group(group, signal.SIGKILL)


def _environment(own: str) -> dict[str, str]:
    # A list of what may pass: a secret has any name.
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV") if name in os.environ}
    return {**kept, "HOME": own, "TMPDIR": own, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}


@functools.cache
def _unshared() -> tuple[str, ...]:
    program = shutil.which("unshare")
    if program is None:
        return ()
    try:
        tried = subprocess.run([program, *_NAMESPACES, "true"], capture_output=True, timeout=_PROBE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return (program, *_NAMESPACES) if tried.returncode == 0 else ()


def _apart() -> tuple[str, ...]:
    return (*_unshared(), "--mount") if _can_be_read_only() else _unshared()


@functools.cache
def _can_be_read_only() -> bool:
    """Whether everything but a command's own folder can be mounted read-only for it (Linux 5.12, namespaces of mounts)."""
    if not _unshared():
        return False
    with tempfile.TemporaryDirectory(prefix="kdgov-verifier-") as own:
        numbers = map(str, (1 << 32, 10, _FILE_BYTES, 0, 1, 0))
        try:
            tried = subprocess.run(
                [*_unshared(), "--mount", *_LAUNCH, own, *numbers, "true"], capture_output=True, timeout=_PROBE_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
    return tried.returncode == 0


@functools.cache
def _write_rights() -> int:
    """Bits of the rights that Landlock can take away here; 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    import ctypes  # noqa: PLC0415 - asks the kernel, once

    version = int(ctypes.CDLL(None, use_errno=True).syscall(_LANDLOCK_CREATE, None, 0, 1))
    return 0 if version < 1 else _WRITES | (_TRUNCATES if version >= _KNOWS_TRUNCATE else 0)
