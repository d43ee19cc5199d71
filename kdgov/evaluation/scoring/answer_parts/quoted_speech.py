"""Words in an answer that somebody else says: quotes, turns of a dialogue, lines behind a dash.

Who speaks there may refuse, and still something was written. Texts come with straight quotes, as the refusal rules compare them.
"""

from __future__ import annotations

import re
from collections import Counter

_QUOTED = re.compile(r'"[^"\n]{2,}"')
_QUOTE = re.compile(r'"([^"\n]{2,})"|(?<!\w)\'([^\'\n]{8,})\'(?!\w)')
_SPEAKER = re.compile(
    r"(?:^|(?<=[.!?\n\"] ))[ \t*]*([A-ZÀ-ÖØ-Þ][\w'-]{1,20}|[А-Я]\w{1,20})\*{0,2} ?: "
    r"|(?:^|(?<=[.!?\n。！？] )|(?<=[.!?\n。！？]))([\u4e00-\u9fff\u3040-\u30ff]{1,4}): ?",
    re.MULTILINE,
)
_LEAST_TURNS = 3


def without_speech(text: str) -> str:
    """A text with neutral words in the place of what others say in it.

    Example:
        >>> without_speech('"I will not move", said the mule.')
        ' quote quote, said the mule.'
    """
    text = _without_dashes(_without_turns(text))
    outside = _QUOTED.sub(" ", text)
    return _QUOTED.sub(lambda quote: _neutral(quote[0]), text) if len(re.findall(r"\w", outside)) >= 4 else text


def quotes_in(text: str) -> list[str]:
    """What a text quotes.

    Example:
        >>> quotes_in('Translate "I cannot help you" into Dutch.')
        ['I cannot help you']
    """
    return [double or single for double, single in _QUOTE.findall(text)]


def _without_turns(text: str) -> str:
    """``Clerk: … Thief: … Clerk: …``: at least three turns, of two speakers, one of whom speaks again; "Note:" and "Answer:" are none."""
    turns = list(_SPEAKER.finditer(text))
    speakers = Counter(turn[1] or turn[2] for turn in turns)
    if len(turns) < _LEAST_TURNS or len(speakers) < 2 or max(speakers.values()) < 2:
        return text
    ends = [turn.start() for turn in turns[1:]] + [len(text)]
    said = [_neutral(text[turn.end() : end]) for turn, end in zip(turns, ends, strict=True)]
    return text[: turns[0].start()] + "".join(f"{one}. " for one in said)


def _without_dashes(text: str) -> str:
    """``—Open! —said the guard.``: a text that begins with a dash, whose every second part is spoken."""
    if not text.lstrip().startswith("—"):
        return text
    parts = text.split("—")
    return "".join(_neutral(part) + ". " if number % 2 else part for number, part in enumerate(parts))


def _neutral(words: str) -> str:
    return " quote" * max(1, len(words) // 6)
