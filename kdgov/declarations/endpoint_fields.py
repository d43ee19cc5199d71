"""What a declaration may say of an endpoint: an address without secrets, and the name of a variable that is meant to hold a key.

Whoever writes a suite or a release names both. Any variable at any address would hand out whatever the environment holds.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator

from kdgov.license.case.countries import country_code, place_mend

_KEY_NAME = re.compile(r"^[A-Z][A-Z0-9_]*(_API_KEY|_TOKEN)$")
_OWN = "KDGOV_KEY"
_ADDED = ("/chat/completions", "/completions")
_SECRET_WORDS = re.compile(r"(key|token|secret|passw|passphrase|credential|auth|sig)", re.IGNORECASE)


def key_variable(name: str) -> str:
    """The name, if it is one of a variable meant for an endpoint's key.

    Raises:
        ValueError: otherwise; the message says what to write.
    """
    if name.upper().startswith(_OWN):
        raise ValueError(f"{name!r} names kdgov's own signing keys\nName a variable that holds the endpoint's key, such as ACME_API_KEY.")
    if not _KEY_NAME.match(name):
        raise ValueError(f"{name!r} does not end in _API_KEY or _TOKEN\nPut the endpoint's key into a variable such as ACME_API_KEY.")
    return name


def plain_address(address: str) -> str:
    """The address, if it is http(s) and holds no credentials.

    Raises:
        ValueError: otherwise; the message repeats no part of what may be secret.
    """
    try:
        parts = urlsplit(address)
        # Reading the port finds one that is none.
        has_host, _ = bool(parts.hostname), parts.port
    except ValueError as error:
        raise ValueError("is not an address\nWrite https://host/v1.") from error
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds credentials, which would be kept in the evidence\nPut the key into a variable and name it as key_variable.")
    if any(_SECRET_WORDS.search(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ValueError("holds a key in its query\nPut the key into a variable and name it as key_variable.")
    if parts.scheme not in ("http", "https") or not has_host or any(c.isspace() or not c.isprintable() for c in address):
        raise ValueError("is not an http(s) address\nWrite https://host/v1.")
    path = parts.path.rstrip("/")
    if added := next((end for end in _ADDED if path.endswith(end)), ""):
        raise ValueError(f"ends in {added}, which is added\nWrite {parts.scheme}://{parts.netloc}{path.removesuffix(added)}.")
    return address


def region_code(value: object) -> object:
    """The two-letter code of a country, or ``EU``; anything that is no text is left to pydantic.

    Raises:
        ValueError: if a text stands for no country.
    """
    text = "NO" if value is False else value  # YAML 1.1 reads Norway's code as false
    if not isinstance(text, str) or text.strip().upper() in ("EU", "EEA"):
        return text.strip().upper() if isinstance(text, str) else text
    code = country_code(text)
    if code is None:
        raise ValueError(f"{text!r} is not a country\n{place_mend(text)}")
    return code


KeyVariable = Annotated[str, AfterValidator(key_variable)]
"""Name of an environment variable that holds an endpoint's key."""
PlainAddress = Annotated[str, AfterValidator(plain_address)]
"""Address of an endpoint, without credentials."""
