"""Digests that stand for a person's text in evidence: nothing readable is kept, and who holds the text can still find it."""

from __future__ import annotations

import hashlib
import re

_FORM = re.compile(r"^sha256:[0-9a-f]{64} \(\d+ characters\)$")


def text_digest(text: str) -> str:
    """``sha256:… (N characters)`` of a text; spaces and capitals do not count, an empty text stays empty."""
    if not text:
        return ""
    plain = " ".join(text.split()).casefold()
    return f"sha256:{hashlib.sha256(plain.encode('utf-8', 'replace')).hexdigest()} ({len(text)} characters)"


def is_text_digest(text: str) -> bool:
    """Whether a value is such a digest."""
    return bool(_FORM.match(text))
