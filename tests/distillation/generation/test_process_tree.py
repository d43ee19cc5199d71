"""What a verifier's command and all that it starts use together is bounded, and nothing of it is left."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kdgov.distillation.generation import sandbox
from kdgov.distillation.generation.process_tree import Bounds, can_be_looked_at, end_tree, exceeded
from kdgov.distillation.generation.sandbox import isolation, run_confined

pytestmark = pytest.mark.skipif(not can_be_looked_at(), reason="the kernel does not tell which processes a process has started")


@pytest.fixture(params=["in namespaces", "without"])
def apart(request, monkeypatch):
    if request.param == "without":
        monkeypatch.setattr(sandbox, "_unshared", tuple)
        monkeypatch.setattr(sandbox, "_can_be_read_only", lambda: False)
    elif not isolation()["other_processes"]:
        pytest.skip("this machine gives no namespaces")


def _command(process):
    try:
        return (Path(process) / "cmdline").read_bytes().decode(errors="replace")
    except OSError:  # It has ended since the folder was listed: between any two steps of reading it, too.
        return ""


def _alive(mark):
    return [process for process in glob.glob("/proc/[0-9]*") if mark in _command(process)]


SUMS = {
    # Doubles nine times: 512 processes at most, none of which does anything.
    "forks": ("import os, time\nfor _ in range(9): os.fork()\ntime.sleep(60)", "processes"),
    "threads": ("import threading, time\nfor _ in range(200): threading.Thread(target=time.sleep, args=(60,)).start()", "processes"),
    # Six of 100 MB, each within what one may have.
    "memory": (
        "import os, time\nfor _ in range(6):\n if not os.fork(): held = b'x' * (100 << 20); time.sleep(60)\ntime.sleep(60)",
        "memory",
    ),
}


@pytest.mark.parametrize("case", sorted(SUMS))
def test_what_processes_use_together_is_bounded_and_none_is_left(case, apart):
    code, passed = SUMS[case]
    mark = f"mark-{case}-{os.getpid()}"
    ran = run_confined(["python3", "-c", f"{code}  # {mark}"], text="", time_limit_s=40, memory_mb=400 if case == "memory" else 4096)
    assert (ran.exceeded, ran.is_late) == (passed, False)
    assert not _alive(mark)


@pytest.mark.parametrize("ends", [True, False])
def test_who_leaves_the_group_ends_with_it(ends, apart):
    """A process in a session of its own, whose parent has ended: after the command, and when its time is up."""
    mark = f"left-{ends}-{os.getpid()}"
    leaving = f"import os, time\nif not os.fork():\n os.setsid()\n if not os.fork(): time.sleep(60) # {mark}\n os._exit(0)\nos.wait()"
    ran = run_confined(
        ["python3", "-c", leaving + ("" if ends else "\ntime.sleep(60)")], text="", time_limit_s=30 if ends else 1, memory_mb=400
    )
    assert (ran.code == 0, ran.is_late) == (ends, not ends)
    assert not _alive(mark)


def test_processor_time_is_added_up():
    busy = subprocess.Popen([sys.executable, "-c", "import os\nos.fork()\nwhile True: pass"], start_new_session=True)
    try:
        plenty = {"tasks": 100, "memory_bytes": 1 << 40}
        assert exceeded(busy.pid, Bounds(**plenty, cpu_s=100)) == ""
        until = time.monotonic() + 30
        while time.monotonic() < until and not exceeded(busy.pid, Bounds(**plenty, cpu_s=0.3)):
            time.sleep(0.02)
        assert exceeded(busy.pid, Bounds(**plenty, cpu_s=0.3)) == "processor time"
    finally:
        end_tree(busy.pid)
        busy.wait()
