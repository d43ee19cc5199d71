"""A conversation in a model's own chat template, and which characters of it the student is to learn.

The answer's place is found by rendering prefixes: what the template writes up to a turn, and what it writes with the turn. A template
that writes no such prefix (it changes earlier turns, or opens a thought that the finished text lacks) is searched for the answer's own
words. Where they are not there whole, the template left something out, and training on the rest would teach something else: refused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kdgov.checkpoints.bounded_templates import chat_text
from kdgov.distillation.data.examples import Example
from kdgov.distillation.data.turn_marks import LEARN, texts_of, words_of
from kdgov.errors import InputError

LossOn = Literal["last", "assistant_turns", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A conversation as text."""

    text: str
    """All of it, as the model sees it."""
    spans: tuple[tuple[int, int], ...]
    """Character ranges that are learnt, in order, without overlap."""
    ends_itself: bool
    """Whether the template closes the last answer with a token of its own, so that no end-of-text token is added."""


def render(example: Example, tokenizer: Any, *, loss_on: LossOn) -> Rendered:
    """A conversation in the tokenizer's chat template.

    Args:
        example: one with messages.
        tokenizer: whose template and special tokens are used.
        loss_on: the last answer, every assistant turn, or all text.

    Raises:
        InputError: naming the item: no template, a template that refuses the conversation, or one that loses part of an answer.
    """
    if not tokenizer.chat_template:
        raise InputError(
            f"example {example.item_id} is a conversation, and the tokenizer has no chat template",
            where="data",
            mend="Write `prompt` and `completion` instead, or add a chat_template.jinja to the teacher's folder.",
        )
    messages = [{name: value for name, value in message.items() if name != LEARN} for message in example.messages]
    whole = _apply(example, tokenizer, messages)
    for place, message in enumerate(messages):
        if message["role"] != "assistant" and any(words.strip() not in whole for words in texts_of(message)):
            raise InputError(
                f"the chat template leaves out message {place + 1} ({message['role']}) of example {example.item_id}",
                where="data",
                mend="Put its words into the first user message, or use a template that keeps it.",
            )
    _heed_marks(example, loss_on)
    if loss_on == "all":
        return Rendered(text=whole, spans=((0, len(whole)),), ends_itself=example.is_cut or _ends_itself(tokenizer, whole))
    answers = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    wanted = [n for n in (answers if loss_on == "assistant_turns" else answers[-1:]) if example.messages[n].get(LEARN, True)]
    spans, floor = [], 0
    for place in answers:
        start, end = _span(example, tokenizer, messages, place, whole, floor)
        floor = end
        if place in wanted:
            is_cut = example.is_cut and place == answers[-1]
            own = _end_of_words(messages[place], whole, start, end) if is_cut else _end_of_turn(tokenizer, whole, start, end)
            spans.append((start, own))
    return Rendered(text=whole, spans=tuple(spans), ends_itself=example.is_cut or _ends_itself(tokenizer, whole))


def opened_when_asked(example: Example, tokenizer: Any) -> str:
    """What the template writes before an answer when it asks for one, and not before a finished answer, such as an opened thought."""
    messages = [dict(message) for message in example.messages]
    asked, whole = _apply(example, tokenizer, messages[:-1], generation=True), _apply(example, tokenizer, messages)
    same = len(os.path.commonprefix([asked, whole]))
    return asked[same:]


def _end_of_turn(tokenizer: Any, whole: str, start: int, end: int) -> int:
    """The answer's end with the token that closes its turn; a line break that the template writes behind that token is not the answer's."""
    shown = whole[start:end].rstrip()
    return start + len(shown) if any(shown.endswith(mark) for mark in _closings(tokenizer)) else end


def _heed_marks(example: Example, loss_on: LossOn) -> None:
    """Refuse a conversation whose marks leave nothing to learn, or that would be learnt whole in spite of them."""
    marked = [place for place, message in enumerate(example.messages) if not message.get(LEARN, True)]
    answers = [place for place, message in enumerate(example.messages) if message["role"] == "assistant"]
    wanted = answers[-1:] if loss_on == "last" else answers
    # A mark on what is not learnt anyway (a user's turn) says nothing.
    if loss_on == "all" and set(marked) & set(answers):
        what, mend = (
            "marks turns as not learnt, and `loss_on: all` learns all",
            "Set `loss_on: assistant_turns`, or remove the marks.",
        )
    elif answers and set(wanted) <= set(marked):
        what = f"marks as not learnt all that `loss_on: {loss_on}` would learn"
        mend = "Set `loss_on: assistant_turns`, or leave the conversation out."
    else:
        return
    raise InputError(f"example {example.item_id} {what}", where="data", mend=mend)


