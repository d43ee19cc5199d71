"""Thoughts and answers told apart: thoughts are no part of what is scored, and stay evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kdgov.declarations.release_parts.evaluation_settings import Reasoning


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitText:
    """One text of a model that thinks."""

    answer: str
    """What it says after its thoughts; empty where it never came to an answer."""
    thoughts: str
    """What it thought."""
    is_open: bool
    """Whether the thoughts never ended: the budget was used up."""


def split_thoughts(text: str, reasoning: Reasoning | None) -> SplitText:
    r"""A text's answer and thoughts; without ``reasoning`` all of it is the answer.

    Everything before the last closing mark is thoughts, also where the template wrote the opening mark and the model did not.

    >>> split_thoughts("<think>He asks for two. I can't help.</think>\n\nTwo.", Reasoning()).answer
    'Two.'
    """
    if reasoning is None:
        return SplitText(answer=text, thoughts="", is_open=False)
    before, closed, after = text.rpartition(reasoning.end)
    said, opened, more = after.partition(reasoning.start)
    if closed and opened:
        # It thought, spoke, and began to think again without an end.
        thoughts = f"{before.replace(reasoning.start, '', 1)}{closed}{said}{opened}{more}"
        return SplitText(answer=said.strip(), thoughts=thoughts.strip(), is_open=True)
    if closed:
        # What was said before the first opening mark belongs to no thought, but nor is it the answer.
        return SplitText(answer=after.lstrip(), thoughts=before.replace(reasoning.start, "", 1).strip(), is_open=False)
    said, opened, thoughts = text.partition(reasoning.start)
    if opened:
        return SplitText(answer=said.strip(), thoughts=thoughts.strip(), is_open=True)
    return SplitText(answer=text, thoughts="", is_open=False)


def scored_text(text: str, generation: Mapping[str, Any], reasoning: Reasoning | None) -> str:
    """What is scored of a text: the answer without thoughts, up to its first stop."""
    answer = split_thoughts(text, reasoning).answer
    for stop in stops_of(generation):
        answer = answer.split(stop)[0]
    return answer


def stops_of(generation: Mapping[str, Any]) -> list[str]:
    """Texts that end an answer."""
    until = generation.get("until")
    return [str(stop) for stop in (until if isinstance(until, (list, tuple)) else [until]) if stop]
