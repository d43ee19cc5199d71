"""Which places of an artifact store take no new file, and what may lie beside a recorded release's evidence.

A seal is a file: once it lies there, its folder is closed. So the store needs no database to know, and a copy of it keeps its seals.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import BUNDLE_FOLDER, MANIFEST
from kdgov.evidence.signing import envelope_digest
from kdgov.safe_parse import json_file

SEAL = "kdgov.sealed"
"""Closes the folder of a run, or of a logged model, that holds it."""
CANARY_FOLDER = "kdgov-canary"
"""Takes nothing, ever: by it a server proves that its store refuses, without a file being left behind."""
ATTESTATION = "attestation"
_LARGEST_STATEMENT_BYTES = 4_000_000
_RUN_FOLDER = re.compile(r"(^|/)[0-9a-f]{32}/artifacts$")
_MODEL_FOLDER = re.compile(r"(^|/)models/[^/]+/artifacts$")
_STATEMENT = re.compile(r"^decision-([0-9a-f]{12})\.dsse\.json$")


def placing_fault(destination: str, file: Path, *, root: str, holds: Callable[[str], bool]) -> str:
    """Why a new file may not be put there; empty where it may.

    Args:
        destination: path inside the store.
        file: what is to be put there.
        root: address of the store itself.
        holds: whether a path inside the store is a file.
    """
    parts = destination.split("/")
    if parts[0] == CANARY_FOLDER:
        return f"kdgov refuses to write {destination}: nothing lies there, so that a server can prove that it refuses."
    for folder in (posixpath.join("", *parts[:i]) for i in range(len(parts))):
        whole = posixpath.join(root.rstrip("/"), folder).rstrip("/")
        is_bundle = posixpath.basename(folder) == BUNDLE_FOLDER
        is_closed = bool(_RUN_FOLDER.search(whole) or _MODEL_FOLDER.search(whole))
        if (is_bundle and holds(posixpath.join(folder, MANIFEST))) or (is_closed and holds(posixpath.join(folder, SEAL))):
            return f"kdgov refuses to add {destination}: the evidence there is sealed."
        if _RUN_FOLDER.search(whole) and parts[len(folder.split("/")) if folder else 0] == ATTESTATION:
            beside = holds(posixpath.join(folder, BUNDLE_FOLDER, MANIFEST))
            if beside and (fault := _statement_fault(parts[-1], file)):
                return f"kdgov refuses to add {destination}: {fault}."
    return ""


def sealed_above(folder: Path) -> bool:
    """Whether a folder of this machine lies inside one that is sealed."""
    return any(parent.name == "artifacts" and (parent / SEAL).is_file() for parent in folder.parents)


def _statement_fault(name: str, file: Path) -> str:
    named = _STATEMENT.match(name)
    if named is None:
        return "beside evidence lie signed statements alone, each under the name of its digest"
    if file.stat().st_size > _LARGEST_STATEMENT_BYTES:
        return f"a signed statement has no more than {_LARGEST_STATEMENT_BYTES:,} bytes"
    try:
        digest = envelope_digest(json_file(file))
    except (InputError, ValueError, KeyError, TypeError, AttributeError):
        return "it is not a signed statement"
    return "" if digest.removeprefix("sha256:").startswith(named[1]) else "its name is not that of its digest"
