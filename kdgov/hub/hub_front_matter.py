"""Front matter of a Hub card: the YAML between its first two ``---`` lines, and its values as lists of names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kdgov.declarations.load import parse_yaml
from kdgov.errors import InputError


def front_matter(readme: Path) -> dict[str, Any]:
    """The YAML between the first two ``---`` lines of a Hub card; empty where there is none.

    Raises:
        InputError: if it is not UTF-8 or not YAML.
    """
    matter, _ = split_card(readme)
    value, _ = parse_yaml(matter, file=str(readme)) if matter else ({}, {})
    return value if isinstance(value, dict) else {}


def split_card(readme: Path) -> tuple[str, str]:
    """Front matter and body of a card, as text; the first is empty where it has none.

    Raises:
        InputError: if it is not UTF-8.
    """
    try:
        text = readme.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", where=str(readme), mend="Save the file as UTF-8.") from error
    lines = text.splitlines(keepends=True)
    if not lines or lines[0].strip() != "---":
        return "", text
    end = next((n for n, line in enumerate(lines[1:], 1) if line.strip() == "---"), None)
    if end is None:
        return "", text
    return "".join(lines[1:end]), "".join(lines[end + 1 :])


def card_language(value: Any) -> str:
    """A language code; YAML 1.1 reads the one of Norwegian as false."""
    return "no" if value is False else str(value)


def names_of(value: Any) -> list[str]:
    """One name or a list of names as a list; an entry that is a mapping is taken by its name or id.

    Cards until 2022 gave some keys by configuration, ``{default: [en]}``: the names of all of them, each once.
    """
    if value is None:
        return []
    if isinstance(value, dict) and value and not set(value) & set(_NAMES) and all(isinstance(item, (list, str)) for item in value.values()):
        return list(dict.fromkeys(name for item in value.values() for name in names_of(item)))
    items = value if isinstance(value, list) else [value]
    return [_name(item) for item in items if item is not None]


_NAMES = ("name", "id", "repo_id")


def _name(item: Any) -> str:
    if isinstance(item, dict):
        return str(next((item[key] for key in _NAMES if key in item), item))
    return str(item)
