"""One JSON request to an endpoint, with the key in a header and nowhere else: no redirect takes it along, no error repeats it."""

from __future__ import annotations

import http.client
import json
import urllib.request
from typing import IO, Any

LARGEST_ANSWER_BYTES = 64 << 20
"""Bytes of an answer that are read."""


class _Stay(urllib.request.HTTPRedirectHandler):
    """An endpoint that sends elsewhere would be sent the key there."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> None:
        """Never."""


_OPENER = urllib.request.build_opener(_Stay)


def post_json(url: str, body: Any, *, key: str | None, timeout_s: float) -> bytes:
    """The answer to a JSON body.

    Args:
        url: where; http or https.
        body: what is sent.
        key: sent as a bearer token, if any.
        timeout_s: seconds to wait.

    Raises:
        urllib.error.HTTPError: if the endpoint refuses, or sends elsewhere.
        OSError: if it cannot be reached.
        ValueError: if it is not an http(s) address, the key cannot be sent, or the answer is longer than `LARGEST_ANSWER_BYTES`.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError("it is not an http(s) address")
    headers = {"Content-Type": "application/json"}
    if key:
        if not key.isascii() or not key.isprintable():
            # http.client would repeat the key in its own message.
            raise ValueError("the key holds characters that no header may")
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers, method="POST")
    with _OPENER.open(request, timeout=timeout_s) as answer:
        data: bytes = answer.read(LARGEST_ANSWER_BYTES + 1)
    if len(data) > LARGEST_ANSWER_BYTES:
        raise ValueError(f"the answer is longer than {LARGEST_ANSWER_BYTES >> 20} MiB")
    return data


def without(secret: str | None, text: str) -> str:
    """Text in which a secret is not repeated, should the endpoint have echoed it."""
    return text.replace(secret, "[key]") if secret else text
