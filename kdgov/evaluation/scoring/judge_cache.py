"""What a judge that is a model has said, kept by content: the same judge is never asked twice about the same prompt and answer."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgov.digest import digest_json

Asked = tuple[str, ...]
"""Prompt and answer, and the other model's answer where two are compared."""
Ask = Callable[[Sequence[Asked]], Sequence[str]]
"""Questions → labels, the empty one where the judge could not tell."""


class JudgeCache:
    """Labels of one judge in one file, appended as they come; without a folder they are kept in memory alone."""

    def __init__(self, folder: Path | None, judge: str) -> None:
        """Read what is there.

        Args:
            folder: where answers of this evaluation are kept; None: nowhere.
            judge: digest of all that decides the judge's labels.
        """
        self.path = None if folder is None else folder / "judges" / f"{judge.removeprefix('sha256:')}.jsonl"
        self._lock = threading.Lock()
        self.known: dict[str, str] = {}
        if self.path is not None and self.path.is_file():
            for line in self.path.read_bytes().splitlines():
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            self.known[str(row["asked"])] = str(row["label"])
        except (ValueError, KeyError, TypeError):
            # The last line of a run that was killed: asked again.
            return

    def labels(self, asked: Sequence[Asked], ask: Ask) -> list[str]:
        """A label per question; only new ones are asked, equal ones once, and what could not be told is asked again next time."""
        keys = [digest_json(list(one)) for one in asked]
        new = {key: one for key, one in zip(keys, asked, strict=True) if key not in self.known}
        for key, label in zip(new, ask(list(new.values())), strict=True) if new else ():
            if label:
                self._keep(key, label)
        return [self.known.get(key, "") for key in keys]

    def _keep(self, key: str, label: str) -> None:
        with self._lock:
            self.known[key] = label
            if self.path is not None:
                append_row(self.path, {"asked": key, "label": label})


def append_row(path: Path, row: Mapping[str, Any], *, is_paid: bool = False) -> None:
    """Append one line of JSON; the torn last line of a killed run ends first, unreadable alone. What was paid is on disk at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        torn = b"\n" if size and file.read(1) != b"\n" else b""
        file.write(torn + json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        if is_paid:
            file.flush()
            os.fsync(file.fileno())
