"""A JSON document that is one long array of objects, read an element at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from typing import Any

from kdgov.safe_parse import unique_object

_FIRST_ELEMENT = re.compile(r"\s*\[\s*(?:(\])|(?=\{))")
_NEXT_ELEMENT = re.compile(r"\s*(?:(\])|,\s*(?=\{))")


def json_elements(texts: Iterator[str], longest: int) -> Generator[Any, None, tuple[str, bool]]:
    """Elements of an array of objects; returns, as a generator does, what was read and is no part of one, and whether the array ended.

    Args:
        texts: the document, in blocks; what follows the returned text is still in it.
        longest: characters of an element after which it is given up.

    Raises:
        RepeatedKeyError: if an element names a key twice.
    """
    decoder, held, at, before = json.JSONDecoder(object_pairs_hook=unique_object), "", 0, _FIRST_ELEMENT
    for block in texts:
        held, at = held[at:] + block, 0
        while found := before.match(held, at):
            if found[1]:
                return held[found.end() :], True
            try:
                value, at = decoder.raw_decode(held, found.end())
            except (ValueError, RecursionError):
                # Cut by the end of the block, or no JSON: more text tells.
                break
            before = _NEXT_ELEMENT
            yield value
        if len(held) - at > longest or (not found and held[at:].strip().strip("[,").strip()):
            break
    return held[at:], False
