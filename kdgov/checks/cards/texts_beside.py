"""Licence texts that lie beside weights or data, and the licences they name: what they say joins the lineage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kdgov.license.catalogue.facts import Facts, facts
from kdgov.license.catalogue.text_recognition import identify, normalised

_LICENSE = re.compile(r"^(licen[cs]e|copying|model[-_ ]?licen[cs]e|terms)", re.IGNORECASE)
_FURTHER = re.compile(
    r"^(notice|.*use[-_ ]?policy|.*acceptable[-_ ]?use|.*prohibited[-_ ]?use|third[-_ ]?party|attribution)", re.IGNORECASE
)
_SUFFIXES = frozenset({"", ".txt", ".md", ".rst", ".html", ".model", ".weights", ".code"})
_MOST_BYTES = 1 << 20
_UNDER = re.compile(r"licen[cs]ed under\s+(?:the\s+)?(?:terms of\s+)?(?:the\s+)?", re.IGNORECASE)
_MOST_WORDS = 10
_POLICY = re.compile(r"^[#\s*]*(?P<name>[\w. +-]{3,60}?)\s+(?:acceptable|prohibited) use policy", re.IGNORECASE | re.MULTILINE)


def license_texts(folder: Path, link: str | None = None) -> list[Path]:
    """Files that hold a licence's text: what ``license_link`` names first, then LICENSE*, COPYING*."""
    found = [path for path in _texts(folder) if _LICENSE.match(path.name)]
    linked = _linked(folder, link)
    return list(dict.fromkeys([*([linked] if linked else []), *sorted(found, key=lambda path: (len(path.name), path.name))]))


def further_texts(folder: Path) -> list[Path]:
    """Files that speak of licences without being one: NOTICE*, USE_POLICY* and their kin."""
    return sorted(path for path in _texts(folder) if _FURTHER.match(path.name))


def _texts(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.suffix.lower() in _SUFFIXES and path.is_file() and path.stat().st_size <= _MOST_BYTES:
            yield path


def _linked(folder: Path, link: str | None) -> Path | None:
    """The file beside that a link means: its own name, or the last part of an address within the same repository."""
    if not link:
        return None
    name = link.split("?")[0].split("#")[0].rstrip("/").rpartition("/")[2] if "://" in link else link
    path = folder / name
    return path if name and path.is_file() and path.resolve().is_relative_to(_root(folder)) else None


def _root(folder: Path) -> Path:
    # Files of a cache snapshot are links into its store of blobs, two folders up.
    resolved = folder.resolve()
    return resolved.parents[1] if resolved.parent.name == "snapshots" else resolved


def named_licenses(text: str, known: Facts | None = None) -> list[str]:
    """Ids of the licences a text is or names: the text itself, the notices that licences prescribe, "licensed under the …"."""
    known = known or facts()
    words = normalised(text)
    found = [identify(text, known).license]
    found += [entry.id for entry in known.licenses.values() if any(notice in words for notice in _notices(entry.id, known))]
    found += [_longest_name(text[match.end() :][:200], known) for match in _UNDER.finditer(text)]
    found += [_longest_name(match["name"], known) for match in _POLICY.finditer(text)]
    return _one_per_edition([name for name in dict.fromkeys(found) if name], known)


def _longest_name(text: str, known: Facts) -> str | None:
    """The licence or family that the first words of a text name, taking as many words as name one."""
    words = text.split()
    for count in range(min(_MOST_WORDS, len(words)), 0, -1):
        name = " ".join(words[:count]).strip(" ,.;:()\"'“”*")
        if entry := known.find(name):
            return entry.id
        if (family := known.family(name)) is not None and count > 1:
            return family
    return None


def _one_per_edition(names: list[str], known: Facts) -> list[str]:
    editions: dict[str, str] = {}
    for name in names:
        edition = known.licenses[name].edition_of if name in known.licenses else ""
        editions.setdefault(edition or name, name)
    return list(editions.values())


def _notices(name: str, known: Facts) -> list[str]:
    entry = known.licenses[name]
    sentences = {duty.value for rule in (*entry.bars, *entry.rules) for duty in rule.duties if duty.kind == "NOTICE" and duty.value}
    return [plain for sentence in sentences for part in sentence.split("|") if len((plain := normalised(part)).split()) >= 6]
