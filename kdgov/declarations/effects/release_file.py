"""A release file as it is read: every file it names must be there, and every key must have an effect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdgov.declarations.data_parts.hub_data import is_hub_address
from kdgov.declarations.effects.idle_keys import idle_keys
from kdgov.declarations.load import load, resolve
from kdgov.declarations.release import Release
from kdgov.declarations.release_parts.set_keys import with_settings
from kdgov.errors import DeclarationError, Fault


def load_release(path: Path, *, settings: Mapping[str, Any] | None = None) -> Release:
    """Read a release file, with ``settings`` from the command line; every file it names must be there, and every key have an effect.

    Raises:
        DeclarationError: naming every fault at once.
        InputError: if the file itself cannot be read.
    """
    release = load(path, Release, changed=(lambda document: with_settings(document, settings)) if settings else None)
    faults = [
        Fault(file=str(path), key=key, what=f"names {name!r}, which does not exist", mend=_mend(key, name))
        for key, name in named_files(release)
        if not is_hub_address(name) and not resolve(name, beside=path).exists()
    ]
    if faults := [*faults, *idle_keys(release, path)]:
        raise DeclarationError(faults)
    return release


def _mend(key: str, name: str) -> str:
    mend = "Correct the path: it is relative to this file, then to the working folder."
    if not key.startswith(("data[", "production_inputs")) or not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w-]*", name):
        return mend
    return f"{mend} A data set of the Hub is named as `{{hub: {name}, revision: COMMIT}}` (40 digits)."


def named_files(release: Release) -> list[tuple[str, str]]:
    """Key and name of every local file a release refers to (models are left to `kdgov.checkpoints`, which knows hub ids)."""
    named = [("teacher.card", release.teacher.card), ("student.card", release.student.card), ("student.config", release.student.config)]
    named += [("student.license_text", release.student.license_text)]
    named += [(f"stages[{index}].student.config", stage.student.config) for index, stage in enumerate(release.stages) if stage.student]
    for index, item in enumerate(release.data):
        named += [(f"data[{index}].card", item.card), (f"data[{index}].path", item.path)]
    cache = release.distillation.cache if release.distillation is not None else None
    named += [(f"distillation.cache.files[{index}]", name) for index, name in enumerate(cache.files if cache is not None else ())]
    if (inputs := release.production_inputs) is not None:
        named += [("production_inputs.path", inputs.path), ("production_inputs.card", inputs.card)]
    named += [(f"judge_labels[{index}]", name) for index, name in enumerate(release.judge_labels)]
    named += [(f"mitigations[{index}].file", one.file) for index, one in enumerate(release.mitigations)]
    return [(key, name) for key, name in named if name is not None]
