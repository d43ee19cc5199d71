"""Personal identifiers and credentials in text: found by a byte-wise sieve over a whole batch, then proven one by one.

The sieve (NumPy over bytes) leaves the few places that could hold an identifier; only there do regular expressions, check
digits and surrounding words decide. Names of people and places take a model: `kdgov.checks.names` counts them where one is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

IdentifierKind = Literal["email", "phone", "credit_card", "iban", "us_ssn", "ip_address", "aws_key", "api_key", "private_key", "password"]
PERSONAL: tuple[IdentifierKind, ...] = ("email", "phone", "credit_card", "iban", "us_ssn", "ip_address")
"""Identifiers of people."""
SECRETS: tuple[IdentifierKind, ...] = ("aws_key", "api_key", "private_key", "password")
"""Credentials."""
NOT_COVERED = "postal addresses, birth dates, national ids other than the US SSN"
"""What nothing here looks for; names of people and places take a model (`kdgov.checks.names`)."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Hit:
    """One identifier in a batch."""

    start: int
    """First byte."""
    end: int
    """One past its last byte."""
    kind: IdentifierKind
    """What it is."""


def find_identifiers(text: bytes) -> list[Hit]:
    """Every identifier in UTF-8 text, in order of position, none overlapping another."""
    data = np.frombuffer(text, dtype=np.uint8)
    found = [*_emails(text, data), *_numbers(text, data), *_addresses(text, data), *_keys(text, data)]
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


# Numbers: runs with at least seven digits that stand close together.
# What may stand between the digits of one number: separators, brackets, and the capitals of an IBAN.
_IS_FOREIGN = np.array([not (48 <= b <= 57 or 65 <= b <= 90 or b in b" -./()+") for b in range(256)])
_NEAR = 9
_LEAST_DIGITS = 7
_MARGIN = 36
_CARD = re.compile(rb"(?<![0-9A-Za-z.\-])[1-6](?:[ \-]?[0-9]){11,18}(?![0-9A-Za-z]|[.\-][0-9])")
_CARD_GROUPS = re.compile(rb"[0-9]{12,19}|[0-9]{4}(?:[ \-][0-9]{3,7}){2,4}")
_IBAN = re.compile(rb"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?:[ \-]?[0-9A-Z]){11,30}(?![0-9A-Za-z])")
_SSN = re.compile(rb"(?<![0-9A-Za-z.\-])([0-9]{3})([\- ])([0-9]{2})\2([0-9]{4})(?![0-9A-Za-z]|[\-.][0-9])")
_BARE_SSN = re.compile(rb"(?<![0-9A-Za-z.\-])([0-9]{3})()([0-9]{2})([0-9]{4})(?![0-9A-Za-z]|[\-.][0-9])")
_SSN_WORDS = re.compile(rb"(?i)ssn|social\s+security|soc\.?\s*sec|taxpayer")
_PHONE = re.compile(
    rb"(?<![0-9A-Za-z_.,#$/\-])"
    rb"(?P<number>"
    rb"(?:\+|00)[1-9][0-9]{0,2}[ .\-]?(?:\(0\)[ ]?)?(?:\(?[0-9]{1,5}\)?[ .\-/]?){1,6}[0-9]{2,5}"
    rb"|(?:(?:\+?1|001)[ .\-]?)?\([2-9][0-9]{2}\)[ .\-]?[2-9][0-9]{2}[ .\-]?[0-9]{4}"
    rb"|(?:(?:\+?1|001)[ .\-])?[2-9][0-9]{2}[ .\-][2-9][0-9]{2}[ .\-][0-9]{4}"
    rb"|\(0[0-9]{1,5}\)[ \-]{0,2}[0-9]{2,5}(?:[ \-]?[0-9]{2,5}){0,3}"
    rb"|0[1-9](?:[ .\-][0-9]{2}){4}"
    rb"|0[1-9][0-9]{1,3}[ ][0-9]{3,4}[ ][0-9]{3,4}"
    rb"|0[0-9]{2,5}[ /\-][0-9]{4,5}(?:[ \-]?[0-9]{2,5}){0,3}"
    rb"|0[1-9][0-9]{0,3}-[0-9]{2,4}[ \-][0-9]{2,4}(?:[ ][0-9]{2})?"  # Japan, Sweden
    rb"|0[1-9][ .][0-9]{4}[ .][0-9]{4}|04[0-9]{2}[ .\-][0-9]{3}[ .\-][0-9]{3}"  # Australia
    rb"|[1-9][0-9][ ]9?[0-9]{4}-[0-9]{4}"  # Brazil
    rb"|[4-9][0-9]{2}[ ][0-9]{3}[ ][0-9]{3}"  # Poland, Spain
    rb"|1?[2-9][0-9]{2}[2-9][0-9]{6}"
    rb"|3[2-9][0-9]{8}|[6-9][0-9]{9}|1[3-9][0-9]{9}"  # mobiles of Italy, India, China
    rb"|0[1-9][0-9]{8,9}"
    rb")"
    rb"(?:\s?(?:x|ext\.?|extension)\s?[0-9]{1,6})?(?![0-9A-Za-z_]|[\-][0-9]|[.,][0-9])"
)
_PHONE_WORDS = re.compile(
    rb"(?i)\b(?:tel|telephone|phone|call|called|mobile|cell|fax|whatsapp|sms|text|dial|reach|ring|handy|telefon)\b[^0-9]{0,30}$"
)
_OTHER_WORDS = re.compile(
    rb"(?i)(?:order|invoice|isbn|issn|doi|id|number|no|serial|ref|reference|ticket|case|account|acct|version|sku|part|tracking|timestamp|"
    rb"seed|hash|page|lot|batch|item|code|population|of|total|patent)[\s.:#=\-]{0,4}$"
)


