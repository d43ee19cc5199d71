"""Countries as people write them: ISO 3166-1 codes of two and three letters and names come to one code of two letters."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

TABLE = Path(str(files("kdgov"))) / "license" / "data" / "places.tsv"
"""Code, three-letter code and names, one country per line."""


def country_code(text: str) -> str | None:
    """The two-letter code that a code or name stands for, in capitals; None where it stands for no country.

    Case, accents and punctuation are ignored. ``UK`` and ``EL`` come to ``GB`` and ``GR``. A city, a locale (``sv-SE``) or a word
    that may mean two countries (``Korea``) comes to None.
    """
    return _names().get(_plain(text))


def place_mend(text: str) -> str:
    """How to mend a text that stands for no country, with the country or countries it may have meant."""
    plain, names = _plain(text), [name for name in _names() if len(name) > 3]
    near = [name for name in names if plain and f" {plain} " in f" {name} "] or difflib.get_close_matches(plain, names, n=1, cutoff=0.75)
    codes = list(dict.fromkeys(_names()[name] for name in near))
    meant = f"Did you mean {' or '.join(codes)}? " if 0 < len(codes) <= 3 else ""
    return f"{meant}Write the country's two-letter code (ISO 3166-1), such as DE, US or GB."


@cache
def _names() -> Mapping[str, str]:
    """Every code and name, as `_plain` writes it → two-letter code."""
    found: dict[str, str] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        code, long, names = line.split("\t")
        found |= {_plain(name): code for name in (code, long, *names.split(";")) if name}
    return found


def _plain(text: str) -> str:
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    words = re.sub(r"[^\w\s&-]+", "", bare.casefold()).replace("&", " and ").replace("-", " ").replace("_", " ").split()
    return " ".join(words[1:] if len(words) > 1 and words[0] == "the" else words)
