"""Images and sounds of suites and data: opened once, compared byte for byte, and images by likeness where a policy asks for it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import wave
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdgov.checkpoints.digests import remembered_digest
from kdgov.checks.cards.release_inputs import Body, SuiteFile
from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.suite_items import item_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.declarations.suite_parts.media_folders import IMAGES as IMAGES
from kdgov.declarations.suite_parts.media_folders import SOUNDS as SOUNDS
from kdgov.declarations.suite_parts.suite_options import file_field

LIKE_BITS = 4
"""Bits of 64 in which two images' hashes may differ and still be alike."""
_SIDE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """The media of one side."""

    files: Mapping[str, str] = field(default_factory=dict)
    """Name (``suite/task/item``, or ``file#row``) → digest of the bytes."""
    paths: Mapping[str, Path] = field(default_factory=dict)
    """Name → file, for those that are files."""
    broken: tuple[str, ...] = ()
    """Names whose file is absent or does not open."""


def suite_media(suites: Sequence[SuiteFile]) -> Media:
    """Every image and sound that the suites ask about."""
    found: dict[str, Path] = {}
    for file in suites:
        for task in file.suite.tasks:
            key = file_field(task.kind, task.options)
            if key is None:
                continue
            for name, row, folder in item_rows(task, file.path):
                found[f"{file.suite.name}/{task.task}/{name}"] = folder / str(row.get(str(key), ""))
    return _of_files(found)


def data_media(body: Body) -> Media:
    """Every image and sound of one body of data: files that its rows name, and bytes that they hold."""
    files: dict[str, Path] = {}
    held: dict[str, str] = {}
    for file in body.files:
        if not file.digest:
            continue
        for row in read_rows(file.path, Tally()):
            for value in _values(row.value):
                name = f"{file.name}#{row.number}"
                if isinstance(value, bytes):
                    held[name] = f"sha256:{hashlib.sha256(value).hexdigest()}"
                elif Path(value).suffix.lower() in IMAGES | SOUNDS:
                    files[name] = file.path.parent / value
    found = _of_files(files)
    return Media(files={**found.files, **held}, paths=found.paths, broken=found.broken)


def _values(value: Any) -> Iterator[str | bytes]:
    if isinstance(value, Mapping):
        for entry in value.values():
            yield from _values(entry)
    elif isinstance(value, bytes) or (isinstance(value, str) and len(value) < 1024 and "\n" not in value):
        yield value


def _of_files(named: Mapping[str, Path]) -> Media:
    files = {name: remembered_digest(path) for name, path in named.items() if path.is_file()}
    broken = tuple(name for name, path in named.items() if not opens(path))
    return Media(files=files, paths=dict(named), broken=broken)


def opens(path: Path) -> bool:
    """Whether an image or sound can be opened; kinds that nothing here can open count as opening where their file is there."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    kind = path.suffix.lower()
    try:
        if kind == ".wav":
            with wave.open(str(path)) as sound:
                return bool(sound.getnframes())
        if kind in IMAGES and importlib.util.find_spec("PIL") is not None:
            with importlib.import_module("PIL.Image").open(path) as image:
                image.verify()
    except Exception:  # noqa: BLE001 - a damaged file raises whatever its decoder pleases
        return False
    return True


def copies(suite: Media, data: Media) -> dict[str, str]:
    """Item → name of the data's file that is its copy, byte for byte."""
    by_digest = {digest: name for name, digest in sorted(data.files.items(), reverse=True)}
    return {item: by_digest[digest] for item, digest in suite.files.items() if digest in by_digest}


def alike(suite: Media, data: Media) -> dict[str, str]:
    """Item → name of the data's image that looks like it: resized, recompressed or slightly cut."""
    known = [(name, code) for name, path in data.paths.items() if (code := _look(path)) is not None]
    found = {}
    for item, path in suite.paths.items():
        code = _look(path)
        if code is None:
            continue
        near = next((name for name, other in known if (code ^ other).bit_count() <= LIKE_BITS), None)
        if near is not None:
            found[item] = near
    return found


def _look(path: Path) -> int | None:
    """Difference hash: whether each of 64 cells of a small grey copy is darker than its neighbour; None for what is not an image."""
    if path.suffix.lower() not in IMAGES or not opens(path) or importlib.util.find_spec("PIL") is None:
        return None
    with importlib.import_module("PIL.Image").open(path) as image:
        small = list(image.convert("L").resize((_SIDE + 1, _SIDE)).tobytes())
    rows = [small[start : start + _SIDE + 1] for start in range(0, len(small), _SIDE + 1)]
    bits = [int(left < right) for row in rows for left, right in zip(row, row[1:], strict=False)]
    # A plain surface has no look of its own: every such image would resemble every other.
    return None if sum(bits) < 4 else int("".join(map(str, bits)), 2)
