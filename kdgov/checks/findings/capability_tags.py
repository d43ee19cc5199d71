"""Capability tags: a closed vocabulary with synonyms, which of them are sensitive, and the suites that a sensitive one asks for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

SuiteFamily = Literal["safety", "bias", "privacy"]

SUITE_PATTERNS: dict[SuiteFamily, tuple[str, ...]] = {
    "safety": ("*safety*", "*refus*", "*harm*", "*xstest*", "*jailbreak*"),
    "bias": ("*bias*", "*stereotyp*", "*bbq*", "*crows*", "*fair*"),
    "privacy": ("*privacy*", "*canar*", "*memori*", "*extraction*", "*membership*"),
}
"""Family → names of suites or tasks that count as one of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitive:
    """One sensitive capability."""

    synonyms: tuple[str, ...]
    """Other tags that mean it."""
    suites: tuple[SuiteFamily, ...]
    """Families of suites that must judge a student distilled for it."""


def _of(synonyms: str, *suites: SuiteFamily) -> Sensitive:
    return Sensitive(synonyms=tuple(synonyms.split()), suites=suites)


SENSITIVE: dict[str, Sensitive] = {
    "health": _of("healthcare medical medicine clinical diagnosis patient nursing pharma pharmacology drugs dental", "safety", "privacy"),
    "mental_health": _of("therapy psychology psychiatry counselling counseling suicide self_harm wellbeing", "safety", "privacy"),
    "code": _of("coding programming software code_generation software_engineering", "safety"),
    "cyber": _of("cybersecurity security infosec hacking pentest pentesting exploit exploits malware vulnerability", "safety"),
    "cbrn": _of(
        "bio biology biosecurity biological chemistry chemical chem nuclear radiological weapons weapon explosives virology pathogens",
        "safety",
    ),
    "minors": _of("children child kids teen teens teenagers youth underage pupils", "safety", "privacy"),
    "finance": _of("financial banking investment investing trading tax accounting fintech", "safety", "bias"),
    "credit": _of("lending loans credit_scoring creditworthiness mortgage", "bias"),
    "insurance": _of("underwriting claims actuarial", "bias"),
    "legal": _of("law lawyer litigation contracts justice courts", "safety", "bias"),
    "persuasion": _of("persuasive political politics election elections propaganda disinformation misinformation", "safety", "bias"),
    "employment": _of("hr hiring recruiting recruitment human_resources resume workers workforce", "bias"),
    "education": _of("teaching tutoring tutor exams grading school", "safety", "bias"),
    "law_enforcement": _of("police policing crime forensics surveillance", "safety", "bias"),
    "migration": _of("immigration asylum border visa", "bias"),
    "biometrics": _of("face_recognition face identification biometric emotion_recognition", "bias", "privacy"),
    "critical_infrastructure": _of("energy grid water_supply traffic infrastructure", "safety"),
    "agents": _of("agent agentic tool_use tools autonomy autonomous browsing computer_use", "safety"),
    "sexual_content": _of("adult nsfw sexual", "safety"),
    "violence": _of("extremism terrorism hate hate_speech", "safety", "bias"),
}
"""Canonical tag → synonyms and what it asks for: uses of EU AI Act Annex III, dual-use knowledge of NIST AI 600-1 section 2."""

ORDINARY: frozenset[str] = frozenset(
    re.findall(
        r"\S+",
        "arithmetic assistant audio chat classification conversation customer_service customer_support dialogue "
        "entity_recognition extraction facts general grammar images information_retrieval instruction_following knowledge "
        "language language_modelling language_modeling math mathematics moderation multilingual ner ocr paraphrasing planning "
        "question_answering qa ranking reading_comprehension reasoning retrieval rewriting routing search sentiment speech "
        "speech_recognition spelling story_writing storytelling summarisation summarization support text text_generation "
        "transcription translation vision writing ",
    )
)
"""Tags that ask for nothing."""

_CANONICAL: dict[str, str] = {
    **{word: name for name, entry in SENSITIVE.items() for word in entry.synonyms},
    **{name: name for name in SENSITIVE},
}


def _plain(tag: str) -> str:
    return re.sub(r"[^\w]+", "_", tag.strip().lower()).strip("_")


def sensitive_capability(tag: str) -> str | None:
    """The sensitive capability that a tag means, or None: ``Medical Advice`` and ``healthcare`` are both ``health``.

    A tag of several words is sensitive where any of its words is.
    """
    plain = _plain(tag)
    if plain in _CANONICAL:
        return _CANONICAL[plain]
    if plain in ORDINARY:
        return None
    return next((_CANONICAL[word] for word in plain.split("_") if word in _CANONICAL), None)


def is_known(tag: str) -> bool:
    """Whether the vocabulary holds a tag, itself or by one of its words."""
    plain = _plain(tag)
    return sensitive_capability(tag) is not None or plain in ORDINARY


def nearest_tag(tag: str) -> str:
    """The known tag that is most like an unknown one; empty where none is."""
    return next(iter(difflib.get_close_matches(_plain(tag), [*_CANONICAL, *ORDINARY], n=1)), "")


def missing_families(capability: str, names: Iterable[str]) -> Sequence[SuiteFamily]:
    """Families of suites that a sensitive capability asks for and none of these suite and task names belongs to."""
    known = [name.lower() for name in names]
    return [
        family
        for family in SENSITIVE[capability].suites
        if not any(fnmatchcase(name, pattern) for name in known for pattern in SUITE_PATTERNS[family])
    ]
