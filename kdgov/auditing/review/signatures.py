"""Are the evidence, the signed statement and what the registry shows the same three times?"""

from __future__ import annotations

import base64
import binascii
import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kdgov.auditing.registry.snapshot import VersionShown
from kdgov.auditing.review.audit_findings import AuditFinding, unverifiable, verified, violated
from kdgov.digest import digest_bytes, digest_file
from kdgov.errors import InputError
from kdgov.evidence.bundle import compare_bundle, read_manifest
from kdgov.evidence.bundle_layout import ATTESTATION_FOLDER, BUNDLE_FOLDER, DECISION, MANIFEST, WEIGHTS_FOLDER, in_run
from kdgov.evidence.release_statement import binding_fault
from kdgov.evidence.signing import DECISION_PREDICATE, envelope_digest, verify_statement
from kdgov.evidence.trust_store import TrustStore
from kdgov.safe_parse import json_file, json_value, yaml_value

_REFETCH = "Never rely on it; record the release again from the folder `kdgov gate` wrote, as a new version."

_NOTE, _LARGEST_NOTE_BYTES = "registered_model_meta", 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """The signed statement of a version, as far as there is one."""

    predicate: Mapping[str, Any] = field(default_factory=dict)
    """Its words; empty where there is no readable statement. Comparing with unsigned words can only find more faults."""
    is_signed: bool = False
    """Whether a trusted key signed them."""
    signers: tuple[str, ...] = ()
    """Names of the trusted keys."""
    keyids: tuple[str, ...] = ()
    """Their identifiers."""
    file: str = ""
    """Artifact it was read from."""
    digest: str = ""
    """Digest of the envelope."""
    fault_today: str = ""
    """Why its signature, which counted at receipt, would not count on the day of the review; empty where it would."""


def review_bundle(shown: VersionShown) -> Iterator[AuditFinding]:
    """Every file of the bundle hashed anew against the manifest."""
    folder = shown.evidence
    if folder is None:
        reason = "; ".join(shown.faults) or "the run holds no evidence folder"
        yield unverifiable(
            "evidence", BUNDLE_FOLDER, f"The evidence could not be fetched: {reason}.", mend="Record the release.", required=True
        )
        return
    try:
        stated, difference = read_manifest(folder), compare_bundle(folder)
    except InputError as error:
        yield violated("evidence", in_run(MANIFEST), f"The manifest {error.what}.", mend=_REFETCH)
        return
    for path in difference.extra:
        yield violated("evidence", in_run(path), "The file is not in the manifest: it was added after sealing.", mend=_REFETCH)
    for path in difference.missing:
        yield violated("evidence", in_run(path), "The manifest names the file and it is gone.", mend=_REFETCH)
    for change in difference.changed:
        reason = f"The bytes are not those that were sealed (sealed {change.expected}, found {change.actual})."
        yield violated("evidence", in_run(change.path), reason, mend=_REFETCH, digest=change.actual)
    bad = {*difference.extra, *difference.missing, *(c.path for c in difference.changed)}
    for path in sorted(stated.keys() - bad):
        yield verified("evidence", in_run(path), "Hashed again: as sealed.", digest=stated[path])


def review_seals(shown: VersionShown) -> Iterator[AuditFinding]:
    """The files of a bundle that were fetched, where not all were, against its manifest; what was not fetched is not spoken of."""
    folder = shown.evidence
    if folder is None:
        return
    try:
        stated = read_manifest(folder)
    except InputError as error:
        yield violated("evidence", in_run(MANIFEST), f"The manifest {error.what}.", mend=_REFETCH)
        return
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST):
        name, digest = path.relative_to(folder).as_posix(), digest_file(path)
        if stated.get(name) == digest:
            yield verified("evidence", in_run(name), "Hashed again: as sealed.", digest=digest)
        else:
            told = "The bytes are not those that were sealed." if name in stated else "It was added after sealing."
            yield violated("evidence", in_run(name), told, mend=_REFETCH, digest=digest)


