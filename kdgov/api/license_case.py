"""A licence case from a case file or from a release with its cards."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdgov.declarations.load import read_yaml, resolve
from kdgov.errors import InputError
from kdgov.license import case_from_json

if TYPE_CHECKING:
    from kdgov.license import LicenseCase

_MAX_TEXT_BYTES = 1 << 20
"""No licence text is longer than this; a larger file is another one by mistake."""


def read_case(file: Path) -> LicenseCase:
    """The case a file states; expiries are judged today.

    Raises:
        InputError: naming every fault of the file.
    """
    document, lines = read_yaml(file)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    if isinstance(document, dict) and str(document.get("schema", "")).startswith("kdgov.release/"):
        return case_from_json(_case_of_release(file), file=str(file), read_text=_reader(file), as_of=today)
    return case_from_json(document, file=str(file), lines=lines, read_text=_reader(file), as_of=today)


def _reader(file: Path) -> Callable[[str], str]:
    def read(name: str) -> str:
        path = resolve(name, beside=file)
        if path.is_file() and path.stat().st_size > _MAX_TEXT_BYTES:
            raise InputError(
                f"{name} has {path.stat().st_size} bytes: no licence text is that long",
                where=str(file),
                mend="Name the licence file itself.",
            )
        return path.read_text(encoding="utf-8")

    return read


def _case_of_release(file: Path) -> dict[str, Any]:
    # Only a release needs these: a case file is judged without them, at once.
    from kdgov.checks.licensing.licence_case import licence_case
    from kdgov.declarations.policy_file import load_policy
    from kdgov.pipeline.context import open_release
    from kdgov.pipeline.inputs.load_inputs import load_release_inputs

    context = open_release(file)
    policy = load_policy(context.policy_path())
    return licence_case(load_release_inputs(context), choices=dict(policy.sections.get("license", {}).get("choices", {})))
