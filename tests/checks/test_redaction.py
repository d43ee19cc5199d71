"""What the scan finds in training data is masked in what reports show: one set of patterns."""

from __future__ import annotations

from typing import get_args

import pytest

from kdgov.checks.pii import redaction
from kdgov.checks.pii.identifiers import find_identifiers
from kdgov.checks.pii.match import IdentifierKind
from kdgov.checks.pii.redaction import masked

TEXTS = (
    "Write to jürgen.groß@müller.example today.",
    "Call +49 30 901820 or 030 12345678.",
    "Card 4111 1111 1111 1111, IBAN GB82 WEST 1234 5698 7654 32.",
    "His SSN is 536-90-4399.",
    "It came from 10.23.4.200 and from 2001:db8::8a2e:370:7334.",
    "The key is AKIAIOSFODNN7EXAMPLE.",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    "password = 'Tr0ub4dor&3x'",
)


def test_every_kind_that_the_scan_knows_has_a_word():
    assert set(redaction._WORDS) == set(get_args(IdentifierKind))


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_that_the_scan_finds_is_left_in_a_masked_text(text):
    shown, data = masked(text), text.encode()
    hits = find_identifiers(data)
    for hit in hits:
        assert data[hit.start : hit.end].decode() not in shown
    assert find_identifiers(shown.encode()) == []
    if "@" in text or "AKIA" in text or "SSN" in text:
        assert hits


def test_a_text_with_nothing_personal_stays_as_it_is():
    plain = "She bought 3 apples in 2024 for 12.50, version 1.2.3.4; größer als ½."
    assert masked(plain) == plain


def test_text_that_is_no_clean_unicode_is_masked_too():
    assert "ada@example.org" not in masked("\ud800 ada@example.org")