def read_attestation(
    shown: VersionShown, trust: TrustStore, *, at: datetime.datetime, now: datetime.datetime | None = None
) -> tuple[Attested, tuple[AuditFinding, ...]]:
    """The version's signed statement, and what is to be said of every envelope beside it.

    Args:
        shown: the version.
        trust: whose signature counts.
        at: when the statement was received as far as the log knows; now otherwise.
        now: the moment of the review, where today's standing is to be told beside it.
    """
    folder = shown.files / ATTESTATION_FOLDER if shown.files is not None else None
    paths = sorted(p for p in folder.rglob("*") if p.is_file()) if folder is not None and folder.is_dir() else []
    if not paths:
        return Attested(), (_unattested(shown),)
    read = [_read(path, f"{ATTESTATION_FOLDER}/{path.name}", shown, trust, (at, now or at)) for path in paths]
    # Where several count (a recording that was killed and repeated), the one of the decision the registry shows speaks.
    candidates = sorted(
        (a for a, _ in read if a.predicate),
        key=lambda a: (not a.is_signed, a.predicate.get("decision") != shown.tags.get("kdgov.decision")),
    )
    return (candidates[0] if candidates else Attested()), tuple(finding for _, found in read for finding in found)


def _unattested(shown: VersionShown) -> AuditFinding:
    mend = "Record the release; without a signed statement nothing covers this version."
    if shown.faults:
        told = f"Whether a signed statement lies with the version could not be seen: {'; '.join(shown.faults)}."
        return unverifiable("signature", ATTESTATION_FOLDER, told, mend="Audit it where the registry's files can be read.", required=True)
    if shown.tags.get("kdgov.verdict", "NONE") == "NONE":
        return unverifiable("signature", ATTESTATION_FOLDER, "No signed statement lies with the version.", mend=mend, required=True)
    return violated("signature", ATTESTATION_FOLDER, "The version shows a verdict, and the signed statement behind it is gone.", mend=mend)


def _read(
    path: Path, name: str, shown: VersionShown, trust: TrustStore, moments: tuple[datetime.datetime, datetime.datetime]
) -> tuple[Attested, list[AuditFinding]]:
    try:
        envelope = json_file(path)
        predicate = json_value(base64.b64decode(envelope["payload"], validate=True), where=name)["predicate"]
        named = envelope_digest(envelope)
    except (ValueError, KeyError, TypeError, binascii.Error, InputError):
        return Attested(), [violated("signature", name, "It is no longer a signed statement: its envelope cannot be read.", mend=_REFETCH)]
    attested = Attested(predicate=predicate if isinstance(predicate, Mapping) else {}, file=name, digest=named)
    found: list[AuditFinding] = []
    if not path.name.startswith(f"decision-{named[7:19]}."):
        found.append(
            violated("signature", name, "The envelope is not the one its name says: it was replaced.", mend=_REFETCH, digest=named)
        )
    if fault := binding_fault(attested.predicate, shown.facts):
        found.append(violated("signature", name, f"It does not cover this version: {fault}.", mend=_REFETCH, digest=named))
    if not any("decision" in key.purposes for key in trust.keys):
        reason = "No key is trusted to sign decisions here, so its signature was not checked."
        found.append(unverifiable("signature", name, reason, mend="Name the trust store with --trust.", required=True))
        return attested, found
    answer, today = (verify_statement(envelope, trust, purpose="decision", at=m, predicate_type=DECISION_PREDICATE) for m in moments)
    if not answer.is_valid:
        found.append(violated("signature", name, f"The signature does not count: {answer.reason}.", mend=answer.mend, digest=named))
        return attested, found
    signers = tuple(key.name for key in answer.signers)
    if not found:
        told = f"Signed by {', '.join(signers)} on {predicate['signed_at']}, about this very version."
        told += f" It counted when it was received; today it would not: {today.reason}." if today.reason else ""
        found.append(verified("signature", name, told, digest=named))
    keyids = tuple(key.keyid for key in answer.signers)
    attested = Attested(predicate=answer.predicate, is_signed=True, signers=signers, keyids=keyids, file=name, digest=named)
    return replace(attested, fault_today=today.reason), found


