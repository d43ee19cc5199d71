"""The losses of a run on disk as they come: one JSON line per step and per measurement on held-out examples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LOSS_LINES = "losses.jsonl"


class LossLog:
    """A file of JSON lines that always ends in a whole line.

    Args:
        file: where it lies; None writes nothing, as in all processes but the first.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def restart(self, steps: Sequence[Mapping[str, Any]], held_out: Sequence[Mapping[str, Any]]) -> None:
        """Begin anew with what a resumed run already knows: lines of steps that are taken again are gone."""
        if self._file is None:
            return
        self._file.write_text("", encoding="utf-8")
        measured = {int(row["step"]): row for row in held_out}
        for row in steps:
            self.add(row)
            if int(row["step"]) in measured:
                self.add({"held_out": measured[int(row["step"])]})

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one line; it is on its way to the disk when this returns."""
        if self._file is None:
            return
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")
