"""Logged production inputs as a stream: the text of each record, equal ones once, a draw by hash, in bounded memory."""

from __future__ import annotations

import hashlib
import heapq
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.declarations.data_parts.data_use import value_at
from kdgov.declarations.release_parts.production_inputs import ProductionInputs
from kdgov.errors import InputError
from kdgov.items.formats.file_kinds import FileKind, kind_of, refuse_rows
from kdgov.quantities import quantity

_MOST_DISTINCT = 4_000_000
"""Distinct inputs that are counted one by one; a log of more is told to be cut."""
_AT_ONCE = 1 << 18
"""Rows between two looks at what came before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedInput:
    """One distinct input."""

    text: str
    """What was asked."""
    row: int
    """Row of the log it first came in, from 1."""
    times: int
    """How often it came."""
    session: str = ""
    """Session of its first row; empty where the log names none."""
    reference: str = ""
    """Known good answer; empty where the log has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What a log holds."""

    rows: int
    """Records with a text."""
    distinct: int
    """Different texts."""
    inputs: tuple[LoggedInput, ...]
    """The draw: all of them, or those whose digests are smallest."""


def read_log(path: Path, declared: ProductionInputs, *, size: int | None = None) -> Log:
    """Every distinct input of a log, or a draw of ``size`` of them (default the declared ``limit``).

    Texts that differ only in spaces and capitals are equal. The draw depends on each text alone, so that a longer log keeps it.

    Raises:
        InputError: in one line, if the log cannot be read, a record lacks a declared key, or no text is left.
    """
    most = declared.limit if size is None else size
    times, kept = _Counts(), list[tuple[int, LoggedInput]]()
    drawn_ranks: set[int] = set()
    tally, rows, kind = Tally(), 0, kind_of(path)
    for number, value in _values(path, tally, kind):
        text = _required(value, declared.field, number, path)
        rank = _rank(text)
        rows += 1
        if times.add(rank) > _MOST_DISTINCT:
            raise _fault(path, f"has more than {_MOST_DISTINCT:,} distinct inputs", "Hand in a random part of the log.")
        # What was once too large for the draw stays so: only ranks in the draw have to be told from new ones.
        if rank not in drawn_ranks and (len(kept) < most or -rank > kept[0][0]):
            one = LoggedInput(text=text, row=number, times=1, **_extras(value, declared, number, path))
            drawn_ranks.add(rank)
            if len(kept) < most:
                heapq.heappush(kept, (-rank, one))
            else:
                drawn_ranks.discard(-heapq.heapreplace(kept, (-rank, one))[0])
    if tally.unreadable_count:
        count = quantity(tally.unreadable_count, "line is", "lines are")
        said = "closed by a quote" if kind == "table" else "JSON"
        raise _fault(path, f"{count} not {said} (first: line {tally.unreadable[0]})", "Correct or remove what is not.")
    if tally.invalid_utf8:
        raise _fault(path, "is not UTF-8 text", "Save the file as UTF-8.")
    if not rows:
        raise _fault(path, "holds no input", "Name a log with at least one record.")
    drawn = sorted(kept, key=lambda pair: pair[1].row)
    inputs = tuple(_counted(one, times.of(-rank)) for rank, one in drawn)
    return Log(rows=rows, distinct=times.distinct, inputs=inputs)


class _Counts:
    """How often each rank came: sixteen bytes for a distinct one, as a log has millions."""

    def __init__(self) -> None:
        self._new = array("Q")
        self._ranks = np.zeros(0, dtype=np.uint64)
        self._times = np.zeros(0, dtype=np.int64)

    def add(self, rank: int) -> int:
        """Count it once more; how many different ones were counted, the last `_AT_ONCE` left out."""
        self._new.append(rank)
        if len(self._new) >= _AT_ONCE:
            self._join()
        return len(self._ranks)

    def of(self, rank: int) -> int:
        """How often it came; at least once."""
        self._join()
        return int(self._times[np.searchsorted(self._ranks, np.uint64(rank))])

    @property
    def distinct(self) -> int:
        """How many different ones came."""
        self._join()
        return len(self._ranks)

    def _join(self) -> None:
        if not self._new:
            return
        ranks, times = np.unique(np.frombuffer(self._new, dtype=np.uint64), return_counts=True)
        both = np.concatenate([self._ranks, ranks])
        self._ranks, places = np.unique(both, return_inverse=True)
        joined = np.zeros(len(self._ranks), dtype=np.int64)
        np.add.at(joined, places, np.concatenate([self._times, times]))
        self._times, self._new = joined, array("Q")


def _counted(one: LoggedInput, times: int) -> LoggedInput:
    return LoggedInput(text=one.text, row=one.row, times=times, session=one.session, reference=one.reference)


def _values(path: Path, tally: Tally, kind: FileKind) -> Iterator[tuple[int, Any]]:
    number = 0
    for row in read_rows(path, tally):
        if row.value is not None:
            yield row.number, row.value
            continue
        if kind == "lines":
            continue  # counted in the tally, and told at the end
        # A plain text file is one long row: its lines are the inputs.
        for piece in row.pieces:
            refuse_rows("" if number else piece.text, path)
            for line in piece.text[piece.own_from : piece.own_to].split("\n"):
                number += 1
                if line.strip():
                    yield number, line


def text_at(value: Any, field: str) -> str | None:
    """The text under a key of a record; dots reach into nested records, chat messages give their last user message."""
    found = value
    for part in field.split(".") if isinstance(value, Mapping) and field not in value else [field]:
        if isinstance(found, list) and part.isdigit():
            found = found[int(part)] if int(part) < len(found) else None
        elif isinstance(found, Mapping):
            found = found.get(part)
        elif found is not value or not isinstance(value, str):
            return None
    return _plain(found)


def _plain(found: Any) -> str | None:
    if isinstance(found, str):
        return found
    if isinstance(found, Mapping):
        return _plain(found.get("content", found.get("value", found.get("text"))))
    if isinstance(found, list) and found and all(isinstance(part, Mapping) for part in found):
        said = [part for part in found if part.get("role", part.get("from")) in ("user", "human")]
        if said:
            return _plain(said[-1])
        texts = [part["text"] for part in found if isinstance(part.get("text"), str)]
        return "\n".join(texts) if texts and not any("role" in part for part in found) else None
    return None


def _required(value: Any, field: str, number: int, path: Path) -> str:
    text = text_at(value, field)
    if text is None:
        keys = f"its keys are {', '.join(sorted(map(str, value)))}" if isinstance(value, Mapping) else f"it is {type(value).__name__}"
        raise InputError(
            f"production_inputs.field: row {number} has no text under {field!r} ({keys})",
            where=path.name,
            mend="Name the key that holds the input (dots reach into nested records), or correct the row.",
        )
    if not text.strip():
        raise _fault(path, f"row {number} has an empty text under {field!r}", "Remove empty inputs from the log.")
    return text


def _extras(value: Any, declared: ProductionInputs, number: int, path: Path) -> dict[str, str]:
    found = {}
    for key in ("session", "reference"):
        name = getattr(declared, key)
        if name is None:
            continue
        given = value_at(value, name)[0]
        given = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
        if not isinstance(given, str) or not given.strip():
            raise _fault(path, f"row {number} has no {name!r}, which `production_inputs.{key}` names", "Correct the row or the key.")
        found[key] = given
    return found


def _rank(text: str) -> int:
    plain = " ".join(text.split()).casefold()
    return int.from_bytes(hashlib.blake2b(plain.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _fault(path: Path, what: str, mend: str) -> InputError:
    return InputError(f"production_inputs: {what}", where=path.name, mend=mend)
