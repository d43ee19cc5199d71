"""One turn of a conversation in the forms people keep it in, brought into the one that chat templates read: role, content, tool calls.

What a template would silently write as something else (a number, an object, a picture, nothing at all) is refused.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from kdgov.distillation.data.turn_marks import LEARN, MARKS, foreign_part, is_learnt
from kdgov.safe_parse import KEEP_ONE, RepeatedKeyError, unique_object

_USUAL = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "model": "assistant", "chatgpt": "assistant",
    "bot": "assistant", "bing": "assistant", "bard": "assistant", "function_call": "assistant",
    "system": "system", "tool": "tool", "function": "tool", "function_response": "tool", "observation": "tool",
}  # fmt: skip
"""Names of roles in the formats of ShareGPT, LLaMA-Factory, Gemini and OpenAI → the role that templates know."""
_NOT_TEXT = ("image", "images", "audio", "audios", "video", "videos")


class RowError(Exception):
    """What is wrong with one line."""

    def __init__(self, what: str, mend: str, *, key: str = "") -> None:
        super().__init__(what)
        self.what, self.mend, self.key = what, mend, key


def message_of(turn: Any, key: str) -> dict[str, Any]:
    """One message.

    Raises:
        RowError: if it has no role, no content, or content that is no text.
    """
    if not isinstance(turn, Mapping):
        raise RowError("holds a message that is not an object", 'Write {"role": ..., "content": ...}.', key=key)
    if "from" in turn and "value" in turn:
        return _of_sharegpt(turn, key)
    if "role" not in turn or not ("content" in turn or turn.get("tool_calls") or turn.get("function_call")):
        raise RowError("has a message without role, or without content and tool calls", 'Write {"role": ..., "content": ...}.', key=key)
    # One string for each name and role, not one a message: of 100,000 conversations they would be a third.
    message = {sys.intern(str(name)): value for name, value in turn.items() if value is not None and name not in MARKS} | _mark(turn, key)
    if not isinstance(message.get("role"), str):
        raise RowError(f"has the role {turn['role']!r}", "Write system, user, assistant or tool.", key=key)
    message["role"] = sys.intern(_USUAL.get(message["role"].strip().lower(), message["role"]))
    if (called := message.pop("function_call", None)) is not None:
        message["tool_calls"] = [*message.get("tool_calls", ()), {"type": "function", "function": called}]
    return _filled(message, key)


def _of_sharegpt(turn: Mapping[str, Any], key: str) -> dict[str, Any]:
    said = str(turn["from"]).strip().lower()
    role = _USUAL.get(said)
    if role is None:
        raise RowError(f"has a turn from {turn['from']!r}", f"Use one of {', '.join(_USUAL)}.", key=key)
    message = {"role": sys.intern(role), **_mark(turn, key)}
    if turn["value"] is not None:
        message["content"] = turn["value"]
    if said == "function_call":
        calls = parsed(str(turn["value"]), key)
        calls = calls if isinstance(calls, list) else [calls]
        message |= {"content": "", "tool_calls": [{"type": "function", "function": call} for call in calls]}
    return _filled(message, key)


def _calls(said: Any, key: str) -> list[Any]:
    calls = parsed(said, key) if isinstance(said, str) else said
    functions = [call.get("function", call) if isinstance(call, Mapping) else call for call in calls] if isinstance(calls, list) else [None]
    if not all(isinstance(one, Mapping) and isinstance(one.get("name"), str) and one["name"] for one in functions):
        mend = 'Write a list of {"type": "function", "function": {"name": ..., "arguments": {...}}}.'
        raise RowError("holds tool calls that are no list, or one without a name", mend, key=key)
    return list(calls)


def _filled(message: dict[str, Any], key: str) -> dict[str, Any]:
    """The message with content in it; refused where that is no text."""
    if foreign := next((name for name in _NOT_TEXT if message.get(name)), None):
        raise RowError(f"holds a message with `{foreign}`", "Keep text alone; images and sounds are not learnt here.", key=key)
    if "content" not in message and message["role"] in ("user", "system", "developer"):
        raise RowError(f"holds a {message['role']} message whose content is null", "Write its words, or remove the message.", key=key)
    message.setdefault("content", "")
    if message.get("tool_calls"):
        message["tool_calls"] = _calls(message["tool_calls"], key)
    if not isinstance(message["content"], (str, list)):
        raise RowError(f"holds a message whose content is {message['content']!r}, no text", "Write a string.", key=key)
    return message


def _mark(turn: Mapping[str, Any], key: str) -> dict[str, bool]:
    try:
        learnt = is_learnt(turn)
    except ValueError as error:
        raise RowError(str(error), "Write `weight: 0` or `train: false` on turns that are not learnt.", key=key) from error
    if kind := foreign_part(turn):
        raise RowError(f"holds a part of a message that is no text ({kind})", "Keep text parts only; images are not learnt here.", key=key)
    return {} if learnt else {LEARN: False}


def parsed(text: str, key: str) -> Any:
    """The JSON value of a cell that holds it as text; raises `RowError`."""
    try:
        return json.loads(text, object_pairs_hook=unique_object)
    except RepeatedKeyError as error:
        raise RowError(f"names {error.key!r} twice in one object", KEEP_ONE, key=key) from error
    except (ValueError, RecursionError) as error:
        raise RowError("is text that is not JSON", "Write a list.", key=key) from error
