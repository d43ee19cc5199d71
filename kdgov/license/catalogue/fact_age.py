"""What of the facts is due for another look: read long ago, superseded by a later edition, of a source that bears no date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from kdgov.license.catalogue.facts import Facts, License

MOST_DAYS = 365
"""Days after which a fact is looked at again: terms of services change within months, licences within years."""
_DATE = re.compile(r"\b(19|20)\d\d\b|\b\d{8}\b|\b\d+\.\d+(\.\d+)*\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One fact that is due for another look."""

    kind: Literal["old", "superseded", "undated"]
    """Why."""
    license: str
    """Whose fact it is."""
    told: str
    """The reason, with what to do."""


def facts_due(known: Facts, *, today: date) -> list[Due]:
    """Every fact that is older than a year, every edition that a later one supersedes, every contract whose source bears no date."""
    found: list[Due] = []
    for entry in known.licenses.values():
        found += _of(entry, known, today)
    rows = {row.seen for row in known.known_ids.rows}
    for seen in sorted(rows):
        if _age(seen, today) > timedelta(days=MOST_DAYS):
            found.append(Due(kind="old", license="known_ids.tsv", told=f"rows looked up on {seen}: look at the cards again"))
    return found


def _of(entry: License, known: Facts, today: date) -> Iterator[Due]:
    seen = sorted({rule.seen for rule in (*entry.bars, *entry.rules) if rule.seen})
    if seen and _age(seen[0], today) > timedelta(days=MOST_DAYS):
        yield Due(kind="old", license=entry.id, told=f"read on {seen[0]}: read {entry.name} again and date the entry")
    if entry.superseded_by:
        later = known.licenses.get(entry.superseded_by)
        yield Due(
            kind="superseded",
            license=entry.id,
            told=f"{entry.name} is superseded by {later.name if later else entry.superseded_by}: use it only for what was taken under it",
        )
    sources = {rule.source for rule in (*entry.bars, *entry.rules)}
    if entry.kind == "api" and not _DATE.search(entry.name) and not any(_DATE.search(source) for source in sources):
        yield Due(kind="undated", license=entry.id, told=f"{entry.name}: neither name nor source bears a date; say which edition was read")


def _age(seen: str, today: date) -> timedelta:
    try:
        return today - date.fromisoformat(seen)
    except ValueError:
        return timedelta(days=MOST_DAYS + 1)
