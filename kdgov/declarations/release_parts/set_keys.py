"""Keys of a release that were set on the command line: ``--set distillation.steps=50``, checked as if they stood in the file."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kdgov.errors import DeclarationError, Fault, InputError
from kdgov.safe_parse import yaml_value

_PART = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


def parse_settings(given: Iterable[str]) -> dict[str, Any]:
    """``KEY=VALUE`` texts as key → value; values are YAML.

    >>> parse_settings(["distillation.steps=50", "evaluation.device=cuda"])
    {'distillation.steps': 50, 'evaluation.device': 'cuda'}

    Raises:
        DeclarationError: naming every text that is none, or sets a key twice.
    """
    found: dict[str, Any] = {}
    faults = []
    for text in given:
        key, sign, value = text.partition("=")
        key = key.strip()
        if not sign or not key or "".join(m.group(0) for m in _PART.finditer(key)) != key:
            faults.append(_fault(f"--set {text}", "is no KEY=VALUE", "Write `--set distillation.steps=50`."))
        elif key in found:
            faults.append(_fault(f"--set {key}", "is given twice", "Keep one of the two."))
        else:
            try:
                found[key] = yaml_value(value, file=f"--set {key}")
            except InputError as error:
                faults.append(_fault(f"--set {key}", error.what, "Quote the value as YAML would have it."))
    if faults:
        raise DeclarationError(faults)
    return found


def with_settings(document: Any, settings: Mapping[str, Any]) -> Any:
    """The document with every key set; mappings on the way are made, list entries must be there.

    Raises:
        DeclarationError: naming every key that leads through something that holds no keys.
    """
    changed = copy.deepcopy(document)
    faults = []
    for key, value in settings.items():
        parts = [m.group(1) if m.group(1) is not None else int(m.group(2)) for m in _PART.finditer(key)]
        if (what := _put(changed, parts, value)) is not None:
            faults.append(_fault(f"--set {key}", what, "Name a key as the release file nests it, such as `distillation.terms[0].weight`."))
    if faults:
        raise DeclarationError(faults)
    return changed


def _put(place: Any, parts: Sequence[str | int], value: Any) -> str | None:
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        if isinstance(part, int):
            if not isinstance(place, list) or part >= len(place):
                return f"there is no entry [{part}]"
        elif not isinstance(place, dict):
            return f"{part!r} lies in something that holds no keys"
        if is_last:
            place[part] = value  # type: ignore[index]
        elif isinstance(part, int):
            place = place[part]
        else:
            if place.get(part) is None:
                # A section that is absent, or written as null, is begun.
                place[part] = {}
            place = place[part]
    return None


def _fault(key: str, what: str, mend: str) -> Fault:
    return Fault(file="command line", key=key, what=what, mend=mend)
