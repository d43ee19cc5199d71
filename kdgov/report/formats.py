"""Name of a format → how a decision is written in it."""

from __future__ import annotations

import json
from collections.abc import Callable

from kdgov.decision.decision import Decision
from kdgov.decision.policy import Policy
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
