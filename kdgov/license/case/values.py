"""Single values of a declared case: text, flags, words, numbers, days, each fault noted with its key and line."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from kdgov.errors import Fault
from kdgov.license.catalogue.expression import joined_by_and


class Reader:
    """Collects faults while values are read; the one place that knows keys and their lines."""

    def __init__(self, file: str, lines: Mapping[tuple[str | int, ...], int]) -> None:
        self.file = file
        self.lines = lines
        self.faults: list[Fault] = []
        self.upstreams = 0

    def fault(self, at: Sequence[str | int], what: str, mend: str) -> None:
        """Note one fault at a key."""
        line = next((self.lines[tuple(at[:n])] for n in range(len(at), -1, -1) if tuple(at[:n]) in self.lines), 0)
        self.faults.append(Fault(file=self.file, key=dotted(at), line=line, what=what, mend=mend))

    def mapping(self, value: Any, at: Sequence[str | int], keys: Sequence[str]) -> Mapping[str, Any]:
        """A mapping of known keys; anything else is a fault and reads as empty."""
        if not isinstance(value, Mapping):
            self.fault(
                at, f"holds {kind_of(value)}, not a mapping of keys", f"Write one `key: value` per line; known keys: {', '.join(keys)}."
            )
            return {}
        for key in value:
            if key not in keys:
                near = difflib.get_close_matches(str(key), keys, n=1, cutoff=0.5)
                self.fault(
                    (*at, str(key)), "is not a known key", f"Did you mean `{near[0]}`?" if near else f"Known keys here: {', '.join(keys)}."
                )
        return value

    def text(self, value: Any, at: Sequence[str | int]) -> str:
        """Text; a number or a list is a fault."""
        if value is None:
            return ""
        if isinstance(value, str):
            return value.strip()
        self.fault(at, f"{value!r} is {kind_of(value)}, not text", "Write it as text, in quotes where YAML would read it otherwise.")
        return ""

    def licence(self, value: Any, at: Sequence[str | int]) -> str:
        """A licence expression; a list of licences is their AND."""
        if not isinstance(value, list):
            return self.text(value, at)
        for index, item in enumerate(value):
            if not isinstance(item, str):
                self.fault((*at, index), f"{item!r} is {kind_of(item)}, not text", "Write each licence as text.")
        return joined_by_and(item for item in value if isinstance(item, str))

    def flag(self, value: Any, at: Sequence[str | int], default: bool | None) -> Any:
        """True or false, or the default where absent."""
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        self.fault(at, f"{value!r} is {kind_of(value)}, not true or false", "Write true or false.")
        return default

    def word(self, value: Any, at: Sequence[str | int], words: Sequence[str], default: str) -> Any:
        """One of a closed set of words."""
        if value is None:
            return default
        if isinstance(value, str) and value in words:
            return value
        near = difflib.get_close_matches(str(value), words, n=1, cutoff=0.5)
        hint = f"Did you mean `{near[0]}`? " if near else ""
        self.fault(at, f"{value!r} is not one of the allowed values", f"{hint}Write one of {', '.join(words)}.")
        return default

    def number(self, value: Any, at: Sequence[str | int]) -> float | None:
        """A finite number, not negative."""
        if value is None:
            return None
        if isinstance(value, str):
            # YAML 1.1 reads 3.0e8 as text: it wants a sign in the exponent.
            try:
                value = float(value.replace("_", ""))
            except ValueError:
                value = math.nan
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            self.fault(at, f"{value!r} is not a number of at least 0", "Write a number such as 350000000.")
            return None
        return float(value)

    def day(self, value: Any, at: Sequence[str | int]) -> date | None:
        """A day, ISO 8601."""
        if value is None:
            return None
        if isinstance(value, datetime):
            return value.date()
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fault(at, f"{value!r} is not a date", "Write a day such as 2027-01-01.")
            return None


def dotted(at: Sequence[str | int]) -> str:
    """``("uses", 2, "license")`` → ``uses[2].license``."""
    text = ""
    for part in at:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text


def kind_of(value: Any) -> str:
    """What a parsed value is, in words."""
    names: dict[type, str] = {
        bool: "a true/false value",
        int: "a whole number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a mapping",
    }
    return "nothing" if value is None else names.get(type(value), f"a {type(value).__name__}")