def _numbers(text: bytes, data: NDArray[np.uint8]) -> Iterator[Hit]:
    digits = np.flatnonzero((data >= 48) & (data <= 57))
    if len(digits) < _LEAST_DIGITS:
        return
    is_foreign = _IS_FOREIGN[data]
    # "12 + 30" is a sum and "in 2019. In 2020" are two sentences.
    is_foreign[:-1] |= ((data[:-1] == 43) | (data[:-1] == 46)) & (data[1:] == 32)
    foreign = np.cumsum(is_foreign, dtype=np.int32)[digits]
    for start, end in _close_runs(digits, near=_NEAR, least=_LEAST_DIGITS, foreign=foreign):
        low, high = max(0, start - _MARGIN), min(len(text), end + _MARGIN)
        yield from _numbers_within(text, low, high)


def _close_runs(places: NDArray[np.int64], *, near: int, least: int, foreign: NDArray[np.int32] | None = None) -> list[tuple[int, int]]:
    """Runs of at least ``least`` places, each at most ``near`` after the one before, as first and one past last.

    ``foreign`` counts the bytes before each place that may not stand inside a run.
    """
    if len(places) < least:
        return []
    is_break = np.diff(places) > near
    if foreign is not None:
        is_break |= np.diff(foreign) > 0
    breaks = np.flatnonzero(is_break)
    first = np.concatenate(([0], breaks + 1))
    last = np.concatenate((breaks, [len(places) - 1]))
    wanted = last - first + 1 >= least
    return list(zip(places[first[wanted]].tolist(), (places[last[wanted]] + 1).tolist(), strict=True))


def _numbers_within(text: bytes, low: int, high: int) -> Iterator[Hit]:
    for match in _IBAN.finditer(text, low, high):
        if (end := _iban_end(match[0])) is not None:
            yield Hit(start=match.start(), end=match.start() + end, kind="iban")
    for match in _CARD.finditer(text, low, high):
        if _is_card(match[0]) and not _in_table(text, match.start()):
            yield Hit(start=match.start(), end=match.end(), kind="credit_card")
    for pattern, needs_word in ((_SSN, False), (_BARE_SSN, True)):
        for match in pattern.finditer(text, low, high):
            if _is_ssn(match[1], match[3], match[4]) and (
                not needs_word or _SSN_WORDS.search(text, max(0, match.start() - 40), match.start())
            ):
                yield Hit(start=match.start(), end=match.end(), kind="us_ssn")
    for match in _PHONE.finditer(text, low, high):
        if _is_phone(text, match):
            yield Hit(start=match.start(), end=match.end(), kind="phone")


def _in_table(text: bytes, start: int) -> bool:
    """Whether another number stands right before: one of many in a row is no card and no telephone."""
    return start >= 2 and text[start - 1] == 32 and 48 <= text[start - 2] <= 57


