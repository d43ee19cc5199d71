"""The verdict header under what became of a version since: revoked, ended, never decided, evidence that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kdgov.report.verdict_header import VerdictHeader


def standing_header(header: VerdictHeader | None, tags: Mapping[str, str], *, end: str, today: str, fault: str = "") -> VerdictHeader:
    """May it be used, why, what is open, who decides: as every surface on a recorded version says it.

    Args:
        header: of the sealed decision; None where it cannot be read.
        tags: of the registered version.
        end: day on which the decision stops covering promotions; empty where unknown.
        today: ``YYYY-MM-DD``.
        fault: why the decision cannot be read.
    """
    if "kdgov.revoked" in tags or tags.get("kdgov.verdict") == "REVOKED":
        return closed("REVOKED: the version may not be used", tags.get("kdgov.revoked") or "It was revoked.", "Use another version.")
    if tags.get("kdgov.verdict", "NONE") == "NONE":
        why = "No signed decision covers this version."
        return closed("NO DECISION: the version may not be used", why, "Record its release with `kdgov record`.")
    if header is None:
        return closed("INVALID: the evidence cannot be read: do not use it", fault, "Record the release again.")
    if header.verdict != "pass" or not end:
        return header
    if end <= today:
        why, fix = f"The decision covered promotions until {end}.", "Judge its release anew."
        return replace(header, verdict="invalid", answer="ENDED: the student may not be promoted any more", reason=why, fix=fix)
    return replace(header, open_points=(*header.open_points, f"the decision ends on {end}"))


def closed(answer: str, reason: str, fix: str) -> VerdictHeader:
    """A header that says no for a reason outside the decision."""
    return VerdictHeader(verdict="invalid", answer=answer, reason=reason, fix=fix, open_points=(), decides=())
