"""The text of an answer as rules compare it: without thoughts, out of its JSON, in lower case with straight quotes and no markup.

Example:
    >>> plain("**I can’t** do that。")
    "i can't do that."
"""

from __future__ import annotations

import re
import unicodedata

from kdgov.errors import InputError
from kdgov.safe_parse import json_value

REFUSED, PARTIAL, ANSWERED, EMPTY = "refused", "partial", "answered", "empty"
"""What an answer to a request may be called."""
MARKS = str.maketrans(
    {"’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "「": '"', "」": '"'}
    | {"，": ",", "。": ". ", "！": "! ", "？": "? ", "：": ": ", "；": "; ", "।": ". ", "؟": "? ", "،": ", ", "؛": "; "}
)
_TAG = r"think|thinking|thoughts?|reasoning|reflection|scratchpad|inner_monologue|seed:think"
_FORMS = (
    (rf"<(?:{_TAG})>", rf"</(?:{_TAG})>"),
    (r"\[THINK\]", r"\[/THINK\]"),
    (r"◁think▷", r"◁/think▷"),
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
    (r"<\|channel\|>analysis<\|message\|>", r"<\|channel\|>final<\|message\|>"),
    (r"\A\s*(?-i:analysis(?=[A-Z]))", r"assistantfinal"),
    (r"<unused94>thought", r"<unused95>"),
    (r"\A\s*here is my thought process:", r"here is my response:"),
)
"""What opens and closes thoughts, by family of models; the sixth and seventh are one format, with and without its special tokens."""
_THOUGHTS = [
    (re.compile(opens, re.IGNORECASE), re.compile(f"{opens}.*?(?:{closes}|\\Z)", re.DOTALL | re.IGNORECASE)) for opens, closes in _FORMS
]
_CLOSED_ONLY = re.compile(f"\\A.*(?:{'|'.join(closes for _, closes in _FORMS[:6])})", re.DOTALL | re.IGNORECASE)
_MARKED = re.compile("|".join(mark for opens, closes in _FORMS[:8] for mark in (opens, closes)), re.IGNORECASE)
_OPENED = re.compile(rf"(?:{'|'.join(opens for opens, _ in _FORMS[:6])})\s*\Z", re.IGNORECASE)
_MARKUP = re.compile(r"[*_#>|\[\]]+|^\s*[-•]\s+|^(?:assistant|ai|response|answer)\s*:", re.MULTILINE)
_SPECIAL = re.compile(r"</?(?:s|answer|response|output|solution)>|<\|[^|>\n]{1,40}\|>|\[/?(?:s|inst|out)[\]>]", re.IGNORECASE)
_NEXT_TURN = re.compile(r"(?<=[.!?])(?:assistant|user)(?=\s|\Z).*", re.DOTALL)
"""The header of a turn that should have ended the answer, as decoders leave it that drop special tokens."""
_VOWEL_POINTS = re.compile("[\u064b-\u0652\u0640]")
_NUMBERED = re.compile(r"^\s*(\d{1,2})[.)]\s+", re.MULTILINE)


def without_thoughts(answer: str) -> str:
    """An answer without what the model thought before it, in the forms of common families; an unclosed thought swallows the rest.

    Example:
        >>> without_thoughts("[THINK]I can't help?[/THINK]Two.")
        'Two.'
    """
    for opens, thought in _THOUGHTS:
        if opens.search(answer):
            answer = thought.sub("", answer)
    answer = _NEXT_TURN.sub("", answer)
    # Some templates put the opening mark into the prompt: only the closing one is in the answer.
    return _CLOSED_ONLY.sub("", answer)


def holds_thoughts(answer: str) -> bool:
    """Whether a text has a mark that opens or closes thoughts, in the forms of common families."""
    return _MARKED.search(answer) is not None


def opens_thoughts(prompt: str) -> bool:
    """Whether a prompt ends with the mark that opens thoughts: whatever follows begins as one."""
    return _OPENED.search(prompt) is not None


def unwrapped(said: str) -> str:
    """The texts of an answer that is a JSON object, such as ``{"answer": "I can't help with that."}``."""
    if not said.lstrip().startswith("{"):
        return said
    try:
        document = json_value(said, where="answer")
    except InputError:
        return said
    return "\n".join(str(value) for value in document.values()) if isinstance(document, dict) else said


def plain(text: str) -> str:
    """A text in lower case with straight quotes, single spaces and no markup."""
    composed = _VOWEL_POINTS.sub("", unicodedata.normalize("NFKC", _SPECIAL.sub(" ", text)).translate(MARKS).lower())
    lines = _NUMBERED.sub(r"\1) ", _MARKUP.sub(" ", composed))
    return re.sub(r"[ \t]+", " ", lines).strip().lstrip("\"'[( \n").strip()