def _is_phone(text: bytes, match: re.Match[bytes]) -> bool:
    number = match["number"]
    digits = re.sub(rb"[^0-9]", b"", number)
    if not 8 <= len(digits) <= 15 or len(set(digits)) < 3:
        return False
    if _in_table(text, match.start()) and set(number) <= set(b"0123456789 "):
        return False
    is_bare = len(digits) == len(number)
    before = text[max(0, match.start() - 40) : match.start()]
    if number.startswith((b"+", b"(")) or _PHONE_WORDS.search(before):
        return True
    if len(digits) < 10:  # 0900-0130 is a time of day as well
        return False
    # A bare number, or one in groups that other numbers use as well, needs to be free of words that say otherwise.
    is_plausible = not is_bare or _is_north_american(digits) or (digits[:1] == b"0" and digits[1:2] != b"0") or _is_mobile(digits)
    return is_plausible and not _OTHER_WORDS.search(before)


def _is_north_american(digits: bytes) -> bool:
    local = digits[-10:]
    return len(digits) in (10, 11) and local[0] >= 50 and local[3] >= 50 and local[1:3] != b"11" and local[4:6] != b"11"


def _is_mobile(digits: bytes) -> bool:
    """Mobile numbers that are written without a separator, by their first digits and their length: Italy, India, China."""
    if len(digits) == 10:
        return digits[:1] in b"6789" or (digits[:1] == b"3" and digits[1:2] in b"23456789")
    return len(digits) == 11 and digits[:1] == b"1" and digits[1:2] in b"3456789"


def _is_card(text: bytes) -> bool:
    if not _CARD_GROUPS.fullmatch(text):
        return False
    digits = re.sub(rb"[^0-9]", b"", text)
    if not _has_card_prefix(digits) or len(set(digits)) < 2:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = (digit - 48) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _has_card_prefix(digits: bytes) -> bool:
    two, four = int(digits[:2]), int(digits[:4])
    match len(digits):
        case 12:
            return four in (5018, 5020, 5038, 5893, 6304, 6390, 6759, 6761, 6762, 6763) or 56 <= two <= 58
        case 13 | 19:
            return digits[:1] == b"4" or two in (62, 63, 67) or (two == 50 or 56 <= two <= 58)
        case 14:
            return two in (36, 38, 39) or 300 <= int(digits[:3]) <= 305
        case 15:
            return two in (34, 37) or four in (2014, 2149, 1800, 2131)
        case 16:
            return digits[:1] == b"4" or 51 <= two <= 55 or 2221 <= four <= 2720 or two in (35, 60, 62, 64, 65, 67, 50, 56, 57, 58)
        case _:
            return False


_IBAN_LENGTHS = {
    b"AD": 24, b"AE": 23, b"AL": 28, b"AT": 20, b"AZ": 28, b"BA": 20, b"BE": 16, b"BG": 22, b"BH": 22, b"BR": 29, b"BY": 28, b"CH": 21,
    b"CR": 22, b"CY": 28, b"CZ": 24, b"DE": 22, b"DK": 18, b"DO": 28, b"EE": 20, b"EG": 29, b"ES": 24, b"FI": 18, b"FO": 18, b"FR": 27,
    b"GB": 22, b"GE": 22, b"GI": 23, b"GL": 18, b"GR": 27, b"GT": 28, b"HR": 21, b"HU": 28, b"IE": 22, b"IL": 23, b"IQ": 23, b"IS": 26,
    b"IT": 27, b"JO": 30, b"KW": 30, b"KZ": 20, b"LB": 28, b"LC": 32, b"LI": 21, b"LT": 20, b"LU": 20, b"LV": 21, b"LY": 25, b"MC": 27,
    b"MD": 24, b"ME": 22, b"MK": 19, b"MR": 27, b"MT": 31, b"MU": 30, b"NL": 18, b"NO": 15, b"PK": 24, b"PL": 28, b"PS": 29, b"PT": 25,
    b"QA": 29, b"RO": 24, b"RS": 22, b"SA": 24, b"SC": 31, b"SD": 18, b"SE": 24, b"SI": 19, b"SK": 24, b"SM": 27, b"ST": 25, b"SV": 28,
    b"TL": 23, b"TN": 24, b"TR": 26, b"UA": 29, b"VA": 22, b"VG": 24, b"XK": 20,
}  # fmt: skip
"""Length of an IBAN by country (ISO 13616 registry)."""


def _iban_end(text: bytes) -> int | None:
    """Where the IBAN at the start of a match ends; None where there is none. The match may run on into following words."""
    length = _IBAN_LENGTHS.get(text[:2])
    if length is None:
        return None
    plain = bytearray()
    for place, byte in enumerate(text):
        if byte in b" -":
            continue
        plain.append(byte)
        if len(plain) == length:
            rest = text[place + 1 : place + 2]
            return place + 1 if rest in (b"", b" ", b"-") and _mod_97(bytes(plain)) == 1 else None
    return None


