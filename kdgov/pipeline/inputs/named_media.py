"""The images and sounds that data files name: what a student learns from is in them, not in the lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kdgov.checkpoints.digests import remembered_digest
from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.declarations.data_parts.data_use import DataUse, mapped
from kdgov.digest import digest_json

_KEYS = ("image", "audio")


def media_digest(files: Iterable[tuple[Path, DataUse]]) -> str:
    """Digest of every image and sound that the files name, with its name; empty where they name none.

    A file whose first line names none is read no further: a text model's data are not gone through for images.
    """
    found = {f"{path.name}: {name}": remembered_digest(file) for path, use in files for name, file in _named(path, use) if file.is_file()}
    return digest_json(found) if found else ""


def _named(path: Path, use: DataUse) -> Iterator[tuple[str, Path]]:
    for row in read_rows(path, Tally()):
        value = mapped(row.value, use.columns) if isinstance(row.value, Mapping) else {}
        name = next((value[key] for key in _KEYS if isinstance(value.get(key), str)), None)
        if name is None:
            return
        yield name, path.parent / name
