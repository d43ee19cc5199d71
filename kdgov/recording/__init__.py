"""What is written into MLflow: runs, the registered version with its card, tags, charts; and how it is fetched, verified, loaded.

The names below load MLflow only when they are used, so that steps can look at receipts without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdgov.recording.client.fetch_bundle import fetch_bundle
    from kdgov.recording.promotion import promote, revoke, rollback
    from kdgov.recording.release_recording import record_release
    from kdgov.recording.verified_loading import load_model
    from kdgov.recording.verify import verify_version

__all__ = ["fetch_bundle", "load_model", "promote", "record_release", "revoke", "rollback", "verify_version"]

_MODULES = {
    "fetch_bundle": "client.fetch_bundle",
    "load_model": "verified_loading",
    "promote": "promotion",
    "record_release": "release_recording",
    "revoke": "promotion",
    "rollback": "promotion",
    "verify_version": "verify",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
