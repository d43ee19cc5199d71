"""The evidence bundle's manifest: every file by digest, and the three-way difference when something is not as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kdgov.digest import canonical_json, digest_bytes, digest_file, is_digest, write_atomic
from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import MANIFEST
from kdgov.safe_parse import json_file

SCHEMA = "kdgov.bundle/1"
_NOT_EVIDENCE = (MANIFEST, "result.json")
# The manifest itself, and the store's own record of a finished step.


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file whose bytes are not those of the manifest."""

    path: str
    """Relative to the bundle."""
    expected: str
    """Digest the manifest names."""
    actual: str
    """Digest of the bytes found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleDifference:
    """What distinguishes a folder from its manifest; empty when nothing does."""

    extra: tuple[str, ...] = ()
    """Files the manifest does not name."""
    missing: tuple[str, ...] = ()
    """Files it names that are not there."""
    changed: tuple[Change, ...] = ()
    """Files with other bytes."""

    def __bool__(self) -> bool:
        return bool(self.extra or self.missing or self.changed)

    def __str__(self) -> str:
        parts = [f"{path} was added" for path in self.extra]
        parts += [f"{path} is missing" for path in self.missing]
        parts += [f"{c.path} was changed (expected {c.expected[:19]}…, found {c.actual[:19]}…)" for c in self.changed]
        return "; ".join(parts)


def write_manifest(folder: Path) -> str:
    """Write ``manifest.json`` over every file of a bundle and return its digest, which names the bundle.

    Raises:
        InputError: if the folder holds a link that leaves it.
    """
    files = {path: digest_file(folder / path) for path in _files(folder)}
    data = canonical_json({"schema": SCHEMA, "files": files})
    write_atomic(folder / MANIFEST, data)
    return digest_bytes(data)


def read_manifest(folder: Path) -> dict[str, str]:
    """Relative path → digest, as the manifest states it.

    Raises:
        InputError: if it is absent, malformed, or names a path outside the bundle.
    """
    path = folder / MANIFEST
    try:
        if not path.exists():
            raise FileNotFoundError(path)
        document = json_file(path)
        files = document["files"]
        well_formed = document["schema"] == SCHEMA and all(is_digest(v) and _stays_inside(k) for k, v in files.items())
    except FileNotFoundError as error:
        raise InputError(f"the evidence bundle has no {MANIFEST}", where=str(folder), mend="Name what `kdgov gate` wrote.") from error
    except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError("is not a bundle manifest", where=str(path), mend="Run `kdgov gate` again; never edit a bundle.") from error
    if not well_formed:
        raise InputError("is not a bundle manifest of kdgov.bundle/1", where=str(path), mend="Run `kdgov gate` again.")
    return dict(files)


def compare_bundle(folder: Path) -> BundleDifference:
    """Every file hashed anew and compared with the manifest; falsy when all are as sealed.

    Raises:
        InputError: if there is no readable manifest.
    """
    stated = read_manifest(folder)
    found = {path: digest_file(folder / path) for path in _files(folder)}
    return BundleDifference(
        extra=tuple(sorted(found.keys() - stated.keys())),
        missing=tuple(sorted(stated.keys() - found.keys())),
        changed=tuple(
            Change(path=p, expected=stated[p], actual=found[p]) for p in sorted(stated.keys() & found.keys()) if stated[p] != found[p]
        ),
    )


def bundle_digest(folder: Path) -> str:
    """Digest of the manifest file: the bundle's name."""
    return digest_file(folder / MANIFEST)


def bundle_files(folder: Path) -> list[str]:
    """Relative paths of a bundle's files, the manifest last: whoever copies in this order never seals a part."""
    return [*_files(folder), MANIFEST]


def _files(folder: Path) -> Iterator[str]:
    root = folder.resolve()
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in [*sorted(names), *(f for f in folders if (Path(parent) / f).is_symlink())]:
            path = Path(parent) / name
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise InputError("is a link that leaves the evidence bundle", where=str(path), mend="Put the file itself there.")
            relative = path.relative_to(folder).as_posix()
            if relative not in _NOT_EVIDENCE and path.is_file():
                yield relative


def _stays_inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts and "\\" not in path and path not in {"", ".", MANIFEST}
