"""What an endpoint answered, as it came: the journal a killed evaluation goes on from, and the evidence an audit judges again from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.digest import canonical_json, digest_json, write_atomic
from kdgov.endpoints.reply import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class RawAnswer:
    """One answer as it came."""

    request: int
    """Position among the task's requests."""
    answer: Mapping[str, Any]
    """The endpoint's JSON."""
    day: str
    """Day, UTC."""
    input_tokens: int
    """Tokens read."""
    output_tokens: int
    """Tokens written."""
    is_counted: bool
    """Whether the endpoint counted them."""
    usd: float
    """What it cost by the declared price."""
    tries: int
    """Requests it took."""
    is_again: bool = False
    """Whether it was asked a second time, at the end, to see whether the answer is still the same."""

    @property
    def digest(self) -> str:
        """Digest of the answer as it came."""
        return digest_json(self.answer)


def raw_answer(request: int, reply: Reply, *, day: str, is_again: bool = False) -> RawAnswer:
    """A reply as it is kept."""
    return RawAnswer(
        request=request,
        answer=reply.raw,
        day=day,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        is_counted=reply.is_counted,
        usd=reply.usd,
        tries=reply.tries,
        is_again=is_again,
    )


class RawLog:
    """The journal of one task: a line per answer, written before anything else is done with it."""

    def __init__(self, folder: Path, *, key: str, requests: int) -> None:
        """The journal under a key; no file is made yet."""
        self.path = folder / "raw" / f"{key.removeprefix('sha256:')[:32]}.jsonl"
        self._header = canonical_json({"key": key, "requests": requests}) + b"\n"
        self.requests = requests

    def lines(self) -> list[RawAnswer]:
        """Every whole line, in the order of receipt; a torn or changed line is none."""
        try:
            rows = self.path.read_bytes().splitlines(keepends=True)
        except OSError:
            return []
        if not rows or rows[0] != self._header:
            return []
        return [found for row in rows[1:] if (found := _parsed(row)) is not None]

    def received(self) -> dict[int, RawAnswer]:
        """Answers by request, the first of each."""
        found: dict[int, RawAnswer] = {}
        for line in self.lines():
            if not line.is_again:
                found.setdefault(line.request, line)
        return found

    def again(self) -> dict[int, RawAnswer]:
        """Answers of the second asking."""
        return {line.request: line for line in self.lines() if line.is_again}

    def start(self) -> None:
        """Make the file, or cut off the torn last line of a killed run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = self.path.read_bytes() if self.path.exists() else b""
        if not kept.startswith(self._header):
            kept = self._header
        write_atomic(self.path, kept[: kept.rfind(b"\n") + 1])

    def append(self, answer: RawAnswer) -> None:
        """Keep one answer so that it survives a kill."""
        row = {
            "request": answer.request, "answer": dict(answer.answer), "digest": answer.digest, "day": answer.day, "in": answer.input_tokens,
            "out": answer.output_tokens, "counted": answer.is_counted, "usd": answer.usd, "tries": answer.tries, "again": answer.is_again,
        }  # fmt: skip
        with self.path.open("ab") as stream:
            stream.write(canonical_json(row) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())


def _parsed(row: bytes) -> RawAnswer | None:
    try:
        value = json.loads(row)
        answer = RawAnswer(
            request=int(value["request"]),
            answer=value["answer"],
            day=str(value["day"]),
            input_tokens=int(value["in"]),
            output_tokens=int(value["out"]),
            is_counted=bool(value["counted"]),
            usd=float(value["usd"]),
            tries=int(value["tries"]),
            is_again=bool(value["again"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
    return answer if row.endswith(b"\n") and value.get("digest") == answer.digest else None
