"""A newer release of the licence facts: signed by whoever keeps them, verified and taken over without a new kdgov."""

from __future__ import annotations

import base64
import datetime
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer  # type: ignore[attr-defined]

from kdgov.digest import digest_file, write_atomic
from kdgov.errors import DeclarationError, InputError
from kdgov.evidence.signing import claimed_predicate, sign_statement, statement, verify_statement
from kdgov.evidence.trust_store import TrustStore
from kdgov.license.catalogue.fact_release import MANIFEST, differing_files, fact_files, facts_folder, facts_place, signed_files
from kdgov.license.catalogue.fact_validation import fact_faults
from kdgov.license.catalogue.facts import Facts, build, documents, facts
from kdgov.license.catalogue.known_ids import read_known_ids

PREDICATE = "https://kdgov.dev/license-facts/v1"
"""Type of the statement over a release of facts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsUpdate:
    """What an update did."""

    version: str
    """Version of the release taken over."""
    signed_by: tuple[str, ...]
    """Keys that signed it and count."""
    licenses: int
    """Licences it knows."""
    place: Path
    """Where it lies now."""
    digest: str
    """Digest of its facts, as every answer names it."""


def sign_facts(folder: Path, signers: Sequence[Signer], *, version: str, at: datetime.datetime) -> Path:
    """Write the signed manifest of a folder of fact files beside them.

    Raises:
        InputError: if the folder holds no facts; `DeclarationError` names every fault of files that may not be released.
    """
    known = _sound(folder)
    names = {path.name: digest_file(path) for path in fact_files(folder)}
    body = statement(PREDICATE, {"version": version, "licenses": len(known.licenses)}, subjects=names)
    document = {"files": names, "envelope": sign_statement(body, signers, at=at)}
    write_atomic(folder / MANIFEST, (json.dumps(document, indent=1) + "\n").encode())
    return folder / MANIFEST


def update_facts(folder: Path, trust: TrustStore, *, at: datetime.datetime) -> FactsUpdate:
    """Take over a release of facts: signed by a trusted key for ``policy``, whole, newer, and knowing all that is known now.

    Raises:
        InputError: if it is not signed so, changed since, older than the one in force, or knows less.
    """
    manifest = _manifest(folder)
    envelope = manifest["envelope"]
    found = verify_statement(envelope, trust, purpose="policy", at=at, predicate_type=PREDICATE)
    if not found.is_valid:
        raise InputError(f"the release of facts is not trusted: {found.reason}", where=str(folder / MANIFEST), mend=found.mend)
    stated = {name: f"sha256:{digest}" for name, digest in _subjects(envelope).items()}
    signed = signed_files(manifest.get("files"))
    if signed != stated or (changed := differing_files(folder, stated)) is not None:
        what = changed if signed == stated else "the list of files"
        raise InputError(f"{what} is not as it was signed", where=str(folder), mend="Fetch the release again, whole.")
    known, before = _sound(folder), facts()
    _not_older(claimed_predicate(envelope), folder)
    lost = sorted(name for name in before.names if known.find(name) is None and known.family(name) is None)
    if lost:
        raise InputError(
            f"it does not know {len(lost)} names that are known now, {', '.join(lost[:5])} among them",
            where=str(folder),
            mend="Keep every name: a superseded edition stays, marked superseded_by.",
        )
    place = facts_place()
    _replace(folder, place, stated)
    return FactsUpdate(
        version=str(claimed_predicate(envelope).get("version", "")),
        signed_by=tuple(key.name for key in found.signers),
        licenses=len(known.licenses),
        place=place,
        digest=known.digest,
    )


def _manifest(folder: Path) -> Mapping[str, Any]:
    path = folder / MANIFEST
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"holds no readable {MANIFEST}: {error}", where=str(folder), mend="Name the folder of a signed release."
        ) from error
    if not isinstance(value, dict) or not isinstance(value.get("envelope"), dict):
        raise InputError(f"{MANIFEST} holds no signed statement", where=str(folder), mend="Sign it with `kdgov license sign-facts`.")
    return value


def _subjects(envelope: Mapping[str, Any]) -> dict[str, str]:
    body = json.loads(base64.b64decode(envelope["payload"]))
    return {subject["name"]: subject["digest"]["sha256"] for subject in body["subject"]}


def _sound(folder: Path) -> Facts:
    content = dict(documents(folder))
    if not content:
        raise InputError("holds no fact files", where=str(folder), mend="Name a folder of fact files.")
    if faults := fact_faults(content):
        raise DeclarationError(faults)
    return build(content, known_ids=read_known_ids(folder), folder=folder)


def _not_older(predicate: Mapping[str, Any], folder: Path) -> None:
    present = facts_folder() / MANIFEST
    if not present.is_file():
        return
    signed = claimed_predicate(json.loads(present.read_text(encoding="utf-8"))["envelope"])
    if str(predicate.get("signed_at", "")) < str(signed.get("signed_at", "")):
        raise InputError(
            f"the release {predicate.get('version')} was signed before the one in force ({signed.get('version')})",
            where=str(folder),
            mend="Take the newer one; an old release would bring old facts back.",
        )


def _replace(folder: Path, place: Path, names: Mapping[str, str]) -> None:
    """Put a release in place of the present one: whole, by one rename."""
    fresh, old = place.with_name(f"{place.name}.new"), place.with_name(f"{place.name}.old")
    for path in (fresh, old):
        shutil.rmtree(path, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name in (*names, MANIFEST):
        shutil.copyfile(folder / name, fresh / name)
    if place.exists():
        place.rename(old)
    fresh.rename(place)
    shutil.rmtree(old, ignore_errors=True)
    facts.cache_clear()
