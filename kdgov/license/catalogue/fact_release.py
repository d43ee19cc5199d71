"""Which fact files are in force: those shipped, or a newer release that was verified and taken over."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from kdgov.digest import digest_file
from kdgov.errors import InputError

DATA = Path(str(files("kdgov"))) / "license" / "data"
"""Folder of the shipped fact files, one per licence family."""
PLACE = Path("registry") / "license_facts"
"""Where a release of facts is taken over to, unless `VARIABLE` names another place."""
VARIABLE = "KDGOV_LICENSE_FACTS"
MANIFEST = "facts-release.json"
"""Signed statement of a release: every file by its digest."""
SUFFIXES = (".yaml", ".tsv", ".txt")


def facts_place() -> Path:
    """Folder that `kdgov license update` writes and every check reads."""
    return Path(os.environ.get(VARIABLE) or PLACE)


def facts_folder() -> Path:
    """Folder of the facts in force: the release taken over, where there is one and it is as it was signed; else the shipped files.

    Raises:
        InputError: if a file of the release taken over was changed, added or removed since.
    """
    place = facts_place()
    manifest = place / MANIFEST
    if not manifest.is_file():
        return DATA
    signed = signed_files(json.loads(manifest.read_text(encoding="utf-8")).get("files", {}))
    if (changed := differing_files(place, signed)) is not None:
        raise InputError(
            f"{changed} is not as it was signed",
            where=str(place),
            mend="Run `kdgov license update --from FOLDER` again, or remove the folder.",
        )
    return place


def signed_files(value: Any) -> dict[str, str]:
    """File name → digest, from what a manifest says; empty where it says nothing usable."""
    return {str(name): str(digest) for name, digest in value.items()} if isinstance(value, Mapping) else {}


def fact_files(folder: Path) -> list[Path]:
    """Every file of a folder that facts are read from."""
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file()) if folder.is_dir() else []


def differing_files(folder: Path, signed: Mapping[str, str]) -> str | None:
    """Name of a file that is not as a manifest says, missing or unnamed; None where all are."""
    there = {path.name: path for path in fact_files(folder)}
    for name in sorted({*there, *signed}):
        if name not in there or name not in signed or digest_file(there[name]) != signed[name]:
            return name
    return None
