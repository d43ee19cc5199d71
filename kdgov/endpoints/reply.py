"""One answer of an endpoint, read from whatever shape of completion it came in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.digest import digest_json, is_finite_json
from kdgov.endpoints.event_stream import is_stream, joined
from kdgov.endpoints.faults import EndpointFault, fault_of_status
from kdgov.errors import InputError
from kdgov.safe_parse import json_value

_BYTES_PER_TOKEN = 3
WITHHELD = "content_filter"
"""`finish_reason` of an answer that a filter of the endpoint withheld, wholly or from some word on."""
_DATED = re.compile(r"[-@:](v?\d{3,}[\d-]*|v\d+|latest|main|[0-9a-f]{7,40})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer."""

    text: str
    """What was said; empty where nothing was."""
    reasoning: str
    """Thoughts that came apart from the answer (``reasoning_content`` or ``reasoning``)."""
    tool_calls: tuple[Mapping[str, str], ...]
    """Calls of tools: ``name`` and ``arguments`` as the model wrote them."""
    model: str
    """Name under which it answered; empty where it did not say."""
    fingerprint: str
    """Its ``system_fingerprint``; empty where it did not say."""
    finish_reason: str
    """Why it stopped: ``stop``, ``length``, ``content_filter`` …"""
    input_tokens: int
    """Tokens read."""
    output_tokens: int
    """Tokens written, thoughts included."""
    is_counted: bool
    """Whether the endpoint counted them; otherwise they are estimated from bytes."""
    usd: float
    """What it cost; 0 without a declared price."""
    tries: int
    """Requests it took."""
    raw: Mapping[str, Any]
    """The whole answer as it came."""

    @property
    def digest(self) -> str:
        """Digest of the answer as it came."""
        return digest_json(self.raw)


def estimated_tokens(text: str) -> int:
    """Tokens that a text may have at most, for planning: a third of its bytes; real text has about a quarter."""
    return len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN + 1


def read_reply(data: bytes, endpoint: Endpoint, *, asked_bytes: int, tries: int) -> Reply | EndpointFault:
    """The answer, or why what came is none."""
    try:
        whole = joined(data, where=endpoint.address) if is_stream(data) else data
        if isinstance(whole, EndpointFault):
            return whole
        value = json_value(whole, where=endpoint.address, may_repeat=True)
    except (InputError, ValueError, AttributeError, TypeError) as error:
        kind = "cut_answer" if "not JSON" in str(error) else "no_answer"
        return EndpointFault(kind=kind, said=str(getattr(error, "what", error))[:200])  # type: ignore[arg-type]
    if not is_finite_json(value):
        return EndpointFault(kind="no_answer", said="it holds a number that is not finite")
    if isinstance(value, dict) and value.get("error") and not value.get("choices"):
        return _error_in_answer(value["error"])
    try:
        if value["choices"] == []:
            return EndpointFault(kind="cut_answer", said="it holds no choice")
        choice = value["choices"][0]
        said = choice["message"] if endpoint.api == "chat" else {"content": choice["text"]}
        return _reply(value, choice, said, endpoint, asked_bytes, tries)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        return EndpointFault(kind="no_answer", said=f"{type(error).__name__}: {str(error)[:100]}")


def withheld_reply(said: str, status: int, *, tries: int) -> Reply:
    """An empty answer, where the endpoint refuses one prompt by its filter: the same as when it answers with nothing for that reason.

    It names no model, for none answered, and costs nothing.
    """
    raw = {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": None}, "text": "", "finish_reason": WITHHELD}],
        "refused": {"status": status, "message": said},
    }
    return Reply(
        text="", reasoning="", tool_calls=(), model="", fingerprint="", finish_reason=WITHHELD, input_tokens=0, output_tokens=0,
        is_counted=True, usd=0.0, tries=tries, raw=raw,
    )  # fmt: skip


def reply_of(value: Mapping[str, Any], endpoint: Endpoint) -> Reply:
    """An answer that was read before and kept.

    Raises:
        KeyError, IndexError, TypeError, ValueError: if it is none.
    """
    choice = value["choices"][0]
    said = choice["message"] if endpoint.api == "chat" else {"content": choice["text"]}
    return _reply(value, choice, said, endpoint, 0, 1)


def _error_in_answer(error: Any) -> EndpointFault:
    """Some gateways answer 200 and put the failure of the model behind them into the body."""
    said, code = (error.get("message"), error.get("code")) if isinstance(error, dict) else (error, None)
    text = str(code)
    status = int(text) if text in {str(n) for n in range(400, 600)} else 502
    return fault_of_status(status, " ".join(str(said).split())[:200])


def _reply(value: Mapping[str, Any], choice: Mapping[str, Any], said: Any, endpoint: Endpoint, asked_bytes: int, tries: int) -> Reply:
    text, thoughts = _text(said.get("content")) or _text(said.get("refusal")), _text(said.get("reasoning_content") or said.get("reasoning"))
    calls = tuple(_call(c) for c in said.get("tool_calls") or ())
    usage = value.get("usage") or {}
    estimated = [asked_bytes // _BYTES_PER_TOKEN + 1, estimated_tokens(text + thoughts + "".join(c["arguments"] for c in calls))]
    # A count of nothing for a request that was read, or for words that were written, is none: a budget would never be reached.
    least = (1, 1 if text + thoughts or calls else 0)
    counts = zip((usage.get("prompt_tokens"), usage.get("completion_tokens")), least, strict=True)
    given = [n for n, fewest in counts if isinstance(n, int) and not isinstance(n, bool) and n >= fewest]
    is_counted = len(given) == 2  # noqa: PLR2004 - read and written
    read, wrote = given if is_counted else estimated
    price = endpoint.price
    return Reply(
        text=text,
        reasoning=thoughts,
        tool_calls=calls,
        model=str(value.get("model") or ""),
        fingerprint=str(value.get("system_fingerprint") or ""),
        finish_reason=str(choice.get("finish_reason") or ""),
        input_tokens=read,
        output_tokens=wrote,
        is_counted=is_counted,
        usd=0.0 if price is None else (read * price.input + wrote * price.output) / 1e6,
        tries=tries,
        raw=value,
    )


def _text(content: Any) -> str:
    match content:
        case None:
            return ""
        case str():
            return content
        case list():
            return "".join(str(p.get("text") or "") for p in content if isinstance(p, dict))
        case _:
            raise TypeError("content is no text")


def _call(call: Mapping[str, Any]) -> dict[str, str]:
    function = call["function"]
    return {"name": str(function["name"]), "arguments": str(function.get("arguments") or "")}


def is_same_model(asked: str, answered: str, further: list[str]) -> bool:
    """Whether an answered name is the asked one: equal, a dated or versioned form of it, the same without its owner, or listed.

    >>> is_same_model("gpt-4o", "gpt-4o-2024-08-06", []), is_same_model("gpt-4o", "gpt-4o-mini", [])
    (True, False)
    """
    if not answered or answered in further:
        return True
    names = [(asked.lower(), answered.lower())]
    if ("/" in asked) != ("/" in answered):
        names.append((asked.rstrip("/").rpartition("/")[2].lower(), answered.rstrip("/").rpartition("/")[2].lower()))
    return any(a == b or (b.startswith(a) and _DATED.fullmatch(b[len(a) :])) for a, b in names)
