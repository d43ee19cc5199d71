"""Places read once: what a folder or a bucket's prefix was found to be holds as long as nothing in it shows another stamp.

On a disk a changed byte changes a file's change time (ctime), which no program can set back; a file younger than two seconds is never
taken for settled, because within the file system's time granularity a second change would not show. In a bucket the stamp is the
object's ETag, which is a digest of its content, and its time of writing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SETTLED_NS = 2_000_000_000
_LIMIT = 1024

Stamps = tuple[tuple[Any, ...], ...]


class Memory:
    """What was found out about places, per question asked."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Stamps, str]] = {}

    def of_folder(self, folder: Path, question: str, find: Callable[[], str]) -> str:
        """The remembered answer to a question about a folder, or a new one.

        Args:
            folder: what it is about; links are followed.
            question: everything else the answer depends on.
            find: reads the folder; whatever it raises is not remembered.
        """
        return self._answer((str(folder.absolute()), question), lambda: file_stamps(folder), find)

    def of_prefix(self, repository: Any, question: str, find: Callable[[], str]) -> str:
        """As `of_folder`, for MLflow's repository of an S3 prefix."""
        return self._answer((str(repository.artifact_uri), question), lambda: object_stamps(repository), find)

    def _answer(self, key: tuple[str, str], stamps: Callable[[], Stamps], find: Callable[[], str]) -> str:
        before = stamps()
        known = self._known.get(key)
        if known is not None and known[0] == before:
            return known[1]
        found = find()
        if before and before == stamps() and _is_settled(before):
            if len(self._known) >= _LIMIT:
                self._known.clear()
            self._known[key] = (before, found)
        else:
            self._known.pop(key, None)
        return found


def file_stamps(folder: Path) -> Stamps:
    """(relative path, size, inode, modification time, change time) of every file under a folder, sorted; empty where there is none."""
    found = []
    for root, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(root, name)
            seen = os.stat(path)
            found.append((os.path.relpath(path, folder), seen.st_size, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns))
    return tuple(sorted(found))


def object_stamps(repository: Any) -> Stamps:
    """(key, size, ETag, time of writing) of every object under an S3 prefix, by one listing; times count as settled."""
    bucket, prefix = repository.parse_s3_compliant_uri(repository.artifact_uri)
    pages = repository._get_s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix.rstrip('/')}/")
    found = [(o["Key"], o["Size"], o["ETag"], str(o["LastModified"])) for page in pages for o in page.get("Contents", [])]
    return tuple(sorted(found))


def _is_settled(stamps: Stamps) -> bool:
    newest = max((part for stamp in stamps for part in stamp[3:] if isinstance(part, int)), default=0)
    return time.time_ns() - newest > _SETTLED_NS
