"""Locks hold between processes, on the systems that know ``flock`` and by the way Windows has; one module alone asks the system."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import subprocess
import sys
import types

import pytest

from kdgov import processes
from kdgov.distillation.generation import sandbox
from kdgov.errors import UnavailableError

HOLD = """
import sys, time
{prepare}
stream = open(sys.argv[1], "a+")
lock_file(stream, wait=False)
print("held", flush=True)
time.sleep(60)
"""


def as_on_windows(monkeypatch):
    """The module as Windows would load it; a locked byte there is a record lock of the kernel here, so that it truly locks."""
    windows = types.ModuleType("msvcrt")
    windows.LK_NBLCK = 2
    windows.locking = lambda file, mode, count: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, count, os.lseek(file, 0, os.SEEK_CUR))
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    monkeypatch.setattr(sys, "platform", "win32")
    spec = importlib.util.spec_from_file_location("processes_of_windows", processes.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def held_elsewhere(path, prepare):
    holder = subprocess.Popen([sys.executable, "-c", HOLD.format(prepare=prepare), str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    return holder


@pytest.mark.parametrize("system", ["this", "windows"])
def test_a_lock_keeps_every_other_process_out_and_goes_with_its_holder(tmp_path, monkeypatch, system):
    path = tmp_path / "a.lock"
    path.write_text("who is at work")
    byte = "import fcntl\ndef lock_file(stream, wait): fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1 << 30)"
    holder = held_elsewhere(path, byte if system == "windows" else "from kdgov.processes import lock_file")
    module = as_on_windows(monkeypatch) if system == "windows" else processes
    try:
        with path.open("a+") as stream, pytest.raises(BlockingIOError):
            module.lock_file(stream, wait=False)
        # Whoever waits can read who is at work.
        assert path.read_text() == "who is at work"
    finally:
        holder.kill()
        holder.wait()
    with path.open("a+") as stream:
        module.lock_file(stream, wait=True)
        stream.write("!")
    assert path.read_text() == "who is at work!"


def test_what_needs_a_process_kept_apart_is_refused_on_windows(monkeypatch):
    module = as_on_windows(monkeypatch)
    assert not module.can_keep_apart()
    monkeypatch.undo()
    assert processes.can_keep_apart()
    monkeypatch.setattr(sandbox, "can_keep_apart", module.can_keep_apart)
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(UnavailableError, match="not done on Windows"):
        sandbox.run_confined(["true"], text="", time_limit_s=1, memory_mb=64)


def test_one_module_asks_the_system_for_locks_and_groups(project_root):
    asks = re.compile(r"^\s*import fcntl|^\s*import msvcrt|os\.(?:fork|killpg)\(", re.M)
    # A program of its own, which is started only where processes can be kept apart (the test above).
    launcher = re.compile(r'^_LAUNCHER = """.*?^"""', re.M | re.S)
    found = []
    for path in (project_root / "kdgov").rglob("*.py"):
        if asks.search(launcher.sub("", path.read_text())):
            found.append(path.relative_to(project_root).as_posix())
    assert found == ["kdgov/processes.py"]
