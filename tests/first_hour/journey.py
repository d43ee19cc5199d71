"""A newcomer's path, walked in a shell: every command counted, every file counted, the verdict read at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import ROOT

TABLE = ROOT / "tests" / ".artifacts" / "first_hour.md"


@dataclass
class Journey:
    """One path from an empty folder to a verdict."""

    name: str
    """What the person has."""
    folder: Path
    """Where they work."""
    kdgov: list[str] = field(default_factory=lambda: [sys.executable, "-m", "kdgov"])
    """How kdgov is called there."""
    environment: dict[str, str] = field(default_factory=dict)
    """What their shell has set besides."""
    commands: list[str] = field(default_factory=list)
    """What they typed."""
    edited_lines: int = 0
    """Lines they changed by hand."""
    began: float = field(default_factory=time.monotonic)
    """Monotonic seconds."""

    def __post_init__(self) -> None:
        self.before = {path for path in self.folder.rglob("*") if path.is_file()}

    def type(self, *words: str, code: int | tuple[int, ...] = 0, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run ``kdgov WORDS``, and hold it to its exit code."""
        self.commands.append(" ".join(("kdgov", *words)))
        plain = {name: value for name, value in os.environ.items() if not name.startswith("KDGOV_")}
        environment = {**plain, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "160", **self.environment}
        command = [*prefix, *self.kdgov, *words]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        allowed = (code,) if isinstance(code, int) else code
        assert done.returncode in allowed, f"{self.commands[-1]} ended with {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        assert "Traceback" not in done.stderr
        return done

    def edit(self, file: str, old: str, new: str) -> None:
        """Change one line, as a person would in an editor."""
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} holds {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new))
        self.edited_lines += 1

    def ended(self, verdict: str) -> None:
        """Note the path in the table of all paths."""
        written = {path for path in self.folder.rglob("*") if path.is_file() and "store" not in path.parts} - self.before
        seconds = time.monotonic() - self.began
        row = f"| {self.name} | {len(self.commands)} | {len(written)} | {self.edited_lines} | {seconds:.0f} | {verdict} |\n"
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        head = "| path | commands | files written by kdgov | lines edited | seconds | verdict |\n|---|--:|--:|--:|--:|---|\n"
        kept = TABLE.read_text() if TABLE.exists() else head
        rows = [line for line in kept.splitlines(keepends=True) if not line.startswith(f"| {self.name} |")]
        TABLE.write_text("".join(rows) + row)
        sys.stdout.write("\n".join([*self.commands, row]))
        assert len(self.commands) <= 3, "at most three commands to a verdict"
        assert self.edited_lines <= 2, "at most two edited lines to a verdict"


def verdict_of(done: subprocess.CompletedProcess[str]) -> str:
    """The verdict of a decision printed as JSON."""
    return str(json.loads(done.stdout)["verdict"])
