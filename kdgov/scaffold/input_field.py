"""Under which key the logged inputs of a file stand, read off its first rows: nobody's log was written for kdgov."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdgov.checks.scan.logged_inputs import text_at
from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.declarations.release_parts.production_inputs import ProductionInputs
from kdgov.errors import InputError

_USUAL = (
    "input", "prompt", "messages", "question", "query", "text", "instruction", "request", "user_message", "user_input", "conversations",
    "conversation", "message", "content", "user", "body.messages", "request.messages", "request.body.messages",
)  # fmt: skip
"""Keys under which logs keep what was asked, the surest first; batch files of a provider keep it below ``body``."""
_ROWS = 50


def input_field(path: Path) -> dict[str, str]:
    """``{"field": KEY}`` for `production_inputs`; nothing where the key is the usual one, or the file is plain text.

    Raises:
        InputError: if no usual key, and no single other one, holds a text in each of the first rows.
    """
    rows = [row.value for row in itertools.islice(read_rows(path, Tally()), _ROWS)] if path.is_file() else []
    records = [row for row in rows if isinstance(row, Mapping)]
    if not records or len(records) < len(rows):
        return {}
    found = next((name for name in _USUAL if _holds(records, name)), None) or _only_text(records)
    if found is None:
        keys = ", ".join(sorted({str(key) for row in records for key in row})[:12])
        raise InputError(
            f"no key holds what was asked in every row (its keys are {keys})",
            where=str(path),
            mend="Name it: --input-field KEY (dots reach into nested records).",
        )
    return {} if found == ProductionInputs.model_fields["field"].default else {"field": found}


def _holds(rows: list[Mapping[str, Any]], name: str) -> bool:
    return all((text_at(row, name) or "").strip() for row in rows)


def _only_text(rows: list[Mapping[str, Any]]) -> str | None:
    names = [str(name) for name in rows[0] if all(isinstance(row.get(name), str) and row[name].strip() for row in rows)]
    # An id or a day is a text too; what was asked has words.
    worded = [name for name in names if any(len(row[name].split()) > 1 for row in rows)]
    return worded[0] if len(worded) == 1 else None
