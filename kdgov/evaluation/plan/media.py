"""Items that are images or sounds: named in the plan by the digest of their file, read again where they enter the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgov.declarations.suite_parts.suite_options import file_field
from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.digest import canonical_json, digest_file
from kdgov.errors import InputError
from kdgov.hub.suite_data_path import data_path

FILE = "\x00file:"
"""Marks a context that names a file and its digest."""
DIGEST = "file_digest"


def with_digests(docs: Sequence[Mapping[str, Any]], declared: TaskInSuite, *, suite_file: Path, where: str) -> list[dict[str, Any]]:
    """Items with the digest of the file that `options.file` says they name; unchanged where they name none.

    Raises:
        InputError: if a file is absent.
    """
    field = file_field(declared.kind, declared.options)
    if declared.kind not in ("classification", "transcription") or field is None:
        return [dict(doc) for doc in docs]
    folder = media_folder(declared, suite_file)
    found = []
    for doc in docs:
        file = folder / str(doc.get(field, ""))
        if not file.is_file():
            raise InputError(f"names the file {doc.get(field)!r}, which is not there", where=where, mend=f"Put it below {folder}.")
        found.append({**doc, DIGEST: digest_file(file)})
    return found


def media_folder(declared: TaskInSuite, suite_file: Path) -> Path:
    """The folder that a task's files are named from: that of its data file."""
    assert declared.data is not None  # noqa: S101 - the suite's own check
    return data_path(declared.data, suite_file=suite_file).parent


def file_context(doc: Mapping[str, Any], field: str) -> str:
    """What the plan holds of an item that is a file."""
    return FILE + canonical_json({"file": str(doc[field]), "digest": doc[DIGEST]}).decode()


def planned_file(context: str, folder: Path) -> Path:
    """The file of a frozen context, proven to be the planned one.

    Raises:
        InputError: if it is gone or has changed since the plan was frozen.
    """
    said: dict[str, str] = json.loads(context.removeprefix(FILE))
    file: Path = folder / said["file"]
    if not file.is_file() or digest_file(file) != said["digest"]:
        raise InputError("is not the file that the plan was frozen with", where=str(file), mend="Restore it, or evaluate anew.")
    return file
