"""Name of a format → how a decision is written in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from kdgov.decision.decision import Decision
from kdgov.decision.policy import Policy
from kdgov.errors import InputError
from kdgov.extensions import ExtensionTable
from kdgov.report.junit import as_junit
from kdgov.report.markdown import as_markdown
from kdgov.report.sarif import as_sarif
from kdgov.report.text import as_text

Writer = Callable[[Decision, Policy | None], str]


def as_json(decision: Decision) -> str:
    """The decision document with its own digest beside it, indented for people; `Decision.canonical` is what is sealed."""
    document = {**decision.as_json(), "digest": decision.digest}
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


FORMATS: ExtensionTable[Writer] = ExtensionTable(
    "kdgov.report_formats",
    {
        "text": lambda decision, policy: as_text(decision, verbose=True),
        "json": lambda decision, policy: as_json(decision),
        "markdown": lambda decision, policy: as_markdown(decision),
        "junit": lambda decision, policy: as_junit(decision),
        "sarif": as_sarif,
    },
)
"""Every format of `kdgov gate --format`; packages add theirs through the entry points ``kdgov.report_formats``."""

ENDINGS = {".txt": "text", ".json": "json", ".md": "markdown", ".xml": "junit", ".sarif": "sarif"}
"""Ending of a file → the format written to it."""


def output_files(named: Sequence[str], printed: str) -> dict[Path, str]:
    """File → format, for every ``--out``: ``FORMAT=FILE``, else told by the ending, else the printed format.

    A single file takes the printed format where one other than text was asked for, whatever its ending.

    Raises:
        InputError: if one file is named twice.
    """
    found: dict[Path, str] = {}
    for one in named:
        word, sign, file = one.partition("=")
        stated = bool(sign) and word in FORMATS
        path = Path(file if stated else one)
        by_ending = ENDINGS.get(path.suffix.lower(), printed)
        written = word if stated else printed if len(named) == 1 and printed != "text" else by_ending
        if path in found:
            raise InputError("is named twice under --out", where=str(path), mend="Give every format a file of its own.")
        found[path] = written
    return found
