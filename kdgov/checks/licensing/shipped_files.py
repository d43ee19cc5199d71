"""What ships beside a student: licence texts that are at hand, and which obligations a folder of files meets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path

from kdgov.license.answer import LicenseAnswer
from kdgov.license.case.case import Evidence, LicenseCase, Upstream
from kdgov.license.catalogue.facts import Facts, facts
from kdgov.license.catalogue.text_recognition import identify
from kdgov.license.notice import CARRIERS, copy_name

SAME_FOR_EVERYONE = frozenset(
    {"Apache-2.0", "MPL-2.0", "GPL-2.0-only", "GPL-3.0-only", "AGPL-3.0-only", "LGPL-2.1-only", "LGPL-3.0-only", "CC0-1.0", "Unlicense"}
)
"""Licences whose text names no holder: any proven copy is a copy of the upstream's."""
FURTHER_PLACES = ("README.md", "MODEL_CARD.md", "NOTICE.txt", "NOTICE.md", "LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING")
"""Files beside the written ones in which a release may meet an obligation."""
_MAX_BYTES = 1 << 20
_NAMES = ("LICENSE", "LICENCE", "COPYING")


def texts_at_hand(case: LicenseCase, wanted: Sequence[str], *, known: Facts | None = None) -> dict[str, str]:
    """Licence id → full text, for the wanted licences whose text is at hand and proven by its words.

    The upstream's own file comes first (a case's ``license_text``); for texts that are the same for everyone any installed
    Python package that ships one will do.
    """
    known = known or facts()
    found: dict[str, str] = {}
    for text in _own_texts(case.uses):
        match = identify(text, known)
        if match.license in wanted and match.is_sure and match.license is not None:
            found.setdefault(match.license, text)
    missing = {name for name in wanted if name in SAME_FOR_EVERYONE and name not in found}
    for text in _installed_texts() if missing else ():
        match = identify(text, known)
        if match.license in missing and match.is_sure and match.license is not None:
            found[match.license] = text
            missing.discard(match.license)
            if not missing:
                break
    return found


def shipped_evidence(answer: LicenseAnswer, folder: Path) -> tuple[Evidence, ...]:
    """Evidence for every obligation from the files of a folder; whether a file holds what is asked is for the reasoner to say."""
    pieces = []
    for o in answer.obligations:
        own = (copy_name(o.license),) if o.kind == "LICENSE_COPY" else CARRIERS.get(o.kind, ())
        for name in (*own, *FURTHER_PLACES) if own else ():
            contents = _read(folder / name)
            if contents is not None:
                pieces.append(Evidence(obligation=o.kind, license=o.license, file=name, contents=contents))
    return tuple(dict.fromkeys(pieces))


def _own_texts(uses: Sequence[Upstream]) -> Iterator[str]:
    for upstream in uses:
        if upstream.license_text is not None:
            yield upstream.license_text
        yield from _own_texts(upstream.made_by)


def _installed_texts() -> Iterator[str]:
    for distribution in sorted(distributions(), key=lambda d: d.name or ""):
        for file in distribution.files or ():
            if ".dist-info" in str(file) and file.name.upper().startswith(_NAMES):
                text = _read(Path(str(distribution.locate_file(file))))
                if text:
                    yield text


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() and path.stat().st_size <= _MAX_BYTES else None
    except (OSError, UnicodeDecodeError):
        return None
