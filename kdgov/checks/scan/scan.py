"""One pass over the training data: identifiers, credentials, contamination, withdrawn people. Bounded memory, resumable by file.

A report names type, row, offset and a keyed digest of every identifier, never the identifier: the key is a second digest of
the file itself, so that only who holds the file can test a guess (a plain digest of a phone number is found by trying all).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdgov.checks.pii.identifiers import Finder, find_identifiers
from kdgov.checks.scan.contamination import KINDS, ItemIndex, MatchKind
from kdgov.checks.scan.shards import CHARS_PER_BATCH, ROWS_PER_BATCH, read_rows
from kdgov.checks.scan.text_fields import Piece, Tally
from kdgov.checks.scan.word_hashes import normalised
from kdgov.digest import digest_bytes, write_atomic
from kdgov.errors import InputError
from kdgov.quantities import quantity

PLACES_PER_KIND = 20
"""Places reported per kind of identifier and file; all are counted."""
SEPARATOR = "\n\x00\n"
"""Between two pieces of a batch: no word, no part of an identifier, and a break of lines."""
SCAN_VERSION = 2
"""Raised when the same bytes would be reported differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file to scan."""

    name: str
    """As the release names it."""
    path: Path
    """Where it lies."""
    digest: str
    """sha256 of its bytes."""
    id_field: str | None = None
    """Column that names the person a row is about."""
    withdrawn: frozenset[str] = frozenset()
    """Ids, or ``sha256:`` digests of ids, of people who withdrew."""


@dataclass(slots=True, kw_only=True)
class ShardReport:
    """What one file holds."""

    name: str
    """As the release names it."""
    digest: str
    """sha256 of its bytes."""
    rows: int = 0
    """Examples."""
    text_bytes: int = 0
    """Bytes of text scanned, uncompressed."""
    invalid_utf8: int = 0
    """Sequences that are not UTF-8."""
    unreadable: list[int] = field(default_factory=list)
    """Lines that are not JSON; at most the first hundred."""
    unreadable_count: int = 0
    """How many there are."""
    long_lines: int = 0
    """Lines scanned as raw text."""
    damage: str = ""
    """Why reading ended early; empty where it did not."""
    identifiers: dict[str, int] = field(default_factory=dict)
    """Kind → how many."""
    places: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Kind → the first places: row, field, offset, keyed digest."""
    matches: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Item → how it was found: kind, share, first row, counts by role."""
    withdrawn_rows: list[int] = field(default_factory=list)
    """Rows of people who withdrew; at most the first hundred."""
    withdrawn_count: int = 0
    """How many there are."""
    rows_without_id: int = 0
    """Rows whose id column is absent, where withdrawn people are looked for."""

    @property
    def megabytes(self) -> float:
        """Millions of bytes of text."""
        return self.text_bytes / 1e6


def unread_parts(reports: Sequence[ShardReport]) -> list[str]:
    """What of these files could not be read, each in a few words: no finding may count it as looked at."""
    told = [f"{r.name} after it broke off" for r in reports if r.damage]
    told += [
        f"{quantity(r.unreadable_count, 'line')} of {r.name} that {'is' if r.unreadable_count == 1 else 'are'} not JSON"
        for r in reports
        if r.unreadable_count
    ]
    return told + [f"{quantity(r.invalid_utf8, 'byte sequence')} of {r.name} that are not UTF-8" for r in reports if r.invalid_utf8]


def scan_shard(shard: Shard, index: ItemIndex, finder: Finder = find_identifiers) -> ShardReport:
    """Everything one pass finds in one file; a file that breaks off is reported, not raised."""
    tally = Tally()
    report = ShardReport(name=shard.name, digest=shard.digest)
    key = _file_key(shard.path)
    try:
        for pieces in _batches(shard, tally, report):
            _scan_batch(pieces, index, finder, key, report)
    except InputError as error:
        report.damage = error.what
    report.rows, report.invalid_utf8, report.long_lines = tally.rows, tally.invalid_utf8, tally.long_lines
    report.unreadable, report.unreadable_count = tally.unreadable, tally.unreadable_count
    return report


def scan(
    shards: Sequence[Shard],
    index: ItemIndex,
    *,
    workers: int = 1,
    kept: Path | None = None,
    progress: Callable[[str, int, int], None] = lambda label, done, total: None,
) -> list[ShardReport]:
    """Reports of all files, in their order, whatever the number of workers.

    Args:
        shards: the files.
        index: the items to look for.
        workers: processes; each takes whole files.
        kept: folder where each file's report is kept, so that a killed scan goes on with the next file.
        progress: told bytes done of bytes in all.
    """
    reports: dict[int, ShardReport] = {}
    for number, shard in enumerate(shards):
        if (known := _recall(kept, shard, index)) is not None:
            reports[number] = known
    waiting = [number for number in range(len(shards)) if number not in reports]
    sizes = [shard.path.stat().st_size for shard in shards]
    for number, report in _run(shards, index, waiting, workers):
        _keep(kept, shards[number], index, report)
        reports[number] = report
        progress("scan data", sum(sizes[n] for n in reports), sum(sizes))
    return [reports[number] for number in range(len(shards))]


class ScanShards:
    """The scan as one step of an existing engine: each task scans its share of the files and keeps the reports.

    datatrove's executors (local, Slurm, Ray) take any callable as a pipeline step and call it with the task's rank; so can a
    job array. `scan` with the same ``kept`` folder then finds every report and only puts them together::

        step = ScanShards(shards, index, kept=Path("/shared/scan"))
        SlurmPipelineExecutor(pipeline=[step], tasks=64, time="02:00:00", partition="cpu").run()
        reports = scan(shards, index, kept=Path("/shared/scan"))
    """

    def __init__(self, shards: Sequence[Shard], index: ItemIndex, *, kept: Path) -> None:
        """Take the files, the items to look for and a folder that all tasks share."""
        self.shards, self.index, self.kept = list(shards), index, kept

    def __call__(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Any:
        """Scan every ``world_size``-th file from the ``rank``-th; ``data`` is passed on as it came."""
        scan(self.shards[rank::world_size], self.index, kept=self.kept)
        return data


def _run(shards: Sequence[Shard], index: ItemIndex, waiting: list[int], workers: int) -> Iterator[tuple[int, ShardReport]]:
    if workers <= 1 or len(waiting) <= 1:
        for number in waiting:
            yield number, scan_shard(shards[number], index)
        return
    with ProcessPoolExecutor(max_workers=min(workers, len(waiting)), initializer=_share, initargs=(index,)) as pool:
        yield from zip(waiting, pool.map(_scan_shared, [shards[number] for number in waiting]), strict=True)


_shared: list[ItemIndex] = []


def _share(index: ItemIndex) -> None:
    # Sent once per process instead of once per file.
    _shared[:] = [index]


def _scan_shared(shard: Shard) -> ShardReport:
    return scan_shard(shard, _shared[0])


def _keep_path(kept: Path, shard: Shard, index: ItemIndex) -> Path:
    name = json.dumps([SCAN_VERSION, shard.name, shard.digest, shard.id_field, sorted(shard.withdrawn), index.digest])
    return kept / f"scan-{digest_bytes(name.encode()).removeprefix('sha256:')[:24]}.json"


def _keep(kept: Path | None, shard: Shard, index: ItemIndex, report: ShardReport) -> None:
    if kept is not None:
        write_atomic(_keep_path(kept, shard, index), json.dumps(asdict(report)).encode())


def _recall(kept: Path | None, shard: Shard, index: ItemIndex) -> ShardReport | None:
    if kept is None:
        return None
    try:
        return ShardReport(**json.loads(_keep_path(kept, shard, index).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _file_key(path: Path) -> bytes:
    state = hashlib.blake2b(key=b"kdgov identifiers", digest_size=32)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            state.update(block)
    return state.digest()


def _batches(shard: Shard, tally: Tally, report: ShardReport) -> Iterator[list[Piece]]:
    pieces: list[Piece] = []
    chars = 0
    for row in read_rows(shard.path, tally):
        if shard.withdrawn and shard.id_field is not None:
            _look_for_withdrawn(row.number, row.value, shard, report)
        for piece in row.pieces:
            pieces.append(piece)
            chars += len(piece.text)
        if chars >= CHARS_PER_BATCH or len(pieces) >= ROWS_PER_BATCH * 4:
            yield pieces
            pieces, chars = [], 0
    if pieces:
        yield pieces


def _look_for_withdrawn(number: int, value: Any, shard: Shard, report: ShardReport) -> None:
    person = value.get(shard.id_field) if isinstance(value, Mapping) else None
    if person is None:
        report.rows_without_id += 1
        return
    if str(person) in shard.withdrawn or digest_bytes(str(person).encode()) in shard.withdrawn:
        report.withdrawn_count += 1
        if len(report.withdrawn_rows) < 100:
            report.withdrawn_rows.append(number)


def _scan_batch(pieces: list[Piece], index: ItemIndex, finder: Finder, key: bytes, report: ShardReport) -> None:
    joined = SEPARATOR.join(piece.text for piece in pieces)
    if joined.count("\x00") != len(pieces) - 1:
        pieces = [piece._replace(text=piece.text.replace("\x00", " ")) for piece in pieces]
        joined = SEPARATOR.join(piece.text for piece in pieces)
    raw, text = joined.encode("utf-8", "replace"), normalised(joined)
    starts, raw_starts = _starts(text), _starts(raw)
    report.text_bytes += len(raw) - 3 * (len(pieces) - 1)
    _note_identifiers(raw, raw_starts, pieces, finder, key, report)
    rows = np.array([piece.row for piece in pieces], dtype=np.int64)
    for match in index.find(text, starts, rows):
        for number in index.items_of[match.text]:
            _note_match(report, index.items[number].key, match.kind, match.share, pieces[match.piece])


def _starts(text: bytes) -> NDArray[np.int64]:
    """First byte of each piece: right after a separator."""
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == 0)
    return np.concatenate((np.zeros(1, dtype=np.int64), ends + 2))


def _note_identifiers(raw: bytes, starts: NDArray[np.int64], pieces: list[Piece], finder: Finder, key: bytes, report: ShardReport) -> None:
    counts: Counter[str] = Counter(report.identifiers)
    reached, chars = 0, 0
    last = -1
    for hit in finder(raw):
        number = int(np.searchsorted(starts, hit.start, side="right")) - 1
        if number != last:
            last, reached, chars = number, int(starts[number]), 0
        # Bytes to characters from the hit before, not from the start of the text: a text may be long and full of hits.
        chars += len(raw[reached : hit.start].decode("utf-8", "replace"))
        reached = hit.start
        piece = pieces[number]
        if chars < piece.own_from or (piece.own_to is not None and chars >= piece.own_to):
            continue
        counts[hit.kind] += 1
        places = report.places.setdefault(hit.kind, [])
        if len(places) < PLACES_PER_KIND:
            seal = hmac.new(key, raw[hit.start : hit.end], hashlib.sha256).hexdigest()
            places.append({"row": piece.row, "field": piece.field, "offset": piece.offset + chars, "keyed_digest": seal})
    report.identifiers = dict(sorted(counts.items()))


_STRENGTH = {kind: n for n, kind in enumerate(reversed(KINDS))}


def _note_match(report: ShardReport, item: str, kind: MatchKind, share: float, piece: Piece) -> None:
    known = report.matches.setdefault(item, {"kind": kind, "share": share, "row": piece.row, "roles": {}})
    if (_STRENGTH[kind], share) > (_STRENGTH[known["kind"]], known["share"]):
        known.update(kind=kind, share=share, row=piece.row)
    known["roles"][piece.role] = known["roles"].get(piece.role, 0) + 1
