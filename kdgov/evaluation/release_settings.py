"""How the models of one release are asked: its ``evaluation:`` section, read for one role."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.release import Release
from kdgov.evaluation.backends.settings import BackendSettings, how_of


def endpoint_roles(release: Release) -> dict[str, Endpoint]:
    """Role → endpoint, for every model of the release that can only be asked."""
    return {"teacher": release.teacher.endpoint} if release.teacher.endpoint is not None else {}


def asks_in_messages(release: Release) -> bool:
    """Whether a model of the release can only be asked, so that every question is put to all of them in messages."""
    return bool(endpoint_roles(release))


def asks_baseline(release: Release) -> bool:
    """Whether the untrained student is asked beside the two: what the distillation brought is the difference to it."""
    return release.distillation is not None and release.teacher.endpoint is not None


def how_for(release: Release, role: str, source: Path | Endpoint) -> BackendSettings:
    """How one role is asked."""
    if isinstance(source, Endpoint):
        return BackendSettings(backend=source.api, endpoint=source)
    return how_of(role)


def cost_line(usage: Mapping[str, Any]) -> str:
    """What an endpoint was asked and what it cost, in one line."""
    about = "" if usage["is_counted"] else "about "
    told = f"{usage['answers']:,} answers, {about}{usage['input_tokens']:,} tokens read and {usage['output_tokens']:,} written"
    return f"{told}, {usage['usd']:.4f} USD" if usage["usd"] else f"{told}, no price declared"
