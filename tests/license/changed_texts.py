"""How many changed licence texts pass for the unchanged one: ``python -m tests.license.changed_texts FOLDER``.

FOLDER holds texts in the layout of scancode's licence data: ``KEY.LICENSE``, with or without front matter.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from kdgov.license.catalogue.facts import License, facts
from kdgov.license.catalogue.text_recognition import identify

SENTENCES = (
    "The Model may not be used to train other machine learning models.",
    "Use is limited to academic purposes.",
    "Licensee pays a royalty of 2% of revenue.",
    "Outputs belong to the Licensor.",
    "This grant ends on 1 January 2027.",
    "Users in the European Union are excluded.",
    "You agree to indemnify the Licensor for all use.",
    "Hosting as a service needs a separate agreement.",
)
TURNED = {"may": "may not", "shall": "may", "million": "thousand", "without": "with", "perpetual": "revocable", "any": "no", "all": "some"}
WORDS = re.compile(
    r"\b(may|shall|not|without|any|all|commercial|must|hereby|perpetual|worldwide|non-exclusive|royalty-free|irrevocable|million|free|"
    r"permitted|granted|sublicense)\b"
)


def changes(text: str, chance: random.Random) -> Iterator[str]:
    """The text with one change each."""
    ends = [match.end() for match in re.finditer(r"[.;:]\s", text)] or [len(text)]
    for sentence in SENTENCES:
        for at in (0, len(text), chance.choice(ends), chance.choice(ends)):
            yield f"{text[:at]}{'' if at == 0 else ' '}{sentence}{chr(10) if at == 0 else ' '}{text[at:]}"
    words = list(WORDS.finditer(text))
    for match in chance.sample(words, min(12, len(words))):
        for other in ("", TURNED.get(match[0], "limited")):
            if other != match[0]:
                yield text[: match.start()] + other + text[match.end() :]
    numbers = [match for match in re.finditer(r"\b\d+(?:[.,]\d+)*\b", text) if match[0] != "7"]
    for match in chance.sample(numbers, min(4, len(numbers))):
        yield f"{text[: match.start()]}7{text[match.end() :]}"


def known_texts(folder: Path) -> Iterator[tuple[License, str]]:
    """Licence and text of every file whose licence is known here by its text."""
    known = facts()
    for path in sorted(folder.glob("*.LICENSE")):
        entry = known.find(path.stem) or known.find(f"LicenseRef-scancode-{path.stem}")
        text = re.sub(r"\A---\n.*?\n---\n", "", path.read_text(encoding="utf-8"), count=1, flags=re.DOTALL)
        found = identify(text, known)
        if entry is not None and found.is_sure and found.license == entry.id:
            yield entry, text


def main(folder: Path) -> None:
    """Count, and show every changed text that passes."""
    chance = random.Random(5)  # noqa: S311 - no secret
    licences = tried = passed = 0
    for entry, text in known_texts(folder):
        licences += 1
        for changed in changes(text, chance):
            tried += 1
            found = identify(changed, facts())
            if found.is_sure and found.license == entry.id:
                passed += 1
                print(f"{entry.id}: {found.why}")  # noqa: T201
    print(f"{passed} of {tried} changed texts of {licences} licences pass for the unchanged one")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
