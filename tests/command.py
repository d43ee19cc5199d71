"""Runs the `kdgov` command as a user would: its own process, its own store."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one call of the command gave back."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as JSON; fails if anything else stands there."""
        return json.loads(self.out)

    def refuses(self, code: int, *says: str) -> None:
        """Assert exit code and words of the message, and that no traceback is shown."""
        assert self.code == code, (self.code, self.out[-2000:], self.err[-4000:])
        assert "Traceback" not in self.err, self.err[-4000:]
        for words in says:
            assert words in self.err + self.out, (words, self.err[-4000:])


def free_port() -> str:
    """A port nobody listens on; torchrun's static rendezvous waits for ever on port 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def kdgov(*arguments: str | Path, cwd: Path | None = None, timeout_s: float = 800, **environment: str) -> Answer:
    """Call ``python -m kdgov`` and wait for it."""
    command = [sys.executable, "-m", "kdgov", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=cwd, env={**os.environ, **environment}
    )
    return Answer(code=done.returncode, out=done.stdout, err=done.stderr)


def start_kdgov(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Start ``python -m kdgov`` in a process group of its own, standard error readable line by line."""
    command = [sys.executable, "-m", "kdgov", *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **environment},
        # A test run in the background ignores Ctrl-C, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
