"""Credentials: keys with a fixed beginning, and secrets that stand after the word that names them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kdgov.checks.pii.match import Hit, IdentifierKind

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


def credentials_in(text: bytes, data: NDArray[np.uint8]) -> Iterator[Hit]:
    """Every credential in a batch; ``data`` is the text as bytes."""
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
