"""Ends of decisions and waivers as a calendar that other programs subscribe to (RFC 5545)."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator

from kdgov.digest import digest_json
from kdgov.guard.registry_rows import FleetRow
from kdgov.report.escaping import plain

_OCTETS = 73


def calendar(rows: Iterable[FleetRow], *, now: datetime.datetime) -> str:
    """The feed: one all-day event for each decision and waiver that ends, of champions and latest versions."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//kdgov//registry//EN", "NAME:kdgov registry", "X-WR-CALNAME:kdgov registry"]
    for day, words in _ends(rows):
        lines += [
            "BEGIN:VEVENT",
            f"UID:{digest_json([day, words])[7:39]}@kdgov",
            f"DTSTAMP:{now:%Y%m%dT%H%M%SZ}",
            f"DTSTART;VALUE=DATE:{day.replace('-', '')}",
            f"SUMMARY:{_text(words)}",
            "TRANSP:TRANSPARENT",
            "END:VEVENT",
        ]
    lines.append("END:VCALENDAR")
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _ends(rows: Iterable[FleetRow]) -> Iterator[tuple[str, str]]:
    for row in rows:
        seen = {s.version: s for s in (row.champion, row.latest) if s is not None}
        for number, standing in seen.items():
            is_champion = row.champion is not None and number == row.champion.version
            who = f"{row.name} version {number}" + (" (champion)" if is_champion else "")
            if _is_day(standing.ends) and standing.verdict == "PASS":
                yield standing.ends, f"Decision about {who} ends"
            if _is_day(standing.waiver_ends):
                yield standing.waiver_ends, f"Waiver of {who} ends"


def _is_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _text(words: str) -> str:
    escaped = plain(words)
    for character in ("\\", ";", ","):
        escaped = escaped.replace(character, f"\\{character}")
    return escaped


def _folded(line: str) -> str:
    """Lines of at most 75 octets, as the standard wants, cut between characters."""
    parts, part = [], ""
    for character in line:
        if len((part + character).encode()) > _OCTETS:
            parts.append(part)
            part = ""
        part += character
    return "\r\n ".join([*parts, part])
