"""Telephones that no pattern of ours knows, proven by the numbering plans of Google's libphonenumber (package ``phonenumbers``).

Asked last and seldom: only of a candidate beside words (which often are enough), and the package is loaded when the first one turns up.
"""

from __future__ import annotations

import functools
import importlib
import re

REGIONS = (
    "US", "GB", "DE", "FR", "IT", "ES", "NL", "PL", "SE", "NO", "DK", "FI", "BR", "JP", "IN", "AU", "TR", "CZ", "HU", "CH", "AT", "BE",
    "IE", "PT", "GR", "RO", "IL", "ZA", "MX", "NZ", "KR", "CN", "RU", "UA", "AR",
)  # fmt: skip
"""Countries whose national numbers are tried, in this order; an international one needs none."""
_CANDIDATE = re.compile(
    rb"(?<![0-9A-Za-z_.#$/\-])(?<![0-9],)[+(]?[0-9](?:[0-9 .\-/()]{4,20}[0-9])"
    rb"(?:\s?(?:x|ext\.?)\s?[0-9]{1,6})?(?![0-9A-Za-z_]|[\-/][0-9]|[.,][0-9])"
)
_WORDS = re.compile(
    rb"(?i)(?:\b(?:tel|telephone|phone|call|called|calling|ring|mobile|cell|fax|whatsapp|sms|text|dial|reach|handy|telefon|telefono|mobil|"
    rb"contact|tried)\b|\bnumber\?|'s number)[^0-9]{0,40}$"
)
_RIGHT_BEFORE = re.compile(
    rb"(?i)\b(?:tel|telephone|phone|call|ring|mobile|cell|fax|whatsapp|sms|dial|reach|handy|telefon|telefono|mobil|answer|answering)\b\W{0,3}"
    rb"(?:(?:me|us|him|her|them|you|number|no|nr|line|is|was|at|on|to|under)\b\W{1,3}){0,4}$"
)
_RIGHT_BEHIND = re.compile(
    rb"(?i)[ \t]?[\-(\[]?(?:office|fax|mobile|cell|cellphone|phone|tel|telephone|handy|home|work|direct|whatsapp)\b"
    rb"[ \t]*(?:[)\].,;|\\\r\n]|$)"
)
"""What a line of a letter or a business card says behind a number: "555-0100 office"."""
_GROUPS = re.compile(rb"[+(]{0,2}[0-9]{1,5}(?:[ .\-/()]{1,2}[0-9]{2,5}){1,5}(?:\s?(?:x|ext\.?)\s?[0-9]{1,6})?")
"""Digits divided as telephones are: what a word right beside it makes a telephone, whatever any plan says of it."""
_DATE = re.compile(rb"[0-9]{1,4}([\-/.])[0-9]{1,2}\1[0-9]{2,4}(?: [0-9]{2})?")
_PLAIN = re.compile(rb"[+(0](?:(?! - ).)*|[0-9 ]+")
"""How a number begins or is divided that nothing announces: "960-480-120" is a sum."""
_LEAST, _MOST = 7, 15
_LEAST_PLAIN = 8
"""A number that nothing announces has more digits than this, and a separator."""
_REACH = 60
_LETTERS = re.compile(rb"[A-Za-z\x80-\xff]{2}")


def has_words(text: bytes, low: int, high: int) -> bool:
    """Whether words stand between two places: a number among numbers alone is nobody's telephone."""
    return _LETTERS.search(text, low, high) is not None


def proven_telephone(text: bytes, low: int, high: int) -> tuple[int, int] | None:
    """Where a telephone stands that begins between two places; None where there is none.

    After a word that announces one, any number valid in a likely country counts; without it only one that is valid and grouped just as
    that country writes its numbers. With such a word right beside it, divided digits count even where no plan knows them: people
    write numbers without their prefix, and data sets hold made-up ones.
    """
    for match in _CANDIDATE.finditer(text, low, min(len(text), high + 24)):
        if match.start() >= high:
            return None
        before = text[max(0, match.start() - _REACH) : match.start()]
        digits = re.sub(rb"[^0-9]", b"", match[0])
        if not _LEAST <= len(digits) <= _MOST or len(set(digits)) < 3 or _DATE.fullmatch(match[0]) or not _LETTERS.search(before):
            continue
        is_beside = _RIGHT_BEFORE.search(before) is not None or _RIGHT_BEHIND.match(text, match.end()) is not None
        if is_beside and _GROUPS.fullmatch(match[0]):
            return match.start(), match.end()
        is_announced = is_beside or _WORDS.search(before) is not None
        may_be = is_announced or (len(digits) > _LEAST_PLAIN and not match[0].isdigit() and _PLAIN.fullmatch(match[0]) is not None)
        if may_be and _is_valid(match[0].decode("ascii"), is_grouped=not is_announced):
            return match.start(), match.end()
    return None


@functools.lru_cache(maxsize=4096)
def _is_valid(candidate: str, *, is_grouped: bool) -> bool:
    # A tenth of a second and the tables of forty countries: only where a candidate stands.
    phonenumbers = importlib.import_module("phonenumbers")
    regions: tuple[str | None, ...] = (None,) if candidate.startswith("+") else REGIONS
    groups = re.findall("[0-9]+", candidate)
    for region in regions:
        try:
            number = phonenumbers.parse(candidate, region)
        except phonenumbers.NumberParseException:
            continue
        if not phonenumbers.is_valid_number(number):
            continue
        if not is_grouped:
            return True
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
        if groups == re.findall("[0-9]+", written):
            return True
    return False
