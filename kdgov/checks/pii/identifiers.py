"""Personal identifiers and credentials in text: found by a byte-wise sieve over a whole batch, then proven one by one.

The sieve (NumPy over bytes) leaves the few places that could hold an identifier; only there do regular expressions, check
digits and surrounding words decide. Names of people and places take a model: `kdgov.checks.pii.person_names` counts them where one is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from kdgov.checks.pii.credentials import assignments_in, credentials_in
from kdgov.checks.pii.id_numbers import numbers_in
from kdgov.checks.pii.match import SECRETS, Hit
from kdgov.checks.pii.number_runs import close_runs
from kdgov.checks.pii.secret_rules import secrets_in

Finder = Callable[[bytes], list[Hit]]
"""What `scan` takes as its finder: `find_identifiers`, or one of your own (a model for names, for example)."""


def find_identifiers(text: bytes) -> list[Hit]:
    """Every identifier in UTF-8 text, in order of position, none overlapping another."""
    data = np.frombuffer(text, dtype=np.uint8)
    secrets = [*credentials_in(text, data), *secrets_in(text, data), *assignments_in(text, data)]
    found = [*_emails(text, data), *numbers_in(text, data), *_addresses(text, data), *secrets]
    return _without_overlaps(found)


def _without_overlaps(hits: list[Hit]) -> list[Hit]:
    rank = {kind: n for n, kind in enumerate((*SECRETS, "iban", "credit_card", "us_ssn", "ip_address", "email", "phone"))}
    kept: list[Hit] = []
    for hit in sorted(hits, key=lambda h: (h.start, rank[h.kind])):
        if kept and hit.start < kept[-1].end:
            if rank[hit.kind] < rank[kept[-1].kind]:
                kept[-1] = hit
            continue
        kept.append(hit)
    return kept


# E-mail: every "@" with a mailbox on its left and a domain on its right.
_MAILBOX = re.compile(rb"[A-Za-z0-9\x80-\xff](?:[A-Za-z0-9._%+'\-\x80-\xff]{0,62}[A-Za-z0-9_%+\-\x80-\xff])?$")
_DOMAIN = re.compile(
    rb"(?:[A-Za-z0-9\x80-\xff](?:[A-Za-z0-9\-\x80-\xff]{0,61}[A-Za-z0-9\x80-\xff])?\.){1,6}([A-Za-z\x80-\xff]{2,24})(?![A-Za-z0-9_\-])"
)
_IS_MAILBOX_BYTE = np.array([chr(b).isalnum() or b >= 128 or b in b"_%+-" for b in range(256)])
_FILE_ENDINGS = frozenset({b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"css", b"js", b"py", b"json", b"html", b"md", b"txt"})


def _emails(text: bytes, data: NDArray[np.uint8]) -> Iterator[Hit]:
    places = np.flatnonzero(data == 64)
    places = places[(places > 0) & (places < len(data) - 3)]
    touching = _IS_MAILBOX_BYTE[data[places - 1]] & _IS_MAILBOX_BYTE[data[places + 1]]
    for at in places[touching].tolist():
        left = _MAILBOX.search(text, max(0, at - 64), at)
        right = _DOMAIN.match(text, at + 1, min(len(text), at + 256))
        if left is None or right is None or right[1].lower() in _FILE_ENDINGS or b".." in left[0]:
            continue
        yield Hit(start=left.start(), end=right.end(), kind="email")


# Addresses: dots between digits for IPv4, colons between hexadecimal digits for IPv6.
_IPV4 = re.compile(
    rb"(?<![0-9A-Za-z.\-_])(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?![0-9A-Za-z_]|\.[0-9])"
)
_VERSION_WORDS = re.compile(rb"(?i)\b(?:v|version|release|ver\.?|section|chapter|clause|build|firmware)[\s:=]{0,2}$")
_LARGEST_SECTION = 40
_IPV6 = re.compile(rb"(?<![0-9A-Za-z:.])[0-9A-Fa-f:]{2,39}(?:\.[0-9]{1,3}){0,3}(?![0-9A-Za-z:])")


def _addresses(text: bytes, data: NDArray[np.uint8]) -> Iterator[Hit]:
    is_digit = (data >= 48) & (data <= 57)
    dots = np.flatnonzero(data == 46)
    inner = dots[(dots > 0) & (dots < len(data) - 1)]
    inner = inner[is_digit[inner - 1] & is_digit[inner + 1]]
    for start, end in close_runs(inner, near=4, least=3):
        for match in _IPV4.finditer(text, max(0, start - 5), min(len(text), end + 5)):
            if not _VERSION_WORDS.search(text, max(0, match.start() - 12), match.start()) and not _is_section(text, match):
                yield Hit(start=match.start(), end=match.end(), kind="ip_address")
    colons = np.flatnonzero(data == 58)
    for start, end in close_runs(colons, near=5, least=2):
        if text.count(b":", start, end) < 3 and b"::" not in text[start:end]:
            # A time of day.
            continue
        for match in _IPV6.finditer(text, max(0, start - 5), min(len(text), end + 20)):
            if _is_ipv6(match[0]):
                yield Hit(start=match.start(), end=match.end(), kind="ip_address")


def _is_section(text: bytes, match: re.Match[bytes]) -> bool:
    """Whether four small numbers head a line of words, or stand in brackets or behind a section sign: a numbered heading, no address."""
    if any(int(part) > _LARGEST_SECTION for part in match[0].split(b".")):
        return False
    before, after = text[max(0, match.start() - 2) : match.start()], text[match.end() : match.end() + 3]
    heads_a_line = not before.strip(b" \t#*") or before[-1:] in b"\n#"
    return (heads_a_line and re.match(rb"[.)]?[ \t][A-Z]", after) is not None) or b"\xa7" in before


def _is_ipv6(text: bytes) -> bool:
    # Times (12:30:45), C++ names (std::) and ratios are no addresses: at least three groups or eight, with a digit.
    if len(text) < 6 or text.count(b":") < 3 and b"::" not in text:
        return False
    try:
        ipaddress.IPv6Address(text.decode())
    except ValueError:
        return False
    return any(48 <= byte <= 57 for byte in text)
