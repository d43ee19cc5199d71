"""Licence facts at the command line: counted, checked, signed, taken over."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path

from kdgov.errors import DeclarationError, InputError
from kdgov.quantities import quantity


def facts_lines(folder: Path | None, *, check_files: bool, as_of: str | None) -> Iterator[str]:
    """Counts and digest; with ``check_files`` also every fact that is due for another look.

    Raises:
        DeclarationError: naming every fault of the files.
    """
    from kdgov.license.catalogue.fact_age import facts_due
    from kdgov.license.catalogue.fact_release import facts_folder
    from kdgov.license.catalogue.fact_validation import fact_faults
    from kdgov.license.catalogue.facts import build, documents
    from kdgov.license.catalogue.known_ids import read_known_ids

    place = folder or facts_folder()
    content = dict(documents(place))
    if check_files and (faults := fact_faults(content)):
        raise DeclarationError(faults)
    known = build(content, known_ids=read_known_ids(place), folder=place)
    rules = sum(len(entry.rules) + len(entry.bars) for entry in known.licenses.values())
    counts = {"file": len(content), "licence": len(known.licenses), "name": len(known.names), "rule": rules}
    ids = quantity(len(known.known_ids.rows), "pattern of published ids", "patterns of published ids")
    yield ", ".join([*(quantity(count, noun) for noun, count in counts.items()), ids])
    yield f"digest {known.digest}" + (", every rule has clause, source, date and confidence" if check_files else "")
    if check_files:
        due = facts_due(known, today=_day(as_of))
        yield from (f"{one.kind}: {one.license}: {one.told}" for one in due)
        yield f"{len(due)} due for another look" if due else "nothing is due for another look"


def _day(text: str | None) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text) if text else datetime.datetime.now(tz=datetime.UTC).date()
    except ValueError as error:
        raise InputError(f"{text!r} is not a date", mend="Write a day such as 2026-11-27.") from error


def updated_line(source: Path, trust: Path | None) -> str:
    """Take over a release of facts, and what that changed in one line."""
    from kdgov.evidence.trust_store import load_trust, trust_path
    from kdgov.pipeline.licensing.fact_updates import update_facts

    done = update_facts(source, load_trust(trust or trust_path()), at=datetime.datetime.now(tz=datetime.UTC))
    who = ", ".join(done.signed_by)
    return f"facts {done.version} in force: {done.licenses} licences, digest {done.digest}, signed by {who}, in {done.place}"


def signed_line(folder: Path, keys: Sequence[str], release: str) -> str:
    """Sign a folder of facts, and where its manifest lies in one line."""
    from kdgov.evidence.signing_keys import load_signer
    from kdgov.pipeline.licensing.fact_updates import sign_facts

    path = sign_facts(folder, [load_signer(key) for key in keys], version=release, at=datetime.datetime.now(tz=datetime.UTC))
    return f"signed {path}"
