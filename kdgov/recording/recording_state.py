"""What one recording has created so far, on disk, so that a repeated call goes on where a killed one stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdgov.digest import write_atomic


@dataclass(slots=True, kw_only=True)
class RecordingState:
    """What has been created so far."""

    path: Path | None
    """Where it is kept; None: nowhere."""
    known: dict[str, Any] = field(default_factory=dict)
    """Name → identifier."""

    @classmethod
    def read(cls, path: Path | None, key: str) -> RecordingState:
        """What was written down of the recording of this key; empty where the file is absent or of another recording."""
        try:
            known = json.loads(path.read_bytes()) if path is not None else {}
        except (FileNotFoundError, ValueError):
            known = {}
        return cls(path=path, known=known if known.get("key") == key else {"key": key})

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """The remembered value, or a new one, remembered before anything else happens."""
        if name not in self.known:
            self.known[name] = make()
            if self.path is not None:
                write_atomic(self.path, json.dumps(self.known).encode())
        return self.known[name]
