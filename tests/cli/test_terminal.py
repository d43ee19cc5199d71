"""What a person sees while a release runs: in a real pseudo-terminal, at two widths, with and without colours, and in a pipe."""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.items.foreign import lm_eval

pyte = pytest.importorskip("pyte")

SCRIPT = """
import time
from kdgov.cli.progress_display import progress_bars
with progress_bars() as progress:
    for step in ("check", "distill"):
        for done in range(4):
            progress(f"{step} part", done + 1, 4)
            time.sleep(0.12)
        progress.line(f"\\u2713 {step:<9} {1.0:>8.1f} s  a summary of {step}")
    progress.line("\\u2717 gate          0.4 s  fail: of 14 results 1 failed", style="red")
print("the answer")
"""


def _shown(columns: int, environment: dict[str, str], command: Sequence[str] = ("-c", SCRIPT)) -> tuple[list[str], str]:
    """The screen after Python ran a command, and everything it wrote."""
    import fcntl
    import termios

    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
    child = subprocess.Popen(
        [sys.executable, *command],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), **environment},
        cwd=Path(__file__).parents[2],
    )
    os.close(inner)
    raw = b""
    while True:
        try:
            part = os.read(outer, 65_536)
        except OSError:
            break
        if not part:
            break
        raw += part
    child.wait(timeout=60)
    screen = pyte.Screen(columns, 60)
    stream = pyte.ByteStream(screen)
    stream.feed(raw)
    return [line.rstrip() for line in screen.display if line.strip()], raw.decode()


@pytest.mark.parametrize("columns", [80, 120])
def test_each_finished_step_stays_on_the_screen_and_no_bar_is_left(columns):
    lines, _ = _shown(columns, {})
    assert [line.split()[:2] for line in lines[:3]] == [["✓", "check"], ["✓", "distill"], ["✗", "gate"]]
    assert lines[-1] == "the answer"
    assert len(lines) == 4, lines


def test_no_color_writes_no_colour():
    _, coloured = _shown(80, {})
    _, plain = _shown(80, {"NO_COLOR": "1"})
    colour = re.compile(r"\x1b\[[0-9;]*3[0-9]m")
    assert colour.search(coloured)
    assert not colour.search(plain)


def test_a_pipe_gets_whole_lines_and_no_escapes():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert "\x1b" not in done.stderr
    assert "✓ check" in done.stderr
    assert done.stdout == "the answer\n"


def gate(folder: Path) -> list[str]:
    """The gate on results that lost a fifth."""
    for name, lost in (("teacher", 0), ("student", 200)):
        lm_eval(folder / name, [float(n % 10 > 0 and n >= lost) for n in range(1000)])
    return ["-m", "kdgov", "gate", "--teacher", str(folder / "teacher"), "--student", str(folder / "student"), "--policy", "lm-eval"]


@pytest.mark.parametrize("columns", [80, 120])
def test_a_real_decision_ends_with_verdict_why_and_next_whatever_the_width(tmp_path, columns):
    lines, _ = _shown(columns, {}, gate(tmp_path))
    verdict = next(number for number, line in enumerate(lines) if "FAIL: the student is blocked" in line)
    # The verdict is last, and a glance at the end of the screen answers why and what next.
    ending = "\n".join(lines[verdict:])
    assert len(lines) - verdict <= 12, ending
    assert [word for word in ("why:", "next:", "open:", "decides:") if word in ending] == ["why:", "next:", "open:", "decides:"]
    assert all(len(line) <= columns for line in lines)
    assert "inconclusi\nve" not in "\n".join(lines)


def test_an_encoding_without_the_marks_ends_no_command(tmp_path):
    command = [sys.executable, *gate(tmp_path)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, check=False, env=environment, cwd=Path(__file__).parents[2])
    assert done.returncode == 1, done.stderr
    assert "✖ FAIL" in done.stdout.decode()
