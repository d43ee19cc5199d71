"""Whether a file that ships with the student holds what an obligation asks for: read, not taken on trust."""

from __future__ import annotations

import re

from kdgov.license.case.case import Evidence
from kdgov.license.catalogue.facts import Duty, License
from kdgov.license.catalogue.text_recognition import identify, normalised
from kdgov.license.reasoning.conditions import Situation

LEAST_TERMS = 40
"""Terms in fewer words than this bind nobody to anything."""

# As `kdgov.license.notice` writes them; a link such as "[Creator](…)" is none.
_PLACEHOLDER = re.compile(r"\[(?:Copy the notices of|Attach the restrictions of|Creator and link)\b[^\]]*\](?!\()")
_CHANGED = re.compile(r"\b(?:modified|changed|changes|derived|altered|fine ?tuned|distilled|trained (?:further|from)|further training)\b")


def file_fault(kind: str, duty: Duty, owner: License, evidence: Evidence, situation: Situation) -> str | None:
    """None if the file meets the duty, otherwise what it lacks, in words."""
    name = evidence.file
    if evidence.contents is None:
        return f"{name} was not read"
    words = normalised(evidence.contents)
    if not words:
        return f"{name} is empty"
    if (open_place := _PLACEHOLDER.search(evidence.contents)) is not None:
        return f"{name} still holds a place to fill in: {open_place[0]}"
    match kind:
        case "LICENSE_COPY":
            return _copy_fault(name, evidence.contents, words, owner, situation)
        case "NOTICE" | "DISPLAY":
            wanted = duty.value.split("|") if duty.value else []
            is_there = not wanted or any(normalised(phrase) in words for phrase in wanted)
            return None if is_there else f"{name} does not hold {' or '.join(repr(phrase) for phrase in wanted)}"
        case "FLOW_DOWN" | "AUP":
            return _terms_fault(name, words, duty, owner)
        case "ATTRIB" | "PRODUCED_WORK_NOTICE":
            return _credit_fault(name, words, owner, situation)
        case "STATE_CHANGES":
            return None if _CHANGED.search(words) else f"{name} does not say that anything was changed"
        case _:
            return None


def _copy_fault(name: str, text: str, words: str, owner: License, situation: Situation) -> str | None:
    known = situation.facts
    if owner.id not in known.texts:
        # Its text is not known here: the name is the least that a copy of it must hold.
        return None if normalised(owner.name) in words else f"{name} does not name {owner.name}"
    found = identify(text, known)
    if found.license is None:
        return f"{name} is not the text of {owner.name} ({found.why})"
    is_edition = bool(owner.edition_of) and known.licenses[found.license].edition_of == owner.edition_of
    if found.license != owner.id and not is_edition:
        return f"{name} is the text of {known.licenses[found.license].name}, not of {owner.name}"
    return None if found.is_sure else f"{name} resembles {owner.name} but differs from it ({found.why})"


def _terms_fault(name: str, words: str, duty: Duty, owner: License) -> str | None:
    names = {normalised(word) for word in (duty.value, owner.name, owner.id, *owner.aliases) if word}
    if not any(f" {word} " in f" {words} " for word in names):
        return f"{name} does not name the restrictions of {owner.name}"
    return None if len(words.split()) >= LEAST_TERMS else f"{name} names the restrictions of {owner.name} but does not set them out"


def _credit_fault(name: str, words: str, owner: License, situation: Situation) -> str | None:
    upstream = situation.upstream.name
    if upstream and normalised(upstream) not in words:
        return f"{name} does not name {upstream}"
    if normalised(owner.id) in words or normalised(owner.name) in words:
        return None
    return f"{name} does not name the licence {owner.id}"
