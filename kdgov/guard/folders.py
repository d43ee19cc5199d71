"""Folders read once: what a folder was found to be holds as long as no file in it has another size, time or inode.

A changed byte changes a file's change time (ctime), which no program can set back; a file younger than two seconds is never taken
for settled, because within the file system's time granularity a second change would not show.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

_SETTLED_NS = 2_000_000_000
_LIMIT = 1024

Stamps = tuple[tuple[str, int, int, int, int], ...]


class FolderMemory:
    """What was found out about folders, per question asked."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Stamps, str]] = {}

    def answer(self, folder: Path, question: str, find: Callable[[], str]) -> str:
        """The remembered answer to a question about a folder, or a new one.

        Args:
            folder: what it is about; links are followed.
            question: everything else the answer depends on.
            find: reads the folder; whatever it raises is not remembered.
        """
        key = (str(folder.absolute()), question)
        before = stamps(folder)
        known = self._known.get(key)
        if known is not None and known[0] == before:
            return known[1]
        found = find()
        newest = max((max(stamp[2], stamp[3]) for stamp in before), default=0)
        if before and before == stamps(folder) and time.time_ns() - newest > _SETTLED_NS:
            if len(self._known) >= _LIMIT:
                self._known.clear()
            self._known[key] = (before, found)
        else:
            self._known.pop(key, None)
        return found


def stamps(folder: Path) -> Stamps:
    """(relative path, size, modification time, change time, inode) of every file under a folder, sorted; empty where there is none."""
    found = []
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in files:
            path = os.path.join(root, name)
            seen = os.stat(path)
            found.append((os.path.relpath(path, folder), seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino))
    return tuple(sorted(found))
