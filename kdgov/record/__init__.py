"""What is written into MLflow: runs, the registered version with its card, tags, charts; and how it is fetched, verified, loaded.

The names below load MLflow only when they are used, so that steps can look at receipts without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdgov.record.fetch import fetch_bundle
    from kdgov.record.loading import load_model
    from kdgov.record.promotion import promote, revoke, rollback
    from kdgov.record.release import record_release
    from kdgov.record.verify import verify_version

__all__ = ["fetch_bundle", "load_model", "promote", "record_release", "revoke", "rollback", "verify_version"]

_MODULES = {
    "fetch_bundle": "fetch",
    "load_model": "loading",
    "promote": "promotion",
    "record_release": "release",
    "revoke": "promotion",
    "rollback": "promotion",
    "verify_version": "verify",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