def review_binding(shown: VersionShown, attested: Attested) -> Iterator[AuditFinding]:
    """Whether the statement names this bundle, this decision, this description and these tags."""
    predicate, folder = attested.predicate, shown.evidence
    if not predicate:
        yield from _papers(shown, predicate)
        return
    manifest = folder / MANIFEST if folder is not None else None
    decision = folder / DECISION if folder is not None else None
    for name, file, key in ((in_run(MANIFEST), manifest, "bundle"), (in_run(DECISION), decision, "decision")):
        found = digest_file(file) if file is not None and file.is_file() else ""
        if not found:
            yield violated("evidence", name, "The signed statement names the file and it is gone.", mend=_REFETCH)
        elif found != predicate.get(key):
            yield violated(
                "evidence", name, f"It is not the file that was signed (signed {predicate.get(key)}).", mend=_REFETCH, digest=found
            )
        else:
            yield verified("evidence", name, "It is the very file that was signed.", digest=found)
    card = digest_bytes(shown.description.encode())
    if card == predicate.get("card"):
        yield verified("registry", "description", "The card shown is the card that was signed.", digest=card)
    else:
        yield violated(
            "registry",
            "description",
            "The card shown is not the card that was signed.",
            mend="Restore it from card/short.md of the run.",
            digest=card,
        )
    yield from _version_tags(shown, predicate)
    yield from _papers(shown, predicate)


def _version_tags(shown: VersionShown, predicate: Mapping[str, Any]) -> Iterator[AuditFinding]:
    signed = {str(k): str(v) for k, v in dict(predicate.get("tags") or {}).items()}
    # A revocation rewrites the verdict, and the guard keeps its own note of the last act; both stand in the log.
    if "kdgov.revoked" in shown.tags:
        signed["kdgov.verdict"] = "REVOKED"
    own = {"kdgov.log", "kdgov.revoked"}
    for key, value in sorted(signed.items()):
        if key not in shown.tags:
            yield violated("registry", f"tag {key}", f"The signed tag is gone; it said {value!r}.", mend="Let the guard write it again.")
        elif shown.tags[key] != value:
            yield violated(
                "registry", f"tag {key}", f"It says {shown.tags[key]!r}; signed was {value!r}.", mend="Let the guard write it again."
            )
        else:
            yield verified("registry", f"tag {key}", f"It says what was signed: {value}.")
    for key in sorted(shown.tags):
        if key.startswith("kdgov.") and key not in signed and key not in own:
            yield violated("registry", f"tag {key}", "Nobody signed this tag.", mend="Remove it; tags under kdgov. are the guard's.")


def _papers(shown: VersionShown, predicate: Mapping[str, Any]) -> Iterator[AuditFinding]:
    """Cards, charts and the like: by the digests in the statement, else by making them again from the evidence."""
    if shown.files is None or shown.is_partial:
        return
    skipped = (BUNDLE_FOLDER, ATTESTATION_FOLDER, WEIGHTS_FOLDER)
    found = {
        path.relative_to(shown.files).as_posix(): path
        for path in sorted(shown.files.rglob("*"))
        if path.is_file() and path.relative_to(shown.files).parts[0] not in skipped
    }
    if shown.model_files is not None:
        found |= {f"model/{p.relative_to(shown.model_files).as_posix()}": p for p in sorted(shown.model_files.rglob("*")) if p.is_file()}
        found = {name: path for name, path in found.items() if name != f"model/{_NOTE}" or not _is_mlflows_note(path)}
    stated = {str(k): str(v) for k, v in dict(predicate.get("papers") or {}).items()}
    if shown.model_files is None:
        stated = {k: v for k, v in stated.items() if not k.startswith("model/")}
    told = "Hashed again: as signed."
    if not stated and shown.expected is not None:
        stated, told = dict(shown.expected.papers), "Written again from the evidence: the same bytes."
    if not stated:
        return
    for path in sorted(stated.keys() | found.keys()):
        if path not in found:
            yield violated("evidence", path, "The recording wrote this file and it is gone.", mend=_REFETCH)
        elif path not in stated:
            yield violated("evidence", path, "Nobody signed this file: it was added after recording.", mend="Remove it.")
        elif (digest := digest_file(found[path])) != stated[path]:
            yield violated("evidence", path, f"The bytes are not those that were recorded ({stated[path]}).", mend=_REFETCH, digest=digest)
        else:
            yield verified("evidence", path, told, digest=digest)


def _is_mlflows_note(path: Path) -> bool:
    """Whether a file is what MLflow writes beside a model whenever it has read one: the registered name and number, nothing else."""
    try:
        value = yaml_value(path.read_text(encoding="utf-8"), file=path.name) if path.stat().st_size < _LARGEST_NOTE_BYTES else None
    except (OSError, ValueError, InputError):
        return False
    return (
        isinstance(value, dict)
        and value.keys() == {"model_name", "model_version"}
        and all(isinstance(v, str | int) for v in value.values())
    )
