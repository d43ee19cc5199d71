"""Finished work by digest: what makes steps resumable and reruns free.

A step's *key* is the digest of everything that decides its result. Its folder is ``<root>/steps/<step>/<key>``; while the
step works, ``<root>/steps/<step>/<key>.partial``. Finishing renames the one to the other, so a folder without ``.partial``
is always whole. ``result.json`` inside lists every file with its digest and is verified before reuse.

Asking writes nothing: `Store.finished` only reads. `Store.work` is the one place where results come about, by one run at a
time. No file of the store names its own place: the folder may be moved.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from kdgov import digest
from kdgov.checkpoints.digests import remember_digest, remembered_digest
from kdgov.errors import UnavailableError
from kdgov.pipeline.finished_work.lock import Tell, announce, held, is_joined
from kdgov.pipeline.finished_work.step_results import StepResult
from kdgov.processes import is_first

RESULT = "result.json"
_POLL_S = 0.2
_LARGE_BYTES = 1 << 20
"""Files from this size on are hashed once and remembered while path, size, times and inode stay; reading a smaller one is as quick."""

R = TypeVar("R", bound=StepResult)


def _untold(_: str) -> None:
    """Nobody is told."""


def _nothing() -> None:
    """The other processes of a launch leave it to the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Generic[R]):
    """A step under way, or the result that another run has finished meanwhile."""

    folder: Path
    """Where the step writes; after a kill it still holds what was reached."""
    finished: R | None
    """The result where there is nothing left to do."""
    restart: Callable[[], None]
    """Set a finished result aside, because what it led to is gone, and begin anew."""
    finish: Callable[..., R]
    """Seal the folder as the result; takes the facts. Only the first process of a launch writes."""


class NotFinishedError(Exception):
    """Raised by `ReadOnlyStore` where work would begin."""

    def __init__(self, step: str, folder: Path, *, is_begun: bool) -> None:
        super().__init__(step)
        self.step, self.folder, self.is_begun = step, folder, is_begun


