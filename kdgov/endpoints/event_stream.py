"""An answer that comes as a stream of events, joined into the one completion that it would have been."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kdgov.endpoints.faults import EndpointFault, fault_of_status
from kdgov.safe_parse import json_value

_JOINED = ("content", "reasoning_content", "reasoning", "refusal")
_END = "[DONE]"


def is_stream(data: bytes) -> bool:
    """Whether an answer is a stream of server-sent events rather than one JSON value."""
    return data.lstrip().startswith((b"data:", b"event:", b": ", b":\n", b"id:"))


def joined(data: bytes, *, where: str) -> bytes | EndpointFault:
    """The completion that a stream adds up to, as JSON; a fault where it ends before its answer does, or tells one.

    Raises:
        InputError: if an event is no JSON.
    """
    whole: dict[str, Any] = {"object": "chat.completion"}
    choice: dict[str, Any] = {"index": 0, "finish_reason": None}
    message: dict[str, Any] = {"role": "assistant"}
    ended = False
    for text in _events(data):
        if text == _END:
            ended = True
            break
        event = json_value(text.encode(), where=where, may_repeat=True)
        if not isinstance(event, Mapping):
            return EndpointFault(kind="no_answer", said="an event of its stream is no object")
        if event.get("error") and not event.get("choices"):
            error = event["error"]
            return fault_of_status(502, str(error.get("message") if isinstance(error, Mapping) else error)[:200])
        whole |= {key: value for key, value in event.items() if key not in ("choices", "object") and value is not None}
        for part in event.get("choices") or ():
            if part.get("index", 0) == 0:
                _join(part, choice, message)
    if not ended and choice["finish_reason"] is None:
        return EndpointFault(kind="cut_answer", said="its stream ends before the answer does")
    if "text" not in choice:
        choice["message"] = message
    return json.dumps({**whole, "choices": [choice]}, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _events(data: bytes) -> Iterator[str]:
    for event in data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n\n"):
        lines = [line[5:].removeprefix(" ") for line in event.split("\n") if line.startswith("data:")]
        if lines:
            yield "\n".join(lines).strip()


def _join(part: Mapping[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> None:
    if part.get("finish_reason") is not None:
        choice["finish_reason"] = part["finish_reason"]
    if isinstance(part.get("text"), str):
        choice["text"] = choice.get("text", "") + part["text"]
    said = part.get("delta") or part.get("message") or {}
    for key in _JOINED:
        if isinstance(said.get(key), str):
            message[key] = message.get(key, "") + said[key]
    for call in said.get("tool_calls") or ():
        _join_call(call, message.setdefault("tool_calls", []))


def _join_call(call: Mapping[str, Any], calls: list[dict[str, Any]]) -> None:
    place = int(call.get("index", len(calls)))
    while len(calls) <= place:
        calls.append({"type": "function", "function": {"name": "", "arguments": ""}})
    function = call.get("function") or {}
    for key in ("name", "arguments"):
        calls[place]["function"][key] += str(function.get(key) or "")
    if call.get("id"):
        calls[place]["id"] = call["id"]
