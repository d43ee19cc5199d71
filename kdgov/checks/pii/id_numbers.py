"""Numbers that are somebody's: payment cards, bank accounts, social security numbers, telephones.

A sieve over the bytes of a batch leaves the runs of digits that could be one; patterns, check digits and the words around decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kdgov.checks.pii.match import Hit
from kdgov.checks.pii.number_runs import CARD_DIGITS, number_runs
from kdgov.checks.pii.telephones import has_words, proven_telephone

_SSN_DIGITS = 9
_LONGEST_PHONE = 30
"""Bytes of the longest run of digits that is held against numbering plans."""
_WORD_REACH = 40
_DATE = re.compile(rb"(?<![+(])(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?: [0-2][0-9])?")
"""A day, with the hour that stands before the first colon: no number of anybody's."""
_MARGIN = 36
"""Bytes around a run in which an IBAN's letters may stand."""
_BEFORE, _AFTER = 8, 16
"""Bytes around a run in which a telephone's sign, brackets and extension may stand."""
_CARD = re.compile(rb"(?<![0-9A-Za-z.\-])[1-6](?:[ \-]?[0-9]){11,18}(?![0-9A-Za-z]|[.\-][0-9])")
_CARD_BEGINS = b"123456"
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
    rb"|0[1-9][0-9]{7,9}"
    rb")"
    rb"(?:\s?(?:x|ext\.?|extension)\s?[0-9]{1,6})?(?![0-9A-Za-z_]|[\-][0-9]|[.,][0-9])"
)
_PHONE_WORDS = re.compile(
    rb"(?i)\b(?:tel|telephone|phone|call|called|mobile|cell|fax|whatsapp|sms|text|dial|reach|ring|handy|telefon)\b[^0-9]{0,30}$"
)
_OTHER_WORDS = re.compile(
    rb"(?i)(?:order|invoice|isbn|issn|doi|id|number|no|serial|ref|reference|ticket|case|account|acct|version|sku|part|tracking|timestamp|"
    rb"seed|hash|page|lot|batch|item|code|population|of|total|patent)[\s.:#=\-]{0,4}$"
    rb"|(?:order|invoice|account|tracking|serial|reference|case|ticket|part|policy|batch|customer|member|model|meeting)\s+"
    rb"(?:number|no\.?|id|code)\s*(?:is|was|=|:)?\s*$"
)


def numbers_in(text: bytes, data: NDArray[np.uint8]) -> Iterator[Hit]:
    """Every number that is somebody's in a batch; ``data`` is the text as bytes. Hits may overlap."""
    for start, end, way in number_runs(data):
        match way:
            case "card":
                if text[start] in _CARD_BEGINS and _has_card_prefix(text[start:end]):
                    yield from _card_at(text, start, min(len(text), end + _AFTER))
            case "bare":
                yield from _at_start(text, start, end)
                if end - start == _SSN_DIGITS:
                    yield from _ssns(text, start, min(len(text), end + _AFTER), end)
            # In a row between single spaces only what begins it can be a card or a telephone (`_in_table`).
            case "spaced" if b"  " not in text[start:end]:
                yield from _at_start(text, start, end)
                yield from _ssns(text, start, min(len(text), end + _AFTER), end)
            case _ if _DATE.fullmatch(text, start, end) is None:
                yield from everything_in(text, start, end)
            case _:
                continue


def everything_in(text: bytes, start: int, end: int) -> Iterator[Hit]:
    """What every pattern finds in and around one run of digits: the answer that the shorter ways must give as well."""
    yield from _ibans(text, max(0, start - _MARGIN), min(len(text), end + _MARGIN))
    yield from _grouped(text, start, end)


def _at_start(text: bytes, start: int, end: int) -> Iterator[Hit]:
    yield from _card_at(text, start, min(len(text), end + _AFTER))
    match = _PHONE.match(text, start, min(len(text), end + _AFTER))
    if match is not None and _is_phone(text, match):
        yield Hit(start=match.start(), end=match.end(), kind="phone")
    else:
        yield from _proven(text, start, end)


def _card_at(text: bytes, start: int, high: int) -> Iterator[Hit]:
    match = _CARD.match(text, start, high)
    if match is not None and _is_card(match[0]) and not _in_table(text, start):
        yield Hit(start=start, end=match.end(), kind="credit_card")


def _ssns(text: bytes, low: int, high: int, end: int) -> Iterator[Hit]:
    for pattern, needs_word in ((_SSN, False), (_BARE_SSN, True)):
        for match in pattern.finditer(text, low, high):
            if match.start() < end and _is_ssn(match[1], match[3], match[4]) and (not needs_word or _says_ssn(text, match.start())):
                yield Hit(start=match.start(), end=match.end(), kind="us_ssn")


def _ibans(text: bytes, low: int, high: int) -> Iterator[Hit]:
    for match in _IBAN.finditer(text, low, high):
        if (end := _iban_end(match[0])) is not None:
            yield Hit(start=match.start(), end=match.start() + end, kind="iban")


def _grouped(text: bytes, start: int, end: int) -> Iterator[Hit]:
    """Cards, social security numbers and telephones that begin in a run of digits, or with a sign or bracket right before it."""
    low, high = max(0, start - _BEFORE), min(len(text), end + _AFTER)
    for match in _CARD.finditer(text, low, high) if end - start >= CARD_DIGITS[0] else ():
        if match.start() < end and _is_card(match[0]) and not _in_table(text, match.start()):
            yield Hit(start=match.start(), end=match.end(), kind="credit_card")
    yield from _ssns(text, low, high, end)
    has_phone = False
    for match in _PHONE.finditer(text, low, high):
        if match.start() < end and _is_phone(text, match):
            has_phone = True
            yield Hit(start=match.start(), end=match.end(), kind="phone")
    if not has_phone:
        yield from _proven(text, max(0, start - 1), end)


def _proven(text: bytes, low: int, high: int) -> Iterator[Hit]:
    """A telephone that only its country's numbering plan tells, where no word before says otherwise."""
    reach = max(0, low - _WORD_REACH)
    if high - low > _LONGEST_PHONE or not has_words(text, reach, low) or _OTHER_WORDS.search(text, reach, low) is not None:
        return
    if (place := proven_telephone(text, low, high)) is not None:
        yield Hit(start=place[0], end=place[1], kind="phone")


def _says_ssn(text: bytes, at: int) -> bool:
    return _SSN_WORDS.search(text, max(0, at - 40), at) is not None


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
    is_landline = is_bare and digits[:1] == b"0" and len(digits) == 9  # Italy keeps the zero; quantities have none
    if len(digits) < 10 and not is_landline:  # 0900-0130 is a time of day as well
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
