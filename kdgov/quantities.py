"""Numbers with their nouns, as sentences for people need them."""

from __future__ import annotations


def quantity(count: object, noun: str, plural: str = "") -> str:
    """The number, grouped by thousands, and its noun in the right form; what is no number (evidence of others) stands as it is.

    >>> quantity(1, "item"), quantity(1824, "item"), quantity(0, "entry", "entries")
    ('1 item', '1,824 items', '0 entries')
    """
    said = f"{count:,}" if isinstance(count, int | float) else str(count)
    return f"{said} {noun if count == 1 else plural or noun + 's'}"
