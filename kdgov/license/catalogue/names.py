"""Licence names as people write them: spelling, filler words, parentheses and addresses brought to one plain key."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

# Words that tell no licence from another. "community", "public" and "research" are none of them: they do.
_FILLER = frozenset(
    ["the", "a", "license", "licence", "licenses", "licensed", "version", "ver", "v", "agreement", "international", "unported"]
)
_TOKEN = re.compile(r"[a-z]+|\d+(?:\.\d+)*|\+")
_PARENTHESIS = re.compile(r"\(([^()]*)\)")
_ADDRESSES = (
    (re.compile(r"creativecommons\.org/licenses/([a-z-]+)/(\d\.\d)"), r"cc-\1-\2"),
    (re.compile(r"creativecommons\.org/publicdomain/zero/1\.0"), "cc0-1.0"),
    (re.compile(r"apache\.org/licenses/license-2\.0"), "apache-2.0"),
    (re.compile(r"opendatacommons\.org/licenses/(by|odbl|pddl)\b"), r"odc-\1"),
    (re.compile(r"(?:opensource\.org|spdx\.org|choosealicense\.com)/licenses?/([a-z0-9.+-]+?)(?:\.html|/)?$"), r"\1"),
    (re.compile(r"(?:llama\.com|llama\.meta\.com|ai\.meta\.com)/llama(\d)(?:[_-](\d))?/license"), r"llama\1.\2"),
    (re.compile(r"meta-llama/llama-models/(?:blob|raw|tree)/[^/]+/models/llama(\d)(?:_(\d))?/license"), r"llama\1.\2"),
    (re.compile(r"ai\.google\.dev/gemma/terms"), "gemma"),
    (re.compile(r"nvidia\.com/\S*/nvidia-open-model-license"), "nvidia-open-model-license"),
    (re.compile(r"mistral\.ai/licenses/mrl-0\.1"), "mrl"),
    (re.compile(r"mistral\.ai/licenses/mnpl-0\.1"), "mnpl"),
    (re.compile(r"cdla\.(?:dev|io)/(permissive|sharing)-(\d)-(\d)"), r"cdla-\1-\2.\3"),
    (re.compile(r"gnu\.org/licenses/((?:a|l)?gpl|fdl)-(\d\.\d)"), r"\1-\2"),
)
# "Apache-2.0 (code)" says what a licence is for, and no word of the licence itself.
_WHAT_FOR = re.compile(
    r"\(\s*(?:for\s+)?(?:the\s+)?(?:code|weights|models?|model weights|checkpoints?|data|data ?sets?|"
    r"metadata|source|source code|annotations?|text|images?|scripts?)\s*\)",
    re.IGNORECASE,
)


def plain(name: str) -> str:
    """The words of a name that tell licences apart: ``Apache License, Version 2.0`` and ``apache-2.0`` both give ``apache 2``."""
    tokens = [re.sub(r"(\.0)+$", "", token) for token in _TOKEN.findall(name.lower())]
    kept = [token for token in tokens if token not in _FILLER]
    # "MIT License (MIT)" says one thing twice.
    return " ".join(token for n, token in enumerate(kept) if n == 0 or token != kept[n - 1])


def spellings(name: str) -> Iterator[str]:
    """Ways to read what somebody wrote: as it stands, and what a bare web address stands for."""
    text = name.strip().strip("\"'`").lower()
    yield text
    if text.startswith(("http://", "https://")) and " " not in text:
        for pattern, meaning in _ADDRESSES:
            if found := pattern.search(text.rstrip("/")):
                yield found.expand(meaning).rstrip(".")


def without_purpose(name: str) -> str:
    """A name without the note of what it is for: ``Llama 3.1 (weights)`` is Llama 3.1."""
    return " ".join(_WHAT_FOR.sub(" ", name).split())


def parenthesised(name: str) -> tuple[str, list[str]]:
    """A name without its parentheses, and what stood in them: ``MIT License (MIT)`` says one thing twice, ``MIT (modified)`` does not."""
    return " ".join(_PARENTHESIS.sub(" ", name).split()), [part.strip() for part in _PARENTHESIS.findall(name)]


def plain_keys(names: Mapping[str, str]) -> dict[str, str]:
    """Plain key → licence id, for the keys that stand for one licence alone."""
    owners: dict[str, set[str]] = {}
    for name, owner in names.items():
        if key := plain(name):
            owners.setdefault(key, set()).add(owner)
    return {key: next(iter(found)) for key, found in owners.items() if len(found) == 1}


def near_names(name: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """Known names that a name resembles, nearest first: what its writer may have meant."""
    by_key: dict[str, str] = {}
    for candidate in known:
        by_key.setdefault(plain(candidate), candidate)
    key = plain(name)
    found = difflib.get_close_matches(key, list(by_key), n=most, cutoff=0.72)
    words = Counter(key.split())
    if not found and words:
        found = [other for other in by_key if len(words) > 1 and not words - Counter(other.split())][:most]
    return [by_key[other] for other in found]
