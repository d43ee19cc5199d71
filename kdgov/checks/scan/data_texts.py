"""The texts of the data as they are compared with inputs: prompts where rows tell them, distinct, a bounded draw by digest."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdgov.checks.scan.coverage_score import LEAST_TEXTS, MOST_DATA
from kdgov.checks.scan.logged_inputs import LoggedInput
from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Row, Tally

DOCUMENT_KEYS = (
    "document",
    "document_id",
    "doc_id",
    "source_id",
    "url",
    "conversation",
    "conversation_id",
    "session",
    "session_id",
    "thread",
)
"""Keys of a row that name the document or conversation it was cut from, in the order they are looked for."""
LINES_OF_A_DOCUMENT = 20
"""Neighbouring lines of a plain text file count as one document."""
_NO_TEXT = frozenset({"id", "item_id", "label", "path", "file", "image", "audio", *DOCUMENT_KEYS})


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTexts:
    """What the data asks, ready to be compared with inputs."""

    texts: tuple[str, ...]
    """Distinct texts: prompts, or the openings of whole texts."""
    documents: tuple[str, ...]
    """Document of each text; one that stands alone has a name of its own."""
    are_prompts: bool
    """Whether the rows say which part is the prompt."""
    rows: int
    """Rows with a text."""
    media_rows: int
    """Rows without text: images, sounds and numbers, which are not compared."""


def data_texts(paths: Sequence[Path], inputs: Sequence[LoggedInput], *, size: int = MOST_DATA) -> DataTexts:
    """Distinct texts of the data, the same on every run: those whose digests are smallest.

    Prompts are compared with prompts. Where the rows do not tell prompts from answers, each text is cut to the length of an input.

    Raises:
        InputError: if a file cannot be read.
    """
    kept: dict[bool, list[tuple[int, str, str]]] = {True: [], False: []}
    seen: dict[bool, set[int]] = {True: set(), False: set()}
    media, rows = 0, 0
    for path in paths:
        for row in read_rows(path, Tally()):
            found = list(_texts(row, path))
            media += not found
            rows += len(found)
            for is_prompt, text, document in found:
                _keep(text, document, kept[is_prompt], seen[is_prompt], size)
    are_prompts = len(kept[True]) >= len(kept[False])
    ordered = [(text, document) for _, text, document in sorted(kept[are_prompts], reverse=True)]
    named = {(text if are_prompts else _opening(text, inputs)): document for text, document in reversed(ordered)}
    pairs = list(reversed(named.items()))
    return DataTexts(
        texts=tuple(text for text, _ in pairs),
        documents=tuple(document or f"\0{number}" for number, (_, document) in enumerate(pairs)),
        are_prompts=are_prompts,
        rows=rows,
        media_rows=media,
    )


def is_testable(data: DataTexts, inputs: Sequence[LoggedInput]) -> bool:
    """Whether there are enough distinct texts on both sides."""
    return min(len(data.texts), len(inputs)) >= LEAST_TEXTS


def _keep(text: str, document: str, heap: list[tuple[int, str, str]], seen: set[int], size: int) -> None:
    rank = _rank(text)
    if rank in seen:
        return
    if len(heap) < size:
        heapq.heappush(heap, (-rank, text, document))
    elif -rank > heap[0][0]:
        seen.discard(-heapq.heapreplace(heap, (-rank, text, document))[0])
    else:
        return
    seen.add(rank)


def _texts(row: Row, path: Path) -> Iterator[tuple[bool, str, str]]:
    """Whether it is a prompt, the text, and its document."""
    if row.value is None:
        # A plain text file is one long row: its lines are the examples.
        lines = [line for piece in row.pieces for line in piece.text[piece.own_from : piece.own_to].split("\n")]
        yield from ((False, line, f"{path.name}:{row.number}:{n // LINES_OF_A_DOCUMENT}") for n, line in enumerate(lines) if line.strip())
        return
    document = _document(row.value)
    asked = [piece.text for piece in row.pieces if piece.role == "prompt" and piece.text.strip()]
    if asked:
        yield True, asked[-1], document
        return
    whole = [piece.text for piece in row.pieces if piece.field not in _NO_TEXT]
    if text := "\n".join(part for part in whole if part.strip()):
        yield False, text, document


def _document(value: object) -> str:
    if not isinstance(value, Mapping):
        return ""
    named = ((key, value[key]) for key in DOCUMENT_KEYS if isinstance(value.get(key), (str, int)))
    return next((f"{key}:{name}" for key, name in named if name != ""), "")


def _opening(text: str, inputs: Sequence[LoggedInput]) -> str:
    length = max(1, len(inputs[_rank(text) % len(inputs)].text.split())) if inputs else 64
    return " ".join(text.split()[:length])


def _rank(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")