def _mod_97(iban: bytes) -> int:
    turned = iban[4:] + iban[:4]
    return int("".join(str(byte - 48) if byte < 65 else str(byte - 55) for byte in turned)) % 97


def _is_ssn(area: bytes, group: bytes, serial: bytes) -> bool:
    return area not in (b"000", b"666") and area[:1] != b"9" and group != b"00" and serial != b"0000"


# Addresses: dots between digits for IPv4, colons between hexadecimal digits for IPv6.
_IPV4 = re.compile(
    rb"(?<![0-9A-Za-z.\-_])(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?![0-9A-Za-z_]|\.[0-9])"
)
_VERSION_WORDS = re.compile(rb"(?i)(?:\bv|version|release|ver\.?|section|chapter|clause|build|firmware)[\s:=]{0,2}$")
_IPV6 = re.compile(rb"(?<![0-9A-Za-z:.])[0-9A-Fa-f:]{2,39}(?:\.[0-9]{1,3}){0,3}(?![0-9A-Za-z:])")


def _addresses(text: bytes, data: NDArray[np.uint8]) -> Iterator[Hit]:
    is_digit = (data >= 48) & (data <= 57)
    dots = np.flatnonzero(data == 46)
    inner = dots[(dots > 0) & (dots < len(data) - 1)]
    inner = inner[is_digit[inner - 1] & is_digit[inner + 1]]
    for start, end in _close_runs(inner, near=4, least=3):
        for match in _IPV4.finditer(text, max(0, start - 5), min(len(text), end + 5)):
            if not _VERSION_WORDS.search(text, max(0, match.start() - 12), match.start()):
                yield Hit(start=match.start(), end=match.end(), kind="ip_address")
    colons = np.flatnonzero(data == 58)
    for start, end in _close_runs(colons, near=5, least=2):
        for match in _IPV6.finditer(text, max(0, start - 5), min(len(text), end + 20)):
            if _is_ipv6(match[0]):
                yield Hit(start=match.start(), end=match.end(), kind="ip_address")


def _is_ipv6(text: bytes) -> bool:
    # Times (12:30:45), C++ names (std::) and ratios are no addresses: at least three groups or eight, with a digit.
    if len(text) < 6 or text.count(b":") < 3 and b"::" not in text:
        return False
    try:
        ipaddress.IPv6Address(text.decode())
    except ValueError:
        return False
    return any(48 <= byte <= 57 for byte in text)


# Keys: fixed beginnings, found by plain search; the pattern then has to fit.
_B64 = rb"[A-Za-z0-9+/]"
_WORDY = rb"[A-Za-z0-9_\-]"


def _pattern(begins: bytes, rest: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?<![A-Za-z0-9_])" + re.escape(begins) + rest + rb"(?![A-Za-z0-9_])")


