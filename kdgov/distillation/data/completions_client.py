"""Asking an OpenAI-compatible endpoint for one completion, with patience where that helps."""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
from typing import Any

from kdgov.declarations.distillation import Endpoint, TeacherText
from kdgov.errors import InputError, KdgovError, UnavailableError
from kdgov.http_post import post_json, without
from kdgov.safe_parse import json_value

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0
_RETRIED = {408, 409, 425, 429, 500, 502, 503, 504}


def ask(endpoint: Endpoint, prompt: str, term: TeacherText, *, seed: int) -> str:
    """The endpoint's answer to one prompt; an empty text where it answered nothing.

    Raises:
        InputError: if it refuses the request as such (address, key, model name, parameters).
        UnavailableError: if it cannot be reached, or stays overloaded after all retries.
    """
    messages = [{"role": "system", "content": term.system}] if term.system is not None else []
    body = {
        "model": endpoint.model,
        "messages": [*messages, {"role": "user", "content": prompt}],
        "temperature": term.temperature,
        "top_p": term.top_p,
        "max_tokens": term.max_new_tokens,
        "seed": seed,
    }
    pause_s = _FIRST_PAUSE_S
    for attempt in range(endpoint.retries + 1):
        answer, fault, wait_s = _try(endpoint, body)
        if fault is None:
            return _text_of(answer, endpoint)
        if isinstance(fault, InputError) or attempt == endpoint.retries:
            raise fault
        time.sleep(min(max(pause_s, wait_s), _LONGEST_PAUSE_S))
        pause_s *= 2
    raise UnavailableError("was never asked", where=endpoint.base_url)


def _try(endpoint: Endpoint, body: dict[str, Any]) -> tuple[Any, KdgovError | None, float]:
    """Answer, what went wrong, and how long the server asks to wait."""
    key = os.environ.get(endpoint.key_variable)
    url = f"{endpoint.base_url.rstrip('/')}/chat/completions"
    try:
        return json_value(post_json(url, body, key=key, timeout_s=endpoint.timeout_s), where=url), None, 0.0
    except urllib.error.HTTPError as error:
        return None, _refusal(error, endpoint, key), _asked_to_wait_s(error)
    except InputError as error:
        return None, UnavailableError(f"gives no answer: {error.what}", where=url, mend="Start it, or correct `endpoint.base_url`."), 0.0
    except (OSError, http.client.HTTPException, ValueError) as error:
        return None, UnavailableError(f"gives no answer: {error}", where=url, mend="Start it, or correct `endpoint.base_url`."), 0.0


def _refusal(error: urllib.error.HTTPError, endpoint: Endpoint, key: str | None) -> KdgovError:
    said = without(key, error.read(2000).decode("utf-8", "replace")).strip().replace("\n", " ")[:200]
    if 300 <= error.code < 400:
        mend = "Name the address it sends to, if you trust it: no key follows a redirect."
        return InputError(f"sends elsewhere ({error.code})", where=endpoint.base_url, mend=mend)
    if error.code in _RETRIED:
        return UnavailableError(f"answers {error.code}: {said}", where=endpoint.base_url, mend="Try again later: written shards are kept.")
    mend = {
        401: f"Put a valid key into the environment variable {endpoint.key_variable}.",
        403: f"Put a key with access into the environment variable {endpoint.key_variable}.",
        404: "Correct `endpoint.base_url` or `endpoint.model`.",
    }.get(error.code, "Correct the parameters of the teacher_text term.")
    return InputError(f"refuses with {error.code}: {said}", where=endpoint.base_url, mend=mend)


def _asked_to_wait_s(error: urllib.error.HTTPError) -> float:
    try:
        return float(error.headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0


def _text_of(answer: Any, endpoint: Endpoint) -> str:
    try:
        text = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(
            "answers in another shape than chat completions", where=endpoint.base_url, mend="Name an OpenAI-compatible base URL."
        ) from error
    return "" if text is None else str(text)
