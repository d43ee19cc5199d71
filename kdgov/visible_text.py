"""Text for a terminal or a log, whoever wrote it: nothing in it moves the cursor, turns the line or hides."""

from __future__ import annotations

import unicodedata


def visible(text: str) -> str:
    """The text with control, direction and other invisible characters shown as escapes; line ends and tabs are kept."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