_BEGINNINGS: tuple[tuple[bytes, re.Pattern[bytes], IdentifierKind], ...] = (
    *((b, _pattern(b, rb"[A-Z0-9]{16}"), "aws_key") for b in (b"AKIA", b"ASIA", b"ABIA", b"ACCA")),
    *((b, _pattern(b, rb"[A-Za-z0-9]{36,251}"), "api_key") for b in (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_")),
    (b"github_pat_", _pattern(b"github_pat_", rb"[A-Za-z0-9_]{22,244}"), "api_key"),
    (b"glpat-", _pattern(b"glpat-", _WORDY + rb"{20,64}"), "api_key"),
    *((b, _pattern(b, rb"[A-Za-z0-9\-]{10,120}"), "api_key") for b in (b"xoxb-", b"xoxp-", b"xoxa-", b"xoxr-", b"xoxs-")),
    *((b, _pattern(b, rb"[A-Za-z0-9]{16,247}"), "api_key") for b in (b"sk_live_", b"rk_live_", b"sk_test_")),
    (b"AIza", _pattern(b"AIza", _WORDY + rb"{35}"), "api_key"),
    (b"sk-", _pattern(b"sk-", rb"(?:proj-|ant-|svcacct-)?" + _WORDY + rb"{20,180}"), "api_key"),
    (b"hf_", _pattern(b"hf_", rb"[A-Za-z]{34}"), "api_key"),
    (b"npm_", _pattern(b"npm_", rb"[A-Za-z0-9]{36}"), "api_key"),
    (b"pypi-", _pattern(b"pypi-", _WORDY + rb"{50,250}"), "api_key"),
    (b"eyJ", _pattern(b"eyJ", _WORDY + rb"{8,}\.eyJ" + _WORDY + rb"{8,}\." + _WORDY + rb"{8,}"), "api_key"),
    (b"SG.", _pattern(b"SG.", _WORDY + rb"{22}\." + _WORDY + rb"{43}"), "api_key"),
    (b"-----BEGIN ", re.compile(rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"), "private_key"),
)
# Assignments: a word that names a secret, then a quoted or key-like value.
_AWS_SECRET = re.compile(
    rb"""(?i)(?:aws_?)?secret_?(?:access_?)?key["']?\s{0,3}[:=]\s{0,3}["']?(?-i:(?P<value>""" + _B64 + rb"""{40}))(?![A-Za-z0-9+/=])"""
)
_PASSWORD = re.compile(
    rb"""(?i)(?:password|passwd|pwd|secret|api_?key|access_?token|auth_?token)["']?\s{0,3}(?:=|:)\s{0,3}(["'])(?P<value>[^\s"'<>{}$]{8,128})\1"""
)
_SECRET_WORDS: tuple[tuple[bytes, re.Pattern[bytes], IdentifierKind], ...] = (
    *((word, _AWS_SECRET, "aws_key") for word in (b"secret", b"Secret", b"SECRET")),
    *(
        (word, _PASSWORD, "password")
        for word in (b"passw", b"Passw", b"PASSW", b"pwd", b"PWD", b"secret", b"SECRET", b"api", b"API", b"oken", b"OKEN")
    ),
)
_PLACEHOLDER = re.compile(rb"(?i)example|changeme|placeholder|your|xxxx|\*\*\*|password|<|test123|dummy|redacted")


_BY_BEGINNING: dict[bytes, list[tuple[bytes, re.Pattern[bytes], IdentifierKind]]] = {}
for _begins, _rest, _kind in _BEGINNINGS:
    _BY_BEGINNING.setdefault(_begins[:3], []).append((_begins, _rest, _kind))
_BY_WORD: dict[bytes, list[tuple[bytes, re.Pattern[bytes], IdentifierKind]]] = {}
for _begins, _rest, _kind in _SECRET_WORDS:
    _BY_WORD.setdefault(_begins[:3], []).append((_begins, _rest, _kind))


def _code(three: bytes) -> int:
    return three[0] | three[1] << 8 | three[2] << 16


_IS_BEGINNING = np.zeros(1 << 24, dtype=np.bool_)
_IS_BEGINNING[[_code(three) for three in (*_BY_BEGINNING, *_BY_WORD)]] = True


def _keys(text: bytes, data: NDArray[np.uint8]) -> Iterator[Hit]:
    if len(data) < 8:
        return
    # One look-up per byte of the three bytes that start there, instead of one search per beginning.
    codes = data[2:].astype(np.uint32) << np.uint32(8)
    codes |= data[1:-1]
    codes <<= np.uint32(8)
    codes |= data[:-2]
    for place in np.flatnonzero(_IS_BEGINNING[codes]).tolist():
        three = text[place : place + 3]
        for beginning, pattern, kind in _BY_BEGINNING.get(three, ()):
            match = pattern.match(text, place)
            if match is not None and (kind == "private_key" or _looks_random(match[0][len(beginning) :])):
                yield Hit(start=match.start(), end=match.end(), kind=kind)
        for word, pattern, kind in _BY_WORD.get(three, ()):
            near = text[place : place + 28]
            if not near.startswith(word) or not (b"=" in near or b":" in near):
                continue
            match = pattern.search(text, max(0, place - 12), min(len(text), place + 180))
            if match is not None and _is_secret(match["value"], kind):
                yield Hit(start=match.start("value"), end=match.end("value"), kind=kind)


def _is_secret(value: bytes, kind: IdentifierKind) -> bool:
    if kind == "aws_key":
        return _looks_random(value)
    return not _PLACEHOLDER.search(value) and len(set(value)) >= 6 and not value.isalpha()


def _looks_random(value: bytes) -> bool:
    return len(set(value)) >= min(8, len(value) // 2)


Finder = Callable[[bytes], list[Hit]]
"""What `scan` takes as its finder: `find_identifiers`, or one of your own (a model for names, for example)."""