class Store:
    """The folder of finished work (``registry/store`` by default)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, step: str, key: str) -> Path:
        """Folder of a finished step."""
        return self.root / "steps" / step / key.removeprefix(digest.PREFIX)[:24]

    def finished(self, kind: type[R], key: str, **told: Any) -> R | None:
        """The finished result under this key, if it is there and every file still has its digest. Writes nothing.

        Args:
            kind: which step's.
            key: digest of everything that decides it.
            told: the fields that the store does not keep.
        """
        folder = self.folder(kind.STEP, key)
        try:
            record = json.loads((folder / RESULT).read_bytes())
            kept, files = dict(record["facts"]), dict(record["files"])
            if record["key"] != key or kept.keys() != kind.kept() or _digests(folder) != files:
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return _result(kind, key, folder, kept, reused=True, told=told)

    @contextmanager
    def work(self, kind: type[R], key: str, *, tell: Tell = _untold, **told: Any) -> Iterator[Work[R]]:
        """Work on a result, one run at a time: another waits here, and finds it finished.

        Of several processes of one launch (torchrun, accelerate) the first takes part for all: the others go on once it is at work.
        A finished result that was changed since is set aside, neither trusted nor lost.

        Args:
            kind: which step's.
            key: digest of everything that decides it.
            tell: called with one sentence when another run has to be waited for.
            told: the fields that the store does not keep.

        Raises:
            UnavailableError: if the store cannot be written to.
        """
        partial = self.folder(kind.STEP, key).with_suffix(".partial")
        if not is_first():
            there = self._joined(kind, key, told)
            yield Work(folder=partial, finished=there, restart=_nothing, finish=lambda **facts: self._unsealed(kind, key, facts, told))
            return
        with self.lock(f"{kind.STEP}-{partial.stem}", what=f"the step {kind.STEP}", tell=tell) as announced:

            def begin() -> None:
                _set_aside(self.folder(kind.STEP, key))
                self._writable(partial)
                announced()

            there = self.finished(kind, key, **told)
            if there is None:
                begin()
            yield Work(folder=partial, finished=there, restart=begin, finish=lambda **facts: self._seal(kind, key, facts, told))

    @contextmanager
    def lock(self, name: str, *, what: str, tell: Tell = _untold) -> Iterator[Callable[[], None]]:
        """Hold a named lock of this store; yields what says that this run is at work.

        Raises:
            UnavailableError: if the store cannot be written to.
        """
        place = self.root / "locks" / f"{name}.lock"
        self._writable(place.parent)
        with held(place, what=what, tell=tell) as stream:
            yield lambda: announce(stream)

    def _joined(self, kind: type[R], key: str, told: Mapping[str, Any]) -> R | None:
        lock = self.root / "locks" / f"{kind.STEP}-{self.folder(kind.STEP, key).stem}.lock"
        while True:
            if (there := self.finished(kind, key, **told)) is not None:
                return there
            if is_joined(lock):
                return None
            time.sleep(_POLL_S)

    def _writable(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".writable-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise UnavailableError(
                f"the store cannot be written to: {error.strerror}",
                where=str(self.root),
                mend="Make the folder writable or free space, or choose another with --store.",
            ) from error

    def _seal(self, kind: type[R], key: str, facts: Mapping[str, Any], told: Mapping[str, Any]) -> R:
        folder = self.folder(kind.STEP, key)
        partial = folder.with_suffix(".partial")
        made = _result(kind, key, folder, facts, reused=False, told=told)
        files = _digests(partial)
        kept = {name: value for name, value in made.facts.items() if name in kind.kept()}
        record = {"step": kind.STEP, "key": key, "files": files, "facts": kept}
        digest.write_atomic(partial / RESULT, json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False).encode())
        os.replace(partial, folder)
        for name, found in files.items():
            if (folder / name).stat().st_size >= _LARGE_BYTES:
                remember_digest(folder / name, found)
        return made

    def _unsealed(self, kind: type[R], key: str, facts: Mapping[str, Any], told: Mapping[str, Any]) -> R:
        return _result(kind, key, self.folder(kind.STEP, key), facts, reused=False, told=told)


class ReadOnlyStore(Store):
    """A store of which only finished results are asked: where work would begin, `NotFinishedError` tells which."""

    @contextmanager
    def work(self, kind: type[R], key: str, *, tell: Tell = _untold, **told: Any) -> Iterator[Work[R]]:
        """Begin nothing.

        Raises:
            NotFinishedError: always, with whether an earlier run has left something to go on with.
        """
        folder = self.folder(kind.STEP, key)
        raise NotFinishedError(kind.STEP, folder, is_begun=folder.with_suffix(".partial").is_dir())
        yield

    @contextmanager
    def lock(self, name: str, *, what: str, tell: Tell = _untold) -> Iterator[Callable[[], None]]:
        """Hold nothing.

        Raises:
            NotFinishedError: always.
        """
        raise NotFinishedError(what, self.root, is_begun=False)
        yield


def _result(kind: type[R], key: str, folder: Path, facts: Mapping[str, Any], *, reused: bool, told: Mapping[str, Any]) -> R:
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in {**facts, **told}.items()}
    return kind(key=key, folder=folder, reused=reused, **values)


def _digests(folder: Path) -> dict[str, str]:
    """Relative path → digest of every file of a result but its record; large ones side by side, in threads."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != RESULT)
    with ThreadPoolExecutor() as pool:
        # Each thread sees what its caller has set: a dry run remembers nothing.
        found = [pool.submit(copy_context().run, _digest, path) for path in paths]
        return {path.relative_to(folder).as_posix(): one.result() for path, one in zip(paths, found, strict=True)}


def _digest(path: Path) -> str:
    return remembered_digest(path) if path.stat().st_size >= _LARGE_BYTES else digest.digest_file(path)


def _set_aside(folder: Path) -> None:
    aside = folder.with_suffix(".changed")
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(folder, aside)
