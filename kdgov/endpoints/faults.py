"""What can go wrong with one request to an endpoint, by name, and the error that a person reads."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.errors import InputError, KdgovError, UnavailableError

FaultKind = Literal[
    "rate_limited",
    "server_error",
    "timeout",
    "unreachable",
    "cut_answer",
    "no_answer",
    "too_long",
    "redirected",
    "refused",
    "wrong_model",
    "over_budget",
    "not_allowed",
]
_NEEDED = ("model", "messages", "prompt")
RETRIED: frozenset[FaultKind] = frozenset({"rate_limited", "server_error", "timeout", "unreachable", "cut_answer"})
"""Faults after which the same request may succeed."""
OF_THE_PROMPT = (400, 413, 422)
"""Statuses by which an endpoint refuses one prompt."""
_FILTERED = (
    "content_filter", "content filter", "content policy", "content_policy", "content management policy", "responsible ai",
    "responsibleai", "safety system", "moderation",
)  # fmt: skip
_TOO_LONG = ("context length", "context window", "maximum context", "too long", "too many tokens")
_BUSY = {408: "timeout", 409: "server_error", 425: "server_error", 429: "rate_limited"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFault:
    """Why one request has no answer."""

    kind: FaultKind
    """Which fault."""
    said: str = ""
    """What the endpoint or the connection said of it; never holds the key."""
    status: int = 0
    """HTTP status; 0 where none came."""
    wait_s: float = 0.0
    """Seconds for which the endpoint asks to be left alone."""

    @property
    def is_filtered(self) -> bool:
        """Whether a filter of the endpoint refused this prompt for its content."""
        said = self.said.lower()
        return self.kind == "refused" and self.status in (*OF_THE_PROMPT, 403) and any(words in said for words in _FILTERED)

    def asks_for(self, key: str) -> bool:
        """Whether a refusal names another key of requests that this endpoint wants."""
        return self.kind == "refused" and self.status in OF_THE_PROMPT and key in self.said

    @property
    def names_the_prompt(self) -> bool:
        """Whether a refusal names the content or the length of this prompt."""
        return self.is_filtered or any(words in self.said.lower() for words in _TOO_LONG)

    @property
    def is_retried(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in RETRIED


class EndpointUnavailableError(UnavailableError):
    """A request that stayed without an answer after all retries; ``fault`` names why."""

    def __init__(self, fault: EndpointFault, what: str, *, where: str, mend: str) -> None:
        super().__init__(what, where=where, mend=mend)
        self.fault = fault


class EndpointRefusedError(InputError):
    """A request that cannot succeed as it is; ``fault`` names why."""

    def __init__(self, fault: EndpointFault, what: str, *, where: str, mend: str) -> None:
        super().__init__(what, where=where, mend=mend)
        self.fault = fault


def fault_of_status(status: int, said: str, *, wait_s: float = 0.0) -> EndpointFault:
    """The fault behind an HTTP status that is no success."""
    if 300 <= status < 400:
        return EndpointFault(kind="redirected", status=status, said=said)
    if (busy := _BUSY.get(status)) is not None:
        return EndpointFault(kind=busy, status=status, said=said, wait_s=wait_s)  # type: ignore[arg-type]
    kind: FaultKind = "server_error" if status >= 500 else "refused"
    return EndpointFault(kind=kind, status=status, said=said, wait_s=wait_s)


def as_error(fault: EndpointFault, endpoint: Endpoint, *, tries: int = 1, sent: Collection[str] = ()) -> KdgovError:
    """The error a person reads: what, where and how to fix it; exit code 3 where a later try may succeed, else 2.

    Args:
        fault: what went wrong.
        endpoint: who was asked.
        tries: how often.
        sent: keys of the request.
    """
    what, mend = _sentence(fault, endpoint)
    if fault.kind == "refused" and fault.status in OF_THE_PROMPT:
        mend = _without_key(fault.said, sent) or mend
    if fault.is_retried:
        again = f" ({tries} tries)" if tries > 1 else ""
        return EndpointUnavailableError(fault, what + again, where=endpoint.address, mend=mend)
    return EndpointRefusedError(fault, what, where=endpoint.address, mend=mend)


def _without_key(said: str, sent: Collection[str]) -> str:
    """What to write where a refusal names a key of the request; empty where it names none."""
    named = [key for key in sorted(sent, key=len, reverse=True) if key not in _NEEDED and re.search(rf"\b{re.escape(key)}\b", said)]
    if "stream" in said and re.search(r"\bstream(ing)?\b", said):
        return "Write `extra_body: {stream: true}` beside the endpoint: answers are then read as they come, and joined."
    if not named:
        return ""
    samples = " It then samples as it likes, and what is asked again shows how much answers vary."
    further = samples if named[0] == "temperature" else ""
    return f"Write `extra_body: {{{named[0]}: null}}` beside the endpoint to leave that key out.{further}"


def _sentence(fault: EndpointFault, endpoint: Endpoint) -> tuple[str, str]:
    said = f": {fault.said}" if fault.said else ""
    resume = "Run the same command again later: answers already received are kept."
    match fault.kind:
        case "rate_limited":
            return f"answers {fault.status}{said}", f"{resume} Or lower `concurrency`, or set `requests_per_minute`."
        case "server_error":
            return f"answers {fault.status}{said}", resume
        case "timeout":
            return f"gives no answer within {endpoint.timeout_s:g} s", f"{resume} Or raise `timeout_s`."
        case "unreachable":
            return f"gives no answer{said}", "Start it, or correct `endpoint.base_url`."
        case "cut_answer":
            return f"cuts its answers short{said}", resume
        case "no_answer":
            return f"answers in another shape than {endpoint.api} completions{said}", "Name an OpenAI-compatible base URL, or set `api`."
        case "too_long":
            return f"sends an answer that is too long{said}", "Lower the length of an answer in the suite or term."
        case "redirected":
            return f"sends elsewhere ({fault.status})", "Name the address it sends to, if you trust it: no key follows a redirect."
        case "wrong_model":
            return (
                f"answers as {fault.said!r} where {endpoint.model!r} was asked",
                "Correct `model`, or list the other name under `answers_as` if it is the right model.",
            )
        case "over_budget":
            return f"would pass budget_usd {fault.said}", "Raise `budget_usd`; answers already received are kept and not paid again."
        case "not_allowed":
            return fault.said, "Correct `base_url` or the variable, or ask whoever set the limit."
        case "refused":
            return f"refuses with {fault.status}{said}", _mend_of(fault.status, endpoint)


def _mend_of(status: int, endpoint: Endpoint) -> str:
    variable = endpoint.key_name or "that `key_variable` names"
    return {
        401: f"Put a valid key into the environment variable {variable}.",
        402: "Its account has no credit left.",
        403: f"Put a key with access into the environment variable {variable}.",
        404: "Correct `endpoint.base_url` or `endpoint.model`.",
    }.get(status, "Correct the request's parameters: generation settings, `extra_body`, or `api`.")
