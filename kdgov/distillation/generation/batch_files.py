"""Request and answer files of batch interfaces: what lacks an answer goes out as a file, and answers come back into the journal.

The format is that of OpenAI's batch interface (one JSON object a line: ``custom_id``, ``method``, ``url``, ``body``), which vLLM's
``run-batch``, Mistral, Groq and Together read as well. A ``custom_id`` is the request's own digest, so that answers may come in any
order, in any number of files, and also long after.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.digest import PREFIX, write_atomic
from kdgov.distillation.generation.answers import Answer, Ask
from kdgov.distillation.generation.asking import answer_of, is_about_the_prompt
from kdgov.distillation.generation.journal import Journal
from kdgov.endpoints.faults import fault_of_status
from kdgov.endpoints.reply import Reply, is_same_model, read_reply
from kdgov.errors import InputError
from kdgov.safe_parse import RepeatedKeyError, unique_object

REQUESTS_PER_FILE, BYTES_PER_FILE = 50_000, 190 << 20
"""What providers take in one file, with some room."""


def write_batch(endpoint: Endpoint, asks: Sequence[Ask], journal: Journal, folder: Path, name: str) -> list[Path]:
    """Write what lacks an answer as request files and return them; none where nothing lacks.

    Args:
        endpoint: who is asked: its model and ``extra_body`` go into every request.
        asks: everything that is wanted.
        journal: what is answered.
        folder: where the files go.
        name: what they are called, before their number.
    """
    wanted = {ask.key: ask for ask in asks}
    lacking = [wanted[key] for key in journal.lacking(list(wanted))]
    files: list[Path] = []
    for number, lines in enumerate(_parts([_request(endpoint, ask) for ask in lacking])):
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{name}-{number:04d}.jsonl"
        write_atomic(file, b"".join(lines))
        files.append(file)
    return files


def _request(endpoint: Endpoint, ask: Ask) -> bytes:
    path = "/v1/chat/completions" if endpoint.api == "chat" else "/v1/completions"
    body = {**ask.body, **endpoint.extra_body, "model": endpoint.model}
    line = {"custom_id": ask.key.removeprefix(PREFIX), "method": "POST", "url": path, "body": body}
    return json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _parts(lines: Sequence[bytes]) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for line in lines:
        if part and (len(part) >= REQUESTS_PER_FILE or size + len(line) > BYTES_PER_FILE):
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line)
    if part:
        yield part


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRead:
    """What an answer file brought."""

    answered: int = 0
    """New answers."""
    refused: int = 0
    """Prompts that the provider would not take."""
    failed: int = 0
    """Requests that failed or expired there; they are asked again."""
    again: int = 0
    """Lines about a request that has an answer already; the first that came counts."""
    foreign: int = 0
    """Lines that answer nothing this release asks."""

    @property
    def own(self) -> int:
        """Lines about what this release asks."""
        return self.answered + self.refused + self.failed + self.again

    @property
    def line(self) -> str:
        """For people."""
        told = f"{self.answered:,} answers taken in, {self.refused:,} refused, {self.failed:,} failed, {self.foreign:,} foreign"
        return told + (f", {self.again:,} answered before" if self.again else "")


def read_batch(endpoint: Endpoint, asks: Sequence[Ask], journal: Journal, file: Path) -> BatchRead:
    """Take a provider's answer file into the journal; what is there already stays as it is, and of two answers to one request the first.

    Raises:
        InputError: if a line is not an answer of a batch, or another model answered.
    """
    wanted = {ask.key for ask in asks}
    counts = dict.fromkeys(("answered", "refused", "failed", "again", "foreign"), 0)
    fresh: dict[str, Answer] = {}
    failed: set[str] = set()
    for number, line in enumerate(_lines(file), start=1):
        value, key = _read(line, file, number)
        # Another term's model may have answered a foreign line: it is not looked into.
        if key not in wanted:
            counts["foreign"] += 1
        elif journal.get(key) is not None or key in fresh:
            counts["again"] += 1
        elif (outcome := _outcome(value, key, endpoint, f"line {number}", file)) is None:
            failed.add(key)
        else:
            counts["answered" if outcome.outcome == "answered" else "refused"] += 1
            fresh[key] = outcome
    journal.write_all(list(fresh.values()))
    return BatchRead(**{**counts, "failed": len(failed - set(fresh))})


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as stream:
            yield from (line for line in stream if line.strip())
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(file), mend="Name the file that the provider gave back.") from error


def _read(line: bytes, file: Path, number: int) -> tuple[Mapping[str, Any], str]:
    """What stands in a line, and the key of its request."""
    try:
        value: Mapping[str, Any] = json.loads(line, object_pairs_hook=unique_object)
        key = PREFIX + str(value["custom_id"]).removeprefix(PREFIX)
        # A request file, or another provider's format: to count its lines as failed would have them paid for again.
        if "response" not in value and "error" not in value:
            raise _no_answer_file(file, number)
        int((value.get("response") or {}).get("status_code", 200))
    except RepeatedKeyError as error:
        raise error.fault(str(file), number) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_answer_file(file, number) from error
    return value, key


def _outcome(value: Mapping[str, Any], key: str, endpoint: Endpoint, place: str, file: Path) -> Answer | None:
    """The answer to a request; None where it failed there and may be asked again."""
    response = value.get("response") or {}
    status, body = int(response.get("status_code", 200)), response.get("body")
    if body is None:
        return None
    if not 200 <= status < 300:
        told = body.get("error") if isinstance(body, dict) else None
        said = str(told.get("message") if isinstance(told, dict) else told or body)[:200]
        fault = fault_of_status(status, said)
        return Answer(key=key, outcome="refused", said=said) if is_about_the_prompt(fault, has_answers=True) else None
    reply = read_reply(json.dumps(body).encode(), endpoint, asked_bytes=0, tries=1)
    if not isinstance(reply, Reply):
        return None
    if not is_same_model(endpoint.model, reply.model, endpoint.answers_as):
        raise InputError(
            f"{place} was answered by {reply.model!r} where {endpoint.model!r} was asked",
            where=str(file),
            mend="Correct `endpoint.model`, or list the other name under `answers_as` if it is the right model.",
        )
    return answer_of(key, reply)


def _no_answer_file(file: Path, number: int) -> InputError:
    return InputError(
        f"line {number} is no answer of a batch: it needs custom_id and response (or error)",
        where=str(file),
        mend="Name the output file of the batch, not the request file; other providers' formats have to be put into OpenAI's.",
    )
