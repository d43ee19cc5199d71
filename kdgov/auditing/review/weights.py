"""The weights that are served against the weights that were judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kdgov.auditing.registry.snapshot import VersionShown
from kdgov.auditing.review.audit_findings import AuditFinding, unverifiable, verified, violated
from kdgov.auditing.review.signatures import Attested
from kdgov.checkpoints.identity import model_identity
from kdgov.checkpoints.model_files import files_fault
from kdgov.errors import InputError
from kdgov.evidence.artifact_places import folder_of, is_web_address
from kdgov.evidence.bundle_layout import WEIGHTS_FOLDER
from kdgov.evidence.bundle_reader import BundleReader


def review_weights(
    material: BundleReader, shown: VersionShown, attested: Attested, *, named: Path | None, reads: bool = True
) -> Iterator[AuditFinding]:
    """Every byte of the weights read again, wherever they can be reached.

    Args:
        material: the bundle.
        shown: the version; weights that were uploaded lie among its files.
        attested: names the weights' digest, and where they lay.
        named: folder the reviewer says is served.
        reads: whether weight files may be read at all (a review of the whole registry leaves them).
    """
    judged = str(attested.predicate.get("weights") or material.identities["student"].get("weights") or "")
    if not judged:
        yield unverifiable(
            "weights", "weights", "No evidence names the weights that were judged.", mend="Record the release.", required=True
        )
        return
    identity = material.identities["student"]
    signed = {"weights": judged, "model": str(attested.predicate.get("model") or identity.get("model") or "")}
    if any(identity.get(part) not in (None, digest) for part, digest in signed.items()):
        yield violated(
            "weights", "weights", "The signed digest is not that of the student that was evaluated.", mend="Judge the model that is served."
        )
    address = str(attested.predicate.get("weights_uri", ""))
    if is_web_address(address):
        yield _address_alone(address, named)
        return
    places = places_of(shown, attested, named) if reads else []
    if not places:
        mend = "Name the served folder with --weights."
        yield unverifiable("weights", "weights", f"They cannot be read from here; judged were {judged}.", mend=mend)
    for place, path in places:
        yield _compared(place, path, judged, identity, model=str(attested.predicate.get("model") or identity.get("model") or ""))


def _address_alone(address: str, named: Path | None) -> AuditFinding:
    if named is not None:
        mend = "Leave --weights out: no folder was judged."
        return violated("weights", f"weights in {named.name}", f"What was judged can only be asked, at {address}.", mend=mend)
    told = f"What was judged can only be asked, at {address}: it stands by address, model name and terms, and shows no weights."
    return unverifiable("weights", "weights", told, mend="See the drift of its answers; to prove weights, release them as `student.model`.")


def places_of(shown: VersionShown, attested: Attested, named: Path | None) -> list[tuple[str, Path]]:
    """Where the weights can be read: the folder the reviewer names, else uploaded ones, and where the statement says they lay."""
    if named is not None:
        return [(f"weights in {named.name}", named)]
    found = []
    if shown.files is not None and (shown.files / WEIGHTS_FOLDER).is_dir():
        found.append(("weights in the registry", shown.files / WEIGHTS_FOLDER))
    path = folder_of(str(attested.predicate.get("weights_uri", "")))
    if path is not None and path.is_dir():
        found.append(("weights where they were recorded", path))
    return found


def _compared(place: str, path: Path, judged: str, identity: Mapping[str, Any], *, model: str) -> AuditFinding:
    mend = "Serve the checkpoint that was judged, or judge the one that is served."
    try:
        found = model_identity(path, verify=True)
    except (InputError, OSError) as error:
        told = error.what if isinstance(error, InputError) else error.strerror
        return violated("weights", place, f"They are no readable checkpoint: {told}.", mend=mend)
    if found.weights != judged:
        return violated("weights", place, f"They are not the weights that were judged ({judged}).", mend=mend, digest=found.weights)
    for part, digest in (("tokenizer", found.tokenizer), ("configuration", found.config), ("chat template", found.template)):
        sealed = identity.get({"configuration": "config", "chat template": "template"}.get(part, part))
        if sealed is not None and digest != sealed:
            return violated("weights", place, f"The weights are those judged, their {part} is not.", mend=mend, digest=digest)
    if model and (fault := files_fault(found.files, model=model, judged=dict(identity.get("files") or {}))):
        told = f"The weights are those judged, but this is not the whole model that was judged: {fault}."
        return violated("weights", place, told, mend=mend, digest=found.model)
    told = "Every byte read again: the weights that were judged, with their tokenizer, configuration and chat template."
    return verified("weights", place, told, digest=found.weights)
