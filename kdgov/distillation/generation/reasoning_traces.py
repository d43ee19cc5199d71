"""Thoughts beside an answer: found by their marks or handed over apart, then kept or cut."""

from __future__ import annotations

from dataclasses import dataclass

from kdgov.declarations.release_parts.teacher_writing import ReasoningTraces
from kdgov.distillation.generation.answers import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """An answer with its thoughts dealt with."""

    text: str
    """What the student would learn."""
    had_thoughts: bool
    """Whether there were any."""
    is_unfinished: bool = False
    """Whether it began to think and never came to an answer."""


def settle(answer: Answer, traces: ReasoningTraces) -> Settled:
    """An answer's text with its thoughts kept or cut, as declared.

    Thoughts stand between ``start`` and ``end`` at the head of the text (also with ``start`` missing, as templates that open a thought
    write it), or came apart as ``reasoning_content``. Kept, they stand between the marks before the answer.
    """
    thoughts, rest, is_finished = split_thoughts(answer.text, traces.start, traces.end)
    if not is_finished:
        return Settled(text=answer.text if traces.traces == "keep" else "", had_thoughts=True, is_unfinished=True)
    inline = thoughts is not None
    if traces.traces == "cut":
        return Settled(text=rest if inline else answer.text, had_thoughts=inline or bool(answer.reasoning))
    if answer.reasoning and not inline:
        text = f"{traces.start}\n{answer.reasoning.strip()}\n{traces.end}\n\n{answer.text.lstrip()}"
        return Settled(text=text, had_thoughts=True)
    return Settled(text=answer.text, had_thoughts=inline)


def split_thoughts(text: str, start: str, end: str) -> tuple[str | None, str, bool]:
    """Thoughts at the head of a text (None where there are none), what follows them, and whether they come to an end."""
    head = text.lstrip()
    if not head.startswith(start):
        before, mark, after = text.partition(end)
        # A template that opens the thought leaves only its end in the answer.
        return (before, after.lstrip(), True) if mark and start not in before else (None, text, True)
    thoughts, mark, after = head[len(start) :].partition(end)
    return (thoughts, after.lstrip(), True) if mark else (thoughts, "", False)
