"""Cases of licence reasoning: own ones beside this file, the worked examples beside the real data."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdgov.license import LicenseCase, case_from_json

AS_OF = datetime.date(2026, 11, 22)
CASES = Path(__file__).parent / "cases"


@cache
def own_cases() -> tuple[Any, ...]:
    """Every case of ``cases/*.yaml`` as a pytest parameter."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(
        pytest.param(entry, id=f"{path.stem}-{entry['id']}")
        for path in sorted(CASES.glob("*.yaml"))
        for entry in yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - a safe loader either way
    )


def document_of(entry: Mapping[str, Any], evidence: Any = None) -> dict[str, Any]:
    """The case document of an entry: its changes over the defaults that cases/README.md states."""
    return {
        "student": {"name": "acme", "license": "Apache-2.0", "kind": "generative"} | entry.get("student", {}),
        "uses": [_use(item) for item in entry["uses"]],
        "release": {"distribution": "weights", "commercial": True, "research": False} | entry.get("release", {}),
        "organization": entry.get("organization", {}),
        "choices": {"outputs_derivative": False} | entry.get("choices", {}),
        "evidence": [_piece(item) for item in (evidence if evidence is not None else entry.get("evidence", []))],
    }


def _use(item: Any) -> dict[str, Any]:
    return dict(item) if isinstance(item, dict) else dict(zip(("use", "license", "name"), item, strict=True))


def _piece(item: Any) -> dict[str, Any]:
    return (
        dict(item) if isinstance(item, dict) else dict(zip(("obligation", "license", "text"), item, strict=False)) | {"where": "README.md"}
    )


def case_of(entry: Mapping[str, Any], evidence: Any = None) -> LicenseCase:
    """The case of an entry."""
    return case_from_json(document_of(entry, evidence), as_of=AS_OF)


def examples_folder() -> Path | None:
    """Folder of the worked examples, beside the real data; None where they are not at hand."""
    root = Path(__file__).parents[2]
    real = Path(os.environ.get("KDGOV_REALDATA", root.parent / "shared" / "realdata"))
    folder = real.parent / "examples" / "licenses"
    return folder if folder.is_dir() else None


def expected_of(text: str) -> dict[str, str]:
    """What the leading comments of an example expect."""
    return dict(re.findall(r"^# (expected verdict|expected gate|obligations|why): (.*)$", text, re.MULTILINE))
