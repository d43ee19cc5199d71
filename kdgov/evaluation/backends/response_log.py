"""The record of one task's answers by one model: an append log while it is asked, one sealed file when it is whole.

Batches are formed from the frozen requests alone, so a run that was killed, a run with more processes and a run in one go ask
the same batches and write the same file. A kill loses at most the batch in flight.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from kdgov.digest import canonical_json, digest_bytes, digest_json, write_atomic
from kdgov.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One request with its answer."""

    index: int
    """Position among the task's requests."""
    answer: Any
    """JSON value: ``[log-likelihood, is greedy]``, a number, a text, a mapping."""
    delivered: str
    """Digest of the ids that entered the model."""
    is_truncated: bool = False
    """Whether the model was not given all of the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All answers of one task by one model."""

    key: str
    """Digest of everything that decides the answers."""
    answers: tuple[Answered, ...]
    """In the plan's order of requests."""

    @property
    def flat(self) -> list[Any]:
        """Answers alone, in order."""
        return [a.answer for a in self.answers]

    @property
    def digest(self) -> str:
        """Digest of the sealed file."""
        return digest_bytes(_sealed_bytes(self))


def number(value: float) -> float | str:
    """A number as JSON can hold it: one that is none is kept as text, so that it stays visible and no reader takes it for a score."""
    return value if math.isfinite(value) else str(value)


def is_whole(answer: Any) -> bool:
    """Whether the model gave an answer at all: finite numbers, or text; a failed computation leaves neither."""
    match answer:
        case None:
            return False
        case [value, *_]:
            return math.isfinite(float(value))
        case str():
            return True
        case float() | int():
            return math.isfinite(answer)
        case _:
            return True


class AnswerLog:
    """Where one task's answers are collected; also its sealed file."""

    def __init__(self, folder: Path, *, key: str, requests: int, rank: int = 0) -> None:
        self.key = key
        self.requests = requests
        self.path = folder / f"{key.removeprefix('sha256:')[:32]}.jsonl"
        self._own = self.path.with_suffix(f".log{rank}")

    def sealed(self) -> Record | None:
        """The finished record, if it is there, whole and unchanged."""
        return read_record(self.path, key=self.key, requests=self.requests)

    def reached(self) -> dict[str, list[Answered]]:
        """Batches already answered, by the name of the batch; a half-written last line is no batch."""
        found: dict[str, list[Answered]] = {}
        for log in sorted(self.path.parent.glob(f"{self.path.stem}.log*")):
            lines = _bytes(log).split(b"\n")
            if not lines or _parsed(lines[0]) != {"key": self.key, "requests": self.requests}:
                continue
            for line in lines[1:]:
                batch = _parsed(line)
                if isinstance(batch, dict) and batch.get("digest") == digest_json(batch.get("answers")):
                    found[str(batch["batch"])] = [
                        Answered(index=a[0], answer=a[1], delivered=a[2], is_truncated=a[3]) for a in batch["answers"]
                    ]
        return found

    @contextmanager
    def appending(self) -> Iterator[TextIO]:
        """The log, open for appending whole batches; a torn last line of a killed run is cut off first."""
        self._own.parent.mkdir(parents=True, exist_ok=True)
        header = canonical_json({"key": self.key, "requests": self.requests}) + b"\n"
        kept = _bytes(self._own)
        if not kept.startswith(header):
            kept = header
        write_atomic(self._own, kept[: kept.rfind(b"\n") + 1])
        with self._own.open("a", encoding="utf-8") as stream:
            yield stream

    def append(self, stream: TextIO, batch: str, answers: Sequence[Answered]) -> None:
        """Write one batch so that it survives a kill."""
        rows = [[a.index, a.answer, a.delivered, a.is_truncated] for a in answers]
        stream.write(canonical_json({"batch": batch, "answers": rows, "digest": digest_json(rows)}).decode() + "\n")
        stream.flush()
        os.fsync(stream.fileno())

    def seal(self, answers: Mapping[int, Answered]) -> Record:
        """Write the one file of a whole task and drop the logs; what another run has sealed meanwhile is the same.

        Raises:
            InputError: if a request has no answer.
        """
        if missing := [i for i in range(self.requests) if i not in answers]:
            if (there := self.sealed()) is not None:
                return there
            raise InputError(
                f"{len(missing)} of {self.requests} requests have no answer",
                mend="Run the same command again: it continues where it stopped.",
            )
        record = Record(key=self.key, answers=tuple(answers[i] for i in range(self.requests)))
        write_atomic(self.path, _sealed_bytes(record))
        for log in self.path.parent.glob(f"{self.path.stem}.log*"):
            log.unlink(missing_ok=True)
        return record


def _bytes(log: Path) -> bytes:
    # Another run that asks the same model the same may seal its answers, and drop the logs, between any two steps of this one.
    try:
        return log.read_bytes()
    except FileNotFoundError:
        return b""


def read_record(path: Path, *, key: str | None = None, requests: int | None = None) -> Record | None:
    """A sealed record, or None if it is absent, of another key, cut short or changed."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return None
    header = _parsed(lines[0])
    rows = [_parsed(line) for line in lines[1:] if line]
    if not isinstance(header, dict) or header.get("rows") != digest_json(rows) or header.get("requests") != len(rows):
        return None
    if (key is not None and header.get("key") != key) or (requests is not None and header["requests"] != requests):
        return None
    answers = tuple(Answered(index=i, answer=r[0], delivered=r[1], is_truncated=r[2]) for i, r in enumerate(rows))
    return Record(key=str(header["key"]), answers=answers)


def _sealed_bytes(record: Record) -> bytes:
    rows = [[a.answer, a.delivered, a.is_truncated] for a in record.answers]
    header = {"key": record.key, "requests": len(rows), "rows": digest_json(rows)}
    return b"\n".join([canonical_json(header), *(canonical_json(r) for r in rows), b""])


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def keep_again(log: AnswerLog, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Write second answers beside the first ones; how many there are and their digest, for the evidence."""
    content = canonical_json({"key": log.key, "answers": dict(answers)})
    write_atomic(_again_path(log), content)
    return {"items": len(answers), "digest": digest_bytes(content)}


def kept_again(log: AnswerLog, facts: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Second answers as `keep_again` wrote them; none where they are not those that the evidence names."""
    try:
        content = _again_path(log).read_bytes()
    except OSError:
        return {}
    return dict(json.loads(content)["answers"]) if digest_bytes(content) == facts.get("digest") else {}


def _again_path(log: AnswerLog) -> Path:
    return log.path.with_suffix(".again.json")
