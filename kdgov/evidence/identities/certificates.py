"""What a short-lived certificate says of the CI job it was given to, and whether one of the listed identities is that job.

The certificate is one that Sigstore's Fulcio gives for an OIDC token; its extensions name issuer, repository, workflow, ref, commit and run
(https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md). It lives for minutes. What vouches for the moment is no transparency log
but the registry's own: the guard must receive the statement while the certificate is valid, and its signed log keeps that moment.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from kdgov.evidence.signing_keys import keyid_of
from kdgov.evidence.trust_store import TrustedIdentity, TrustedKey, TrustStore

_FULCIO = "1.3.6.1.4.1.57264.1."
_FIELDS = {"issuer": "8", "workflow": "18", "repository": "12", "commit": "13", "ref": "14", "run": "21"}
_MOST_CERTIFICATES, _MOST_CHARACTERS = 8, 20_000
_FAULTS = (ValueError, TypeError, AttributeError, KeyError, UnsupportedAlgorithm, x509.ExtensionNotFound, x509.DuplicateExtension)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIdentity:
    """What a certificate says of a CI job."""

    issuer: str
    """Address of the OIDC issuer."""
    repository: str
    """Address of the source repository."""
    workflow: str
    """Path of the workflow in it."""
    ref: str
    """Branch or tag it ran on."""
    commit: str
    """Commit it ran on."""
    run: str = ""
    """Address of the run."""

    @property
    def sentence(self) -> str:
        """``acme/models .github/workflows/release.yaml@refs/heads/main, commit 0123…``."""
        place = self.repository.partition("://")[2] or self.repository
        return f"{place} {self.workflow}@{self.ref}, commit {self.commit}"


def identity_key(chain: Any, identities: Sequence[TrustedIdentity], *, keyid: str, at: datetime.datetime) -> TrustedKey | str:
    """The key of a certificate as a trusted key, where a listed identity is the job it was given to; else why not.

    Args:
        chain: PEM texts, the job's own certificate first; anything malformed is answered, never raised.
        identities: those of the trust store.
        keyid: under which its signature stands.
        at: when the statement was received: the certificate must be valid then.
    """
    try:
        leaf, *between = _certificates(chain)
        public = leaf.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        job = _job(leaf)
        is_for_signing = ExtendedKeyUsageOID.CODE_SIGNING in leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except _FAULTS as error:
        return f"the certificate under key {keyid[:12]}… cannot be read ({type(error).__name__})"
    fault = f"no listed identity is the CI job {job.sentence} of {job.issuer}"
    for listed in identities:
        if listed.names(issuer=job.issuer, repository=job.repository, workflow=job.workflow, ref=job.ref):
            if not is_for_signing:
                return "its certificate is not one for signing"
            fault = _chain_fault(leaf, between, listed.authorities, at)
            if not fault:
                return _as_key(listed, job, public, keyid)
    return fault


def _as_key(listed: TrustedIdentity, job: JobIdentity, public: str, keyid: str) -> TrustedKey:
    plain = listed.model_dump(include={"purposes", "roles", "not_before", "not_after", "revoked_at", "revoked_because", "compromised"})
    return TrustedKey(keyid=keyid, name=f"{listed.name} ({job.sentence})", public=public, **plain)


def _chain_fault(leaf: x509.Certificate, between: Sequence[x509.Certificate], authorities: Iterable[str], at: datetime.datetime) -> str:
    moment = at.astimezone(datetime.UTC)
    if not leaf.not_valid_before_utc <= moment <= leaf.not_valid_after_utc:
        return f"its certificate was valid from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} to {leaf.not_valid_after_utc:%H:%M} UTC only"
    try:
        roots = [x509.load_pem_x509_certificate(text.encode()) for text in authorities]
        # As Sigstore's own verifier has it: the certificates are for signing code, not for clients.
        authority = ExtensionPolicy.webpki_defaults_ca().may_be_present(x509.ExtendedKeyUsage, Criticality.NON_CRITICAL, None)
        signer = ExtensionPolicy.webpki_defaults_ee().may_be_present(x509.ExtendedKeyUsage, Criticality.NON_CRITICAL, None)
        builder = PolicyBuilder().store(Store(roots)).time(moment).extension_policies(ca_policy=authority, ee_policy=signer)
        builder.build_client_verifier().verify(leaf, list(between))
    except (*_FAULTS, VerificationError, x509.UnsupportedGeneralNameType) as error:
        return f"its certificate does not come from the listed authority ({str(error)[:120] or type(error).__name__})"
    return ""


def _certificates(chain: Any) -> list[x509.Certificate]:
    if not isinstance(chain, list) or not 1 <= len(chain) <= _MOST_CERTIFICATES or not all(isinstance(text, str) for text in chain):
        raise ValueError("no list of certificates")
    if any(len(text) > _MOST_CHARACTERS for text in chain):
        raise ValueError("a certificate of another size")
    return [x509.load_pem_x509_certificate(text.encode()) for text in chain]


def _job(leaf: x509.Certificate) -> JobIdentity:
    said: dict[str, str] = {}
    for name, number in _FIELDS.items():
        try:
            value = leaf.extensions.get_extension_for_oid(x509.ObjectIdentifier(_FULCIO + number)).value
        except x509.ExtensionNotFound:
            said[name] = ""
            continue
        said[name] = _text(value.public_bytes())
    for name in ("issuer", "repository", "workflow", "ref", "commit"):
        if not said[name] or not said[name].isprintable():
            raise ValueError(f"names no {name}")
    # The workflow's own address is repository/path@ref.
    inside = said["workflow"].removeprefix(said["repository"]).lstrip("/")
    return JobIdentity(**{**said, "workflow": inside.rpartition("@")[0] or inside})


def _text(der: bytes) -> str:
    """A DER string (UTF8String), as Fulcio's newer extensions hold it."""
    if len(der) < 2 or der[0] != 0x0C:
        raise ValueError("no text")
    length, start = der[1], 2
    if length & 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(der[2 : 2 + count], "big"), 2 + count
    if start + length != len(der):
        raise ValueError("a text of another length")
    return der[start:].decode("utf-8")


def with_identities(trust: TrustStore, keyids: Iterable[str], envelope: Mapping[str, Any], *, at: datetime.datetime) -> TrustStore:
    """The trust store with the keys of those CI jobs under an envelope that it lists, for this one question."""
    chains = claimed_chains(envelope) if trust.identities else {}
    for keyid in keyids:
        if keyid in chains and trust.key(keyid) is None:
            found = identity_key(chains[keyid], trust.identities, keyid=keyid, at=at)
            if isinstance(found, TrustedKey) and keyid_of(found.public) == keyid:
                trust = trust.with_key(found)
    return trust


def claimed_chains(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    """Key identifier → certificates that an envelope carries, unverified."""
    found = envelope.get("certificates")
    return found if isinstance(found, Mapping) else {}
