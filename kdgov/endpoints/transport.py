"""One JSON request over HTTP: bounded in time and size, with the key in a header and nowhere else."""

from __future__ import annotations

import email.utils
import fnmatch
import ipaddress
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.endpoints.faults import EndpointFault, fault_of_status
from kdgov.http_post import without

LARGEST_ANSWER_BYTES = 16 << 20
"""Bytes of one answer that are read."""
HOSTS_VARIABLE = "KDGOV_ENDPOINT_HOSTS"
"""Hosts that may be asked, as comma-separated patterns such as ``*.acme.com,127.0.0.1``; unset: any."""
_SAID_BYTES = 4000
_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")


@dataclass(slots=True)
class HttpTransport:
    """Connections to one endpoint; threads share it."""

    endpoint: Endpoint
    """Who is asked."""
    _client: Any = None

    def __post_init__(self) -> None:
        """Open no connection yet; refuse an address that may not be asked.

        Raises:
            ValueError: saying why.
        """
        refuse_host(self.endpoint)
        # Here, not above: declarations and the gate load without an HTTP client.
        import httpx2  # noqa: PLC0415

        limits = httpx2.Limits(max_connections=self.endpoint.concurrency, max_keepalive_connections=self.endpoint.concurrency)
        # What lies on this machine or its network is reached directly: a proxy of the environment would be handed a key in the clear.
        is_near = is_local(urlsplit(self.endpoint.base_url).hostname or "")
        try:
            direct = httpx2.HTTPTransport(limits=limits) if is_near else None
            self._client = httpx2.Client(follow_redirects=False, timeout=self.endpoint.timeout_s, limits=limits, transport=direct)
        except (ImportError, ValueError, httpx2.InvalidURL) as error:
            said = str(error).split(". ")[0][:200]
            raise ValueError(f"the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names cannot be used ({said})") from None

    def post(self, body: Mapping[str, Any]) -> bytes | EndpointFault:
        """The answer's bytes, in which the key is not repeated; or why there is none."""
        import httpx2  # noqa: PLC0415

        key = _key(self.endpoint)
        # Without compression no small answer can unpack to a large one.
        headers = {"Accept-Encoding": "identity"} | (_authorization(self.endpoint, key) if key else {})
        deadline = time.monotonic() + self.endpoint.timeout_s
        try:
            with self._client.stream("POST", self.endpoint.url, json=body, headers=headers) as answer:
                is_good = 200 <= answer.status_code < 300
                data = _read(answer, deadline, LARGEST_ANSWER_BYTES if is_good else _SAID_BYTES)
        except httpx2.TimeoutException:
            return EndpointFault(kind="timeout")
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.DecodingError) as error:
            return EndpointFault(kind="cut_answer", said=without(key, str(error))[:200])
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return EndpointFault(kind="unreachable", said=without(key, str(error))[:200])
        if isinstance(data, EndpointFault):
            return data if is_good else fault_of_status(answer.status_code, "")
        if not is_good:
            return fault_of_status(answer.status_code, _said(data, key), wait_s=_wait_s(answer.headers.get("Retry-After", "")))
        return data.replace(key.encode(), b"[key]") if key else data

    def close(self) -> None:
        """End all connections."""
        self._client.close()


def _read(answer: Any, deadline: float, most: int) -> bytes | EndpointFault:
    if answer.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        return EndpointFault(kind="no_answer", said="it is compressed, which was not asked for")
    parts: list[bytes] = []
    size = 0
    for part in answer.iter_raw():
        size += len(part)
        if most == _SAID_BYTES and size > most:
            # An error's text is cut; an answer never is.
            return b"".join([*parts, part])[:most]
        if size > most:
            return EndpointFault(kind="too_long", said=f"more than {most >> 20} MiB")
        if time.monotonic() > deadline:
            # A drop now and then would keep every read from timing out.
            return EndpointFault(kind="timeout")
        parts.append(part)
    return b"".join(parts)


def _said(data: bytes, key: str | None) -> str:
    text = data.decode("utf-8", "replace")
    try:
        error = json.loads(text).get("error", {})
        text = str(error.get("message") or text) if isinstance(error, dict) else str(error)
    except (ValueError, AttributeError, RecursionError):
        pass
    return without(key, " ".join(text.split()))[:200]


def _wait_s(value: str) -> float:
    """Seconds of a ``Retry-After`` header: a number, or a date; 0 where it is neither."""
    try:
        seconds = float(value)
        return seconds if 0 <= seconds < float("inf") else 0.0
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _authorization(endpoint: Endpoint, key: str) -> dict[str, str]:
    """The header that carries the key: Azure takes its own keys under another name than tokens (which begin as JSON web tokens do)."""
    is_azure = (urlsplit(endpoint.base_url).hostname or "").endswith(_AZURE)
    return {"api-key": key} if is_azure and not key.startswith("eyJ") else {"Authorization": f"Bearer {key}"}


def _key(endpoint: Endpoint) -> str | None:
    return (os.environ.get(endpoint.key_name) or None) if endpoint.key_name else None


def refuse_host(endpoint: Endpoint) -> None:
    """Nothing, where the address may be asked, with the key if there is one.

    Raises:
        ValueError: saying why not; the key is not repeated.
    """
    parts = urlsplit(endpoint.base_url)
    host, key = parts.hostname or "", _key(endpoint)
    allowed = [p.strip().lower() for p in os.environ.get(HOSTS_VARIABLE, "").split(",") if p.strip()]
    if allowed and not any(fnmatch.fnmatchcase(host.lower(), pattern) for pattern in allowed):
        raise ValueError(f"{host} is not among the hosts of {HOSTS_VARIABLE}")
    if _is_metadata(host):
        raise ValueError(f"{host} is a link-local address, where clouds keep credentials and no model answers")
    if key and (not key.isascii() or not key.isprintable() or key != key.strip()):
        raise ValueError(f"the key in {endpoint.key_name} holds characters that no header may")
    if key and parts.scheme == "http" and not is_local(host):
        raise ValueError(f"the key in {endpoint.key_name} would cross the network unencrypted to {host}: write https")


def is_local(host: str) -> bool:
    """Whether a host is this machine or its own network."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".localhost", ".lan", ".svc"))


def _is_metadata(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return host.lower() in ("metadata.google.internal", "metadata")
