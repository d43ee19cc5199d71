"""What the scan found of people and credentials, as findings: kinds, rates per megabyte and places, never the hits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgov.checks.findings.rules import Stances
from kdgov.checks.pii.match import NOT_COVERED, PERSONAL, SECRETS
from kdgov.checks.pii.person_names import NameCount
from kdgov.checks.scan.scan import ShardReport, unread_parts
from kdgov.finding import Finding
from kdgov.passing_rules import passing
from kdgov.quantities import quantity

# A rate over next to no text says nothing: one address in a file of two lines is one address.
_LEAST_MEGABYTES = 1e-6


def identifier_findings(
    subject: str,
    reports: Sequence[ShardReport],
    *,
    intent: str,
    said_none: bool,
    stances: Stances,
    names: NameCount | None = None,
    media: int = 0,
) -> Iterable[Finding]:
    """Findings about identifiers and credentials in one body of text.

    Args:
        subject: the body, as the release names it.
        reports: one report per file.
        intent: the release's distribution, which decides how many identifiers it bears.
        said_none: whether a card says that the body holds no personal data.
        stances: the policy's limits and levels.
        names: names counted in a sample of it; None where no model could.
        media: images and sounds beside its text, which nothing reads.
    """
    megabytes = sum(report.megabytes for report in reports)
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(report.identifiers)
    personal: dict[str, int] = {kind: counts[kind] for kind in PERSONAL if counts[kind]}
    secrets: dict[str, int] = {kind: counts[kind] for kind in SECRETS if counts[kind]}
    if secrets:
        yield stances.finding(
            "privacy.secret-found",
            subject,
            f"It holds credentials: {_counted(secrets)}; first at {_first_place(reports, secrets)}.",
            mend="Revoke them, remove them from the data and pin the new digest.",
            details={"counts": secrets, "places": _places(reports, secrets)},
        )
    if personal:
        yield _personal(subject, personal, megabytes, reports, intent, said_none, stances, names)
    if names is not None and names.text_bytes:
        yield _named(subject, names, intent, stances)
    if not personal and not secrets:
        yield _none_found(subject, reports, stances, names, media)


def _none_found(subject: str, reports: Sequence[ShardReport], stances: Stances, names: NameCount | None, media: int) -> Finding:
    """Nothing was found: a pass over the text that could be read, and no pass where there was none."""
    read = sum(report.text_bytes for report in reports)
    pictures = f"{quantity(media, 'image or sound', 'images and sounds')}" if media else ""
    if not read:
        beside = f"; it holds {pictures}" if media else ""
        reason = f"No text of it could be read, so nothing was looked for{beside}."
        return stances.finding("privacy.not-testable", subject, reason, mend="Review it by eye and ear, or correct its files.")
    without = "" if names is not None else " Not covered: names of people and places (no model for them is installed)."
    reason = f"No identifier and no credential in {read / 1e6:.2f} MB of text.{without}"
    left_out = [*unread_parts(reports), pictures]
    counted = {"bytes": read, "files": len(reports)}
    return passing("privacy", "privacy.scanned", subject, reason, looked_for=counted, left_out=left_out, text_bytes=read)


def _personal(
    subject: str,
    personal: dict[str, int],
    megabytes: float,
    reports: Sequence[ShardReport],
    intent: str,
    said_none: bool,
    stances: Stances,
    names: NameCount | None,
) -> Finding:
    limits = stances.personal_limits(intent)
    rates = {kind: count / max(megabytes, _LEAST_MEGABYTES) for kind, count in personal.items()}
    above = _above(rates, limits)
    rule = "privacy.pii-contradicts-card" if above and said_none else "privacy.pii-found" if above else "privacy.pii-noted"
    said = " Its card says that it holds no personal data." if said_none else ""
    told = "; ".join(above) or f"{sum(rates.values()):.1f} per MB in all, of {limits['all']:g} that a release of kind `{intent}` bears"
    return stances.finding(
        rule,
        subject,
        f"{_counted(personal)}: {told}; first at {_first_place(reports, personal)}.{said} {_not_covered(names)}",
        mend=(
            "Mask or remove them and pin the new digest"
            + (", or correct the card's `personal_data`" if said_none else "")
            + (f". The limit is the policy's `data.personal_per_mb.{intent}`." if above else ".")
        ),
        details={
            "counts": personal,
            "per_megabyte": {kind: round(rate, 3) for kind, rate in rates.items()},
            "limits_per_megabyte": dict(limits),
            "places": _places(reports, personal),
        },
    )


def _named(subject: str, names: NameCount, intent: str, stances: Stances) -> Finding:
    """Names are in most texts: they stop a release only where its policy sets a limit for them."""
    limits = stances.personal_limits(intent)
    rates = names.per_megabyte
    above = [
        f"{rates[kind]:.1f} {kind} names per MB where {limits[kind]:g} may be" for kind in rates if rates[kind] > limits.get(kind, math.inf)
    ]
    details: dict[str, Any] = {
        "counts": dict(names.counts),
        "text_bytes": names.text_bytes,
        "model": [Path(names.model.name).name, names.model.version],
    }
    told = f"{_counted(names.counts)} in a sample of {names.text_bytes / 1e6:.2f} MB, by {Path(names.model.name).name}"
    if not above:
        counted = {"bytes": names.text_bytes}
        return passing("privacy", "privacy.names-counted", subject, f"{told}.", looked_for=counted, **details)
    mend = f"Mask them and pin the new digest. The limit is the policy's `data.personal_per_mb.{intent}`."
    return stances.finding("privacy.names-found", subject, f"{'; '.join(above)}: {told}.", mend=mend, details=details)


def _not_covered(names: NameCount | None) -> str:
    if names is not None:
        return f"Not looked for: {NOT_COVERED}."
    return f"Not covered: names of people and places (no model for them is installed). Not looked for: {NOT_COVERED}."


def _above(rates: Mapping[str, float], limits: Mapping[str, float]) -> list[str]:
    """Every limit that the rates exceed, in words."""
    told = []
    for kind, limit in limits.items():
        if kind in ("person", "place"):  # counted by a model, in a sample of its own
            continue
        rate = sum(rates.values()) if kind == "all" else rates.get(kind, 0.0)
        if rate > limit:
            told.append(f"{rate:.1f} {'identifiers' if kind == 'all' else kind} per MB where {limit:g} may be")
    return told


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _first_place(reports: Sequence[ShardReport], kinds: Iterable[str]) -> str:
    for report in reports:
        for kind in kinds:
            for place in report.places.get(kind, [])[:1]:
                return f"{report.name} row {place['row']}" + (f", {place['field']}" if place["field"] else "")
    return "an unknown place"


def _places(reports: Sequence[ShardReport], kinds: Iterable[str]) -> list[dict[str, object]]:
    return [{"file": r.name, "kind": kind, **place} for r in reports for kind in kinds for place in r.places.get(kind, [])]
