"""What stands beside every crosswalk, in every form of the report: its age, its edition, what was written unread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def crosswalk_notes(framework: Mapping[str, Any]) -> list[str]:
    """What a reader must know of a crosswalk's age and of how it was written; tolerant of documents kept from before."""
    checked, unread = framework.get("checked"), framework.get("unread")
    return [
        *([f"  OUT OF DATE? {framework['stale']}"] if framework.get("stale") else []),
        f"  {framework['edition']}" + (f"; checked {checked}" if checked else ""),
        *([f"  {framework['applies']}"] if framework.get("applies") else []),
        *([f"  {unread} of {len(framework['controls'])} controls were written without their text at hand (unread)."] if unread else []),
    ]


def general_purpose_note(document: Mapping[str, Any]) -> list[str]:
    """The EU AI Act's question where frameworks were asked for: the answer in one sentence, and what is missing."""
    asked = document.get("general_purpose")
    if not asked or not document["frameworks"]:
        return []
    missing = [f"Missing: {'; '.join(asked['missing'])}."] if asked["missing"] else []
    return [f"General-purpose model (EU AI Act)? {asked['sentence']}", *missing]
