"""What a licence text adds to, changes in or leaves out of a known one: told in its own words.

Known texts are kept as hashes of their runs of five words, in order (`data/text_runs.txt`): enough to find every word that stands
where the known text has another, and nothing to read.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kdgov.license.catalogue.telling_words import TELLING, TITLE_SMALL

RUN = 5
"""Words of one run."""
BYTES = 3
"""Bytes of one hash: among the thousands of runs of a text a stranger's run passes for a known one once in some thousand."""
MOST_SHOWN = 5
_WORD = re.compile(r"[a-z0-9]+")
# A clause may be numbered "(C)": the sign stands for copyright only before a year or that word.
_COPYRIGHT = re.compile(r"[\W_]*(copyright|©|\(c\)\W*(copyright|\d{4})|all rights reserved)", re.IGNORECASE)
_HANDLE_WORDS = 3
# Places that a licence leaves open for a name.
_BEFORE_NAMES = ("name of", "names of", "provided by", "event shall", "name of the", "provided by the", "event shall the")
_HOLDERS = frozenset(["owner", "owners", "holder", "holders", "author", "authors", "contributor", "contributors", "regents", "copyright"])
_LINKS = frozenset(["and", "or", "the", "its"])
_TITLE_WORDS = 14
_LEADING_WORDS = 80
_NAME_WORDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a text differs from a known one."""

    added: tuple[str, ...]
    """Sentences that hold words the known text has not, as they stand; names, titles and addresses left out."""
    missing_words: int
    """About how many words of the known text are left out without anything in their place."""

    @property
    def is_none(self) -> bool:
        """Whether only names, titles and addresses differ."""
        return not self.added and not self.missing_words

    def told(self) -> str:
        """The difference in one phrase, with the sentences themselves."""
        parts = []
        if self.added:
            shown = "; ".join(f"“{sentence}”" for sentence in self.added[:MOST_SHOWN])
            more = f" and {len(self.added) - MOST_SHOWN} more" if len(self.added) > MOST_SHOWN else ""
            parts.append(f"it adds or changes: {shown}{more}")
        if self.missing_words:
            parts.append(f"about {self.missing_words} words of the known text are missing")
        return "; ".join(parts)


def runs_of(words: Sequence[str]) -> list[bytes]:
    """Hashes of every run of five words, in order; a shorter text is one run."""
    if len(words) < RUN:
        return [_hash(words)] if words else []
    return [_hash(words[n : n + RUN]) for n in range(len(words) - RUN + 1)]


def _hash(words: Sequence[str]) -> bytes:
    return hashlib.blake2b(" ".join(words).encode(), digest_size=BYTES).digest()


@cache
def read_runs(path: Path) -> Mapping[str, tuple[tuple[bytes, ...], ...]]:
    """Licence id → runs of each text known of it."""
    found: dict[str, list[tuple[bytes, ...]]] = {}
    for line in path.read_text(encoding="ascii").splitlines() if path.is_file() else ():
        name, _, data = line.partition("\t")
        raw = base64.b64decode(data)
        found.setdefault(name, []).append(tuple(raw[n : n + BYTES] for n in range(0, len(raw), BYTES)))
    return {name: tuple(texts) for name, texts in found.items()}


def difference(text: str, known: tuple[tuple[bytes, ...], ...], lengths: Sequence[int]) -> Difference:
    """How a text differs from the nearest of some known texts of one licence.

    Args:
        text: the text as it lies.
        known: runs of each known text, at least one.
        lengths: lengths in words that the licence is known in: an appendix may be left out whole.
    """
    return min((_difference(text, runs, lengths) for runs in known), key=lambda found: (len(found.added), found.missing_words))


def _difference(text: str, known: tuple[bytes, ...], lengths: Sequence[int]) -> Difference:
    matches = list(_WORD.finditer(text.lower()))
    words = [match[0] for match in matches]
    own = runs_of(words)
    wanted, there = set(known), set(own)
    is_covered = [False] * len(words)
    for n, run in enumerate(own):
        if run in wanted:
            is_covered[n : n + RUN] = [True] * RUN
    passages = list(_passages(is_covered))
    told = [(a, b) for a, b in passages if not _is_harmless(a, b, words, matches, text)]
    # Words all known, in an order that is not: something was taken out between them, or put in from elsewhere in the text.
    told += [
        (a + RUN - 2, a + RUN) for a, b in _passages([run in wanted for run in own]) if len(own) > 1 and all(is_covered[a : b + RUN - 1])
    ]
    added = tuple(dict.fromkeys(_sentence(text, matches[a].start(), matches[b - 1].end()) for a, b in sorted(told)))
    room = sum(b - a + _NAME_WORDS for a, b in passages)
    return Difference(added=added, missing_words=_missing([run in there for run in known], len(words), room, lengths))


def _passages(is_covered: Sequence[bool]) -> Iterator[tuple[int, int]]:
    start = None
    for n, covered in enumerate([*is_covered, True]):
        if not covered and start is None:
            start = n
        elif covered and start is not None:
            yield start, n
            start = None


def _missing(is_there: Sequence[bool], count: int, room: int, lengths: Sequence[int]) -> int:
    lost = 0
    for a, b in _passages(is_there):
        is_appendix = b == len(is_there) and any(abs(count - length) <= 0.02 * length for length in lengths)
        if a >= _TITLE_WORDS and not is_appendix:
            lost += max(0, b - a - RUN + 1)
    return lost if lost > room else 0


def _is_harmless(a: int, b: int, words: Sequence[str], matches: Sequence[re.Match[str]], text: str) -> bool:
    passage = words[a:b]
    if list(passage) == ["non", "infringement"] or (b - a <= _NAME_WORDS and set(passage) - _LINKS and set(passage) <= _HOLDERS | _LINKS):
        return True
    if TELLING & _without_dates(passage):
        return False
    start, end = matches[a].start(), matches[b - 1].end()
    if all(_is_address(text, match) for match in matches[a:b]):
        return True
    if b - a <= _NAME_WORDS and " ".join(words[max(0, a - 3) : a]).endswith(_BEFORE_NAMES):
        return True
    # Whole lines: who holds the rights, and before the text begins also what it is called.
    lines = [line for line in text[text.rfind("\n", 0, start) + 1 : _line_end(text, end)].splitlines() if _WORD.search(line.lower())]
    is_first = a == 0 and b <= _LEADING_WORDS
    return bool(lines) and all(_is_holders_line(line) or (is_first and _is_title_line(line)) for line in lines)


def _is_holders_line(line: str) -> bool:
    held = _WORD.findall(line.lower())
    return (
        bool(_COPYRIGHT.match(line))
        and len(held) <= 2 * _TITLE_WORDS
        and not (TELLING & _without_dates(held))
        and _strangers(line) <= _HANDLE_WORDS
    )


def _is_title_line(line: str) -> bool:
    held = _WORD.findall(line.lower())
    return len(held) <= _TITLE_WORDS and not (TELLING & _without_dates(held)) and not _strangers(line)


def _without_dates(held: Sequence[str]) -> set[str]:
    # "1 May 2026" permits nothing.
    return {
        word
        for word, before, after in zip(held, ["", *held], [*held[1:], ""], strict=False)
        if word != "may" or not (before + after).isdigit()
    }


def _strangers(line: str) -> int:
    """Words of a line that neither a title nor a name holds: in small letters, and none of the usual ones of titles."""
    words = re.findall(r"[A-Za-z]+", re.sub(r"\S*(?:://|@|www\.)\S*", " ", line))
    return sum(word[0].islower() and word.lower() not in TITLE_SMALL for word in words)


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found


def _is_address(text: str, match: re.Match[str]) -> bool:
    start = max(text.rfind(space, 0, match.start()) for space in " \n\t(<") + 1
    token = re.split(r"[\s)>]", text[start:], maxsplit=1)[0].lower()
    return "://" in token or token.startswith("www.") or "@" in token


def _sentence(text: str, start: int, end: int) -> str:
    """The sentence or sentences that a passage stands in, on one line and not longer than a reader takes in."""
    before = [match.end() for match in re.finditer(r"[.;:!?]\s|\n\s*\n", text[:start])]
    after = re.search(r"[.;:!?](\s|$)|\n\s*\n", text[end:])
    whole = " ".join(text[before[-1] if before else 0 : end + (after.end() if after else len(text))].split())
    return whole if len(whole) <= 300 else f"{' '.join(text[start:end].split())[:280]}…"
