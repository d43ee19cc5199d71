"""Content digests and canonical JSON: what every file, table and decision is named by.

A digest is the string ``sha256:`` followed by 64 hexadecimal digits. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from kdgov.errors import InputError

PREFIX = "sha256:"
_CHUNK_BYTES = 1 << 20


def canonical_json(value: Any) -> bytes:
    """The one byte string that stands for a JSON value: sorted keys, no spaces, UTF-8, no NaN.

    Numbers follow Python's shortest round-trip form. Tuples are lists.

    Raises:
        InputError: if the value holds NaN, an infinity, half a surrogate pair or something that is not JSON.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        what = "cannot be written as canonical JSON: it holds half a surrogate pair, which is no character"
        raise InputError(what, mend="Write the text as whole characters.") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"cannot be written as canonical JSON: {error}", mend="Only finite JSON values can be sealed.") from error


def digest_bytes(data: bytes) -> str:
    """``sha256:…`` of a byte string."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def digest_json(value: Any) -> str:
    """``sha256:…`` of the canonical JSON of a value."""
    return digest_bytes(canonical_json(value))


def digest_file(path: Path) -> str:
    """``sha256:…`` of a file's bytes, read in chunks."""
    state = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            state.update(chunk)
    return PREFIX + state.hexdigest()


def tree_manifest(folder: Path, *, exclude: Iterable[str] = ()) -> dict[str, str]:
    """Relative POSIX path → digest of every file below a folder, sorted; names in ``exclude`` are left out.

    Symbolic links are followed as their content, so that a moved blob does not change the digest.
    """
    left_out = frozenset(exclude)
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in left_out)
    return {p.relative_to(folder).as_posix(): digest_file(p) for p in paths}


def digest_tree(folder: Path, *, exclude: Iterable[str] = ()) -> str:
    """Digest of a folder: that of the canonical JSON of its manifest."""
    return digest_json(tree_manifest(folder, exclude=exclude))


def merkle_root(leaves: Iterable[str]) -> str:
    """Root over digests, independent of their order: a binary tree over the sorted leaves.

    Leaves and inner nodes are hashed under different prefixes (RFC 6962), so no inner node can pose as a leaf.
    The root of no leaves is the digest of the empty string.
    """
    level = [hashlib.sha256(b"\x00" + leaf.encode()).digest() for leaf in sorted(leaves)]
    if not level:
        return digest_bytes(b"")
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        paired = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs]
        level = paired + level[len(paired) * 2 :]
    return PREFIX + level[0].hex()


def is_digest(text: str) -> bool:
    """Whether a string has the form of a digest."""
    return text.startswith(PREFIX) and len(text) == len(PREFIX) + 64 and set(text[len(PREFIX) :]) <= set("0123456789abcdef")


def is_finite_json(value: Any) -> bool:
    """Whether every number inside a JSON value is finite."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(is_finite_json(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return all(is_finite_json(item) for item in value)
    return True


_IS_DRY: ContextVar[bool] = ContextVar("kdgov_is_dry", default=False)


@contextmanager
def nothing_written() -> Iterator[None]:
    """A dry run: while the block runs, `write_atomic` leaves the disk alone and no model is fetched from the hub."""
    token = _IS_DRY.set(True)
    try:
        yield
    finally:
        _IS_DRY.reset(token)


def is_dry() -> bool:
    """Whether a dry run is under way here."""
    return _IS_DRY.get()


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old bytes or the new ones, never a part (tmp, fsync, rename); nothing in a dry run.

    Raises:
        OSError: as the system reports it (disk full, no permission); the temporary file is removed.
    """
    if is_dry():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
