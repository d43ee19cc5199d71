"""Which licence a text is: by the digest of its words, or by phrases that only one licence has."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kdgov.license.catalogue.facts import Facts
from kdgov.license.catalogue.text_difference import difference, read_runs

RUNS = "text_runs.txt"
"""File of the hashed runs of the known texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMatch:
    """What a text was found to be."""

    license: str | None
    """Licence id; None where it is no text known here."""
    is_sure: bool
    """Whether it is that text; False where it resembles it but differs."""
    why: str
    """How it was found."""


def normalised(text: str) -> str:
    """The words of a text in lower case, single-spaced: what its digest and its phrases are taken from."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def text_digest(text: str) -> str:
    """SHA-256 of the words of a text."""
    return hashlib.sha256(normalised(text).encode()).hexdigest()


def identify(text: str, facts: Facts) -> TextMatch:
    """The licence a text is.

    Digest first. Then the phrases: the licence whose phrases all stand in the text, and none of those that set its
    sisters apart. Such a text is compared with the known one run by run: whatever it adds, changes or leaves out beside names,
    titles and addresses is told, and the text is not sure.
    """
    words = normalised(text)
    if not words:
        return TextMatch(license=None, is_sure=False, why="it is empty")
    digest = hashlib.sha256(words.encode()).hexdigest()
    for name, known in facts.texts.items():
        if digest in known.get("digests", ()):
            return TextMatch(license=name, is_sure=True, why="its words are those of the known text")
    found = [name for name, known in facts.texts.items() if _is_framed(words, known)] or [
        name for name, known in facts.texts.items() if _has_phrases(words, known)
    ]
    if not found:
        return TextMatch(license=None, is_sure=False, why="no known digest and no known phrases")
    if len(found) > 1:
        return TextMatch(license=None, is_sure=False, why="it holds phrases of " + " and ".join(found))
    return _compared(text, found[0], facts)


def _compared(text: str, name: str, facts: Facts) -> TextMatch:
    runs, known = read_runs(facts.folder / RUNS).get(name), facts.texts[name]
    if runs is None:
        return TextMatch(license=name, is_sure=False, why="it has its distinguishing phrases, and no text to compare it with is at hand")
    found = difference(text, runs, known["words"])
    # Terms that are proven word for word may come without their appendix.
    if found.is_none or (not found.added and _is_framed(normalised(text), known)):
        return TextMatch(license=name, is_sure=True, why="its words are those of the known text, names and addresses aside")
    return TextMatch(license=name, is_sure=False, why=found.told())


def _is_framed(words: str, known: Mapping[str, Any]) -> bool:
    core = _core(words, known)
    return bool(core) and hashlib.sha256(core.encode()).hexdigest() in known["core_digests"]


def _core(words: str, known: Mapping[str, Any]) -> str:
    """The terms proper, without copyright lines before and appendices after; empty where a text has no such frame."""
    if "core_digests" not in known:
        return ""
    start = words.find(normalised(known["core_from"]))
    end = words.rfind(normalised(known["core_to"]))
    if not 0 <= start < end:
        return ""
    end += len(normalised(known["core_to"]))
    # Clauses added before or after the terms change them: only as many words as a title and holders, or an appendix, take.
    is_framed = len(words[:start].split()) <= known["words_before"] and len(words[end:].split()) <= known["words_after"]
    return words[start:end] if is_framed else ""


def _has_phrases(words: str, known: Mapping[str, Any]) -> bool:
    padded = f" {words} "
    has_all = all(f" {normalised(phrase)} " in padded for phrase in known["phrases"])
    return has_all and not any(f" {normalised(phrase)} " in padded for phrase in known.get("without", ()))
