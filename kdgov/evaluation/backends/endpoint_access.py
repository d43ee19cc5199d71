"""How lm-eval's client reaches a completions endpoint: with which key, how patiently, and without drawing bars."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable
from typing import Any

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.endpoints.transport import HOSTS_VARIABLE, refuse_host
from kdgov.errors import InputError


def patience(endpoint: Endpoint) -> dict[str, int]:
    """What somebody wrote of it; lm-eval's own numbers otherwise."""
    said = {"max_retries": ("retries", endpoint.retries + 1), "timeout": ("timeout_s", math.ceil(endpoint.timeout_s))}
    return {name: value for name, (key, value) in said.items() if key in endpoint.model_fields_set}


def header(endpoint: Endpoint) -> dict[str, str]:
    """What every request carries: the key of the variable that the endpoint names, and no other.

    Raises:
        InputError: if the address may not be asked.
    """
    try:
        refuse_host(endpoint)
    except ValueError as error:
        raise InputError(str(error), where=endpoint.address, mend=f"Correct the address, or {HOSTS_VARIABLE}.") from error
    key = os.environ.get(endpoint.key_name, "") if endpoint.key_name else ""
    return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})


async def gathered(*tasks: Awaitable[Any], desc: str) -> list[Any]:
    """Everything that is under way, in order, without a bar."""
    del desc
    return await asyncio.gather(*tasks)
