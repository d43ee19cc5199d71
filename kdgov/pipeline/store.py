"""Finished work by digest: what makes steps resumable and reruns free.

A step's *key* is the digest of everything that decides its result. Its folder is ``<root>/steps/<step>/<key>``; while the
step works, ``<root>/steps/<step>/<key>.partial``. Finishing renames the one to the other, so a folder without ``.partial``
is always whole. ``result.json`` inside lists every file with its digest and is verified before reuse.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov import digest
from kdgov.errors import UnavailableError

RESULT = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """A whole result of one step."""

    step: str
    """Which step."""
    key: str
    """Digest of everything that decided the result."""
    folder: Path
    """Where its files lie."""
    reused: bool
    """Whether an earlier run produced it."""
    facts: Mapping[str, Any]
    """What the step wants later steps and people to know: small JSON values."""


class Store:
    """The folder of finished work (``registry/store`` by default)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, step: str, key: str) -> Path:
        """Folder of a finished step."""
        return self.root / "steps" / step / key.removeprefix(digest.PREFIX)[:24]

    def finished(self, step: str, key: str) -> StepResult | None:
        """The finished result under this key, if it is there and every file still has its digest."""
        folder = self.folder(step, key)
        try:
            record = json.loads((folder / RESULT).read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        files: Mapping[str, str] = record["files"]
        if record["key"] != key or digest.tree_manifest(folder, exclude=[RESULT]) != dict(files):
            # A changed result is neither trusted nor lost: it is set aside and the step runs again.
            _set_aside(folder)
            return None
        return StepResult(step=step, key=key, folder=folder, reused=True, facts=record["facts"])

    def working(self, step: str, key: str) -> Path:
        """The folder a step works in; after a kill it still holds what was reached.

        Raises:
            UnavailableError: if it cannot be written to.
        """
        folder = self.folder(step, key).with_suffix(".partial")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.write_bytes(b"")
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise UnavailableError(
                f"the store cannot be written to: {error.strerror}",
                where=str(self.root),
                mend="Make the folder writable or free space, or choose another with --store.",
            ) from error
        return folder

    def finish(self, step: str, key: str, facts: Mapping[str, Any]) -> StepResult:
        """Seal the working folder of a step as its result."""
        partial = self.folder(step, key).with_suffix(".partial")
        files = digest.tree_manifest(partial, exclude=[RESULT])
        record = {"step": step, "key": key, "files": files, "facts": dict(facts)}
        digest.write_atomic(partial / RESULT, json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False).encode())
        folder = self.folder(step, key)
        if folder.exists():
            _set_aside(folder)
        os.replace(partial, folder)
        return StepResult(step=step, key=key, folder=folder, reused=False, facts=dict(facts))


def _set_aside(folder: Path) -> None:
    aside = folder.with_suffix(".changed")
    if aside.exists():
        shutil.rmtree(aside)
    if folder.exists():
        os.replace(folder, aside)
