"""Answers that were paid for, one line each, on disk before the next step is taken.

A line is appended and synced as soon as its answer arrives, so that a kill loses at most answers still under way. A line that a kill cut
in half is dropped when the journal is opened. One journal belongs to one teacher (an endpoint and model name, or weights) and is shared
by all releases that ask it: the same question is paid for once.

Example::

    with Journal(folder) as journal:
        journal.write(answer)
        journal.get(answer.key)
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from kdgov.digest import digest_json, write_atomic
from kdgov.distillation.generation.answers import Answer, answer_from_json
from kdgov.errors import InputError, UnavailableError
from kdgov.processes import lock_file
from kdgov.progress import Progress, silent

SCHEMA = "kdgov.answers/1"
_FILE = "answers.jsonl"
_WHO = "asked.json"


class Journal:
    """The answers of one teacher. One run at a time has it open: another waits, and then finds what was paid for meanwhile.

    Args:
        folder: where they lie; made if it is not there.
        progress: told when another run has to be waited for.

    Raises:
        InputError: if a line in the middle is not what was written.
        UnavailableError: if it cannot be written to.
    """

    def __init__(self, folder: Path, *, progress: Progress = silent) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._known: dict[str, Answer] = {}
        self._stream: IO[bytes] | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / _FILE
            self._stream = file.open("ab")
            self._alone(self._stream, progress)
            self._read(file)
        except OSError as error:
            raise UnavailableError(
                f"the journal of answers cannot be written to: {error.strerror}",
                where=str(folder),
                mend="Make the folder writable or free space; nothing was asked.",
            ) from error

    @classmethod
    def of(cls, root: Path, who: Mapping[str, Any], *, progress: Progress = silent) -> Journal:
        """The journal of one teacher among many under one root; who that is lies beside the answers for people to read."""
        journal = cls(_folder(root, who), progress=progress)
        if not (journal.folder / _WHO).exists():
            document = {"schema": SCHEMA, **who}
            write_atomic(journal.folder / _WHO, json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n")
        return journal

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def get(self, key: str) -> Answer | None:
        """The answer to an ask, if it is there."""
        return self._known.get(key)

    def __getitem__(self, key: str) -> Answer:
        """The answer to an ask that has one."""
        return self._known[key]

    def lacking(self, keys: Sequence[str]) -> list[str]:
        """Keys that have no answer yet, each once, in order."""
        return [key for key in dict.fromkeys(keys) if key not in self._known]

    def write(self, answer: Answer) -> None:
        """Keep an answer: on disk when this returns. Several threads may write.

        Raises:
            UnavailableError: if the disk is full or gone.
        """
        self.write_all([answer])

    def write_all(self, answers: Sequence[Answer]) -> None:
        """Keep the answers of one batch, with one sync."""
        lines = "".join(json.dumps(answer.as_json(), ensure_ascii=False, sort_keys=True) + "\n" for answer in answers)
        with self._lock:
            if self._stream is None:
                raise ValueError("the journal is closed")
            try:
                # A lone surrogate that a model wrote must not stop the run.
                self._stream.write(lines.encode("utf-8", "replace"))
                self._stream.flush()
                os.fsync(self._stream.fileno())
            except OSError as error:
                raise UnavailableError(
                    f"an answer could not be kept: {error.strerror}",
                    where=str(self.folder),
                    mend="Free space and run the same command again: what was kept is not asked again.",
                ) from error
            for answer in answers:
                self._known[answer.key] = answer

    @staticmethod
    def _alone(stream: IO[bytes], progress: Progress) -> None:
        try:
            lock_file(stream, wait=False)
        except BlockingIOError:
            progress("another run asks the same teacher: waiting for it", 0, 0)
            lock_file(stream, wait=True)

    def _read(self, file: Path) -> None:
        whole = 0
        with file.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.endswith(b"\n"):
                    break
                self._take(line, number, file)
                whole += len(line)
        if whole < file.stat().st_size:
            # A kill came in the middle of a line; a second line must not be glued to it.
            with file.open("r+b") as stream:
                stream.truncate(whole)

    def _take(self, line: bytes, number: int, file: Path) -> None:
        try:
            answer = answer_from_json(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"line {number} is not an answer as it was written",
                where=str(file),
                mend="Restore the file from a copy, or remove this line: its prompt is then asked again.",
            ) from error
        self._known[answer.key] = answer


def known_answers(root: Path, who: Mapping[str, Any]) -> dict[str, float]:
    """Keys that one teacher's journal has an answer to, each with what it cost; reads only, and waits for nobody."""
    file = _folder(root, who) / _FILE
    found: dict[str, float] = {}
    if not file.is_file():
        return found
    for line in file.read_bytes().splitlines(keepends=True):
        try:
            answer = answer_from_json(json.loads(line))
        except (ValueError, TypeError, KeyError):
            # A line under way, or a damaged one: whoever asks will say so.
            continue
        found[answer.key] = answer.usd
    return found


def _folder(root: Path, who: Mapping[str, Any]) -> Path:
    return root / digest_json(dict(who)).removeprefix("sha256:")[:24]
