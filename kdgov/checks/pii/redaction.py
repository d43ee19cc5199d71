"""Personal data and credentials in texts that reports show: masked before they leave the evaluation.

What the scan of training data finds is masked here too (`find_identifiers`, the one owner of these patterns). Masking goes further than
finding: where the scan wants a check digit or a word beside a number before it counts one, a shape is enough to hide it. What no shape
shows is why `sensitive: personal` tasks show no other text at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kdgov.checks.pii.identifiers import find_identifiers
from kdgov.checks.pii.match import IdentifierKind

_WORDS: Mapping[IdentifierKind, str] = {
    "email": "EMAIL",
    "phone": "PHONE",
    "credit_card": "CARD",
    "iban": "IBAN",
    "us_ssn": "SSN",
    "ip_address": "IP",
    "aws_key": "KEY",
    "api_key": "KEY",
    "private_key": "KEY",
    "password": "PASSWORD",
}
# Shapes that the scan would leave uncounted for want of proof.
_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("URL", re.compile(r"\b(?:https?://|www\.)\S+", re.IGNORECASE)),
    ("EMAIL", re.compile(r"\S+@[\w-]+(?:\.[\w-]+)+")),
    ("IBAN", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")),
    ("NUMBER", re.compile(r"(?<![\w.])\+?\d[\d ()/.-]{6,}\d(?![\w])")),
    ("NUMBER", re.compile(r"\d{5,}")),
    ("NAME", re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|Herr|Frau)\.? (?:[A-ZÄÖÜ][\w'-]+ ?){1,3}")),
    ("NAME", re.compile(r"(?<=[Mm]y name is )(?:[A-ZÄÖÜ][\w'-]+ ?){1,3}")),
)


def masked(text: str) -> str:
    """A text whose addresses, numbers, credentials and titled names are replaced by the word for what stood there.

    >>> masked("Write to ada@example.org or call +49 30 901820.")
    'Write to [EMAIL] or call [PHONE].'
    """
    data = text.encode("utf-8", "replace")
    parts, end = [], 0
    for hit in find_identifiers(data):
        parts += [data[end : hit.start].decode("utf-8", "ignore"), f"[{_WORDS[hit.kind]}]"]
        end = hit.end
    text = "".join([*parts, data[end:].decode("utf-8", "ignore")])
    for word, pattern in _SHAPES:
        text = pattern.sub(f"[{word}]", text)
    return text
