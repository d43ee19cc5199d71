"""Hosts that the suites of a release may reach: a suite that somebody else wrote names the addresses its judges ask.

What a release names itself (a teacher's endpoint, the judge of its production inputs) is its author's own word. What a suite names beside
it is asked only where the release lists the host under ``allowed_hosts``; a judge on this very machine that takes no key needs no leave.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator

from kdgov.declarations.suite import find_suite, load_suite
from kdgov.errors import InputError


def host_name(text: str) -> str:
    """A host, or host and port, in lower case.

    Raises:
        ValueError: if it is none.
    """
    try:
        parts = urlsplit(f"//{text}")
        is_host = parts.hostname is not None and (parts.port is None or parts.port > 0) and parts.netloc == text and parts.username is None
    except ValueError:
        is_host = False
    if not is_host or any(c.isspace() or c in "*/@" for c in text):
        raise ValueError(f"{text!r} is not a host\nWrite api.acme.com, or host:port.")
    return text.lower()


HostName = Annotated[str, AfterValidator(host_name)]
"""A host, with or without its port."""


def refuse_unlisted_hosts(suites: Sequence[str], *, beside: Any, allowed: Sequence[str], declared: Mapping[str, Any], mend: str) -> None:
    """Refuse suites whose judges ask hosts that nobody listed.

    Args:
        suites: names or folders.
        beside: file that names them.
        allowed: hosts that are listed, with or without a port.
        declared: the release, whose own addresses count.
        mend: where to list a host; ``HOST`` stands for it.

    Raises:
        InputError: naming suite, judge and host.
    """
    own = {_place(address) for address, _ in _addresses(declared)}
    for name in suites:
        file = find_suite(name, beside=beside)
        for judge, said in load_suite(file).judges.items():
            for address, has_key in _addresses(said.model_dump()):
                host, port = _place(address)
                is_listed = host in allowed or f"{host}:{port}" in allowed or (host, port) in own
                if not is_listed and (has_key or not _is_here(host)):
                    what = f"judges.{judge}: asks {host}:{port}, which is not among the allowed hosts"
                    raise InputError(what, where=str(file), mend=mend.replace("HOST", host))


def _addresses(document: Any, has_key: bool = False) -> Iterator[tuple[str, bool]]:
    """Every http(s) address, and whether a key is named beside it."""
    if isinstance(document, Mapping):
        keyed = has_key or any(bool(document.get(name)) for name in ("key_variable", "api_key_variable"))
        for value in document.values():
            yield from _addresses(value, keyed)
    elif isinstance(document, (list, tuple)):
        for value in document:
            yield from _addresses(value, has_key)
    elif isinstance(document, str) and document.lower().startswith(("http://", "https://")):
        yield document, has_key


def _place(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address.split()[0])
        return (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "", 0


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
