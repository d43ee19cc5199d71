"""An outside witness of the log of acts: heads, countersigned by a second key, in a file that the registry's owner does not hold.

A chain whose end is cut is still a whole chain. Only somebody who saw the later head can tell; a witness writes down, from time to time,
number and hash of the last entry, signed, one envelope a line.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer  # type: ignore[attr-defined]

from kdgov.digest import PREFIX
from kdgov.errors import InputError
from kdgov.evidence.event_chain import LogEntry
from kdgov.evidence.signing import WITNESS_PREDICATE, sign_statement, statement, verify_statement
from kdgov.evidence.trust_store import TrustStore
from kdgov.safe_parse import json_value

_LINE_LIMIT = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessedHead:
    """One head that a witness saw."""

    seq: int
    """Number of the entry."""
    hash: str
    """Its hash."""
    seen: str
    """When, by the witness's clock."""
    by: str
    """Names of the keys that signed."""


def witnessed_heads(path: Path, trust: TrustStore, *, at: datetime.datetime) -> tuple[tuple[WitnessedHead, ...], tuple[str, ...]]:
    """Every head of a witness's file that counts, and what is wrong with the other lines.

    Args:
        path: the file.
        trust: whose signatures count (purpose ``act``).
        at: now, with a zone.

    Raises:
        InputError: if the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "the witness's file cannot be read", where=str(path), mend="Name what `kdgov registry log --witness` wrote."
        ) from error
    heads: list[WitnessedHead] = []
    faults: list[str] = []
    for number, line in enumerate(lines, start=1):
        read = _read(line, trust, at)
        if isinstance(read, str):
            faults.append(f"line {number} of the witness's file does not count: {read}")
        else:
            heads.append(read)
    return tuple(heads), tuple(faults)


def witness_faults(entries: Sequence[LogEntry], heads: Sequence[WitnessedHead]) -> tuple[str, ...]:
    """What of a log is not as a witness saw it; empty where it is, and has only grown since."""
    by_number = {entry.seq: entry.hash for entry in entries}
    faults = []
    for head in heads:
        if head.seq not in by_number:
            last = max(by_number, default=0)
            faults.append(f"the log ends at {last}, but {head.by} saw entry {head.seq} on {head.seen}: it was cut")
        elif by_number[head.seq] != head.hash:
            faults.append(f"entry {head.seq} is not the one that {head.by} saw on {head.seen}")
    return tuple(faults)


def countersign(path: Path, entries: Sequence[LogEntry], signers: Sequence[Signer], *, at: datetime.datetime) -> int:
    """Add the log's present head to a witness's file; the number of the entry witnessed.

    The caller has verified the chain, and that it is still as the file says (`witness_faults`).

    Raises:
        InputError: if the log is empty.
    """
    if not entries:
        raise InputError("the log is empty, so there is no head to witness", mend="Witness it after the first act.")
    head = max(entries, key=lambda entry: entry.seq)
    envelope = sign_statement(statement(WITNESS_PREDICATE, {"seq": head.seq}, subjects={"log": head.hash}), signers, at=at)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(envelope, sort_keys=True) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    return head.seq


def _read(line: str, trust: TrustStore, at: datetime.datetime) -> WitnessedHead | str:
    if len(line) > _LINE_LIMIT:
        return "it is too long"
    try:
        envelope: Any = json_value(line.encode(), where="witness")
    except (InputError, ValueError):
        return "it cannot be read"
    if not isinstance(envelope, dict):
        return "it is not an envelope"
    answer = verify_statement(envelope, trust, purpose="act", at=at, predicate_type=WITNESS_PREDICATE, threshold=1)
    if not answer.is_valid:
        return answer.reason
    subjects = answer.statement["subject"]
    digest = str(dict(subjects[0].get("digest") or {}).get("sha256", "")) if subjects else ""
    seq = answer.predicate.get("seq")
    if not isinstance(seq, int) or not digest:
        return "it names no entry"
    names = ", ".join(key.name for key in answer.signers)
    return WitnessedHead(seq=seq, hash=PREFIX + digest, seen=str(answer.predicate["signed_at"]), by=names)