def _end_of_words(message: Mapping[str, Any], whole: str, start: int, end: int) -> int:
    """Where a cut answer's own words end: what closes a turn would teach the student to stop there."""
    words = words_of(message).strip()
    place = whole.rfind(words, start, end)
    return place + len(words) if words and place >= 0 else end


def _span(example: Example, tokenizer: Any, messages: Sequence[Mapping[str, Any]], place: int, whole: str, floor: int) -> tuple[int, int]:
    """Characters of one answer with the tokens that close it."""
    if not place:
        # An empty conversation can be asked of no template.
        return _searched(example, tokenizer, messages, place, whole, floor)
    is_last = place == len(messages) - 1
    before = _apply(example, tokenizer, messages[:place], generation=True)
    upto = whole if is_last else _apply(example, tokenizer, messages[: place + 1])
    end = len(upto) if whole.startswith(upto) else None
    if whole.startswith(before) and end is not None and len(before) >= floor:
        _whole_answer(example, messages[place], whole[len(before) : end], place)
        return len(before), end
    return _searched(example, tokenizer, messages, place, whole, floor)


def _searched(
    example: Example, tokenizer: Any, messages: Sequence[Mapping[str, Any]], place: int, whole: str, floor: int
) -> tuple[int, int]:
    content = words_of(messages[place])
    start = whole.find(content, floor) if content else -1
    if start < 0:
        raise InputError(
            f"the chat template leaves out part of the answer in message {place + 1} of example {example.item_id}",
            where="data",
            mend="Cut what the template drops (often reasoning between <think> marks) from the data, or use a template that keeps it.",
        )
    _whole_answer(example, messages[place], whole[start : start + len(content)], place)
    end = start + len(content)
    for closing in _closings(tokenizer):
        if whole.startswith(closing, end):
            end += len(closing)
            break
    return start, end


def _whole_answer(example: Example, message: Mapping[str, Any], rendered: str, place: int) -> None:
    lacking = [part for part in _parts(message) if part.strip() and part.strip() not in rendered]
    if lacking:
        raise InputError(
            f"the chat template leaves out part of the answer in message {place + 1} of example {example.item_id}: "
            f"{lacking[0].strip()[:60]!r} is not in the text",
            where="data",
            mend="Cut what the template drops (often reasoning or tool calls) from the data, or use a template that keeps it.",
        )


def _parts(message: Mapping[str, Any]) -> list[str]:
    """What an answer holds that must reach the text: content, reasoning, names of the called tools."""
    parts = texts_of(message)
    parts += [str(message[key]) for key in ("reasoning_content", "reasoning", "thinking", "refusal") if message.get(key)]
    old = message.get("function_call")
    for call in (*(message.get("tool_calls") or ()), *([old] if old else [])):
        function = call.get("function", call) if isinstance(call, Mapping) else {}
        parts.append(str(function.get("name", "")))
    return parts


def _apply(example: Example, tokenizer: Any, messages: Sequence[Mapping[str, Any]], *, generation: bool = False) -> str:
    options: dict[str, Any] = {"tools": [dict(tool) for tool in example.tools]} if example.tools else {}
    try:
        return chat_text(tokenizer, list(messages), where="data", add_generation_prompt=generation, **options)
    except InputError as error:
        raise _refused(example, error.faults[0].what) from error


def _refused(example: Example, why: str) -> InputError:
    roles = ", ".join(dict.fromkeys(str(message["role"]) for message in example.messages))
    return InputError(
        f"the chat template refuses example {example.item_id} (roles {roles}): {why}",
        where="data",
        mend="Remove that role from the conversation, or put its words into the first user message.",
    )


def _closings(tokenizer: Any) -> list[str]:
    marks = {str(mark) for mark in tokenizer.get_added_vocab()} | {str(tokenizer.eos_token or "")}
    return sorted((mark for mark in marks if mark), key=len, reverse=True)


def _ends_itself(tokenizer: Any, text: str) -> bool:
    shown = text.rstrip()
    return any(shown.endswith(mark) for mark in _closings(tokenizer))
