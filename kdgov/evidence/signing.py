"""Signed statements: in-toto Statement v1 in a DSSE envelope, and the answer whether enough trusted keys signed it.

The envelope is the standard one (https://github.com/secure-systems-lab/dsse): any DSSE tool, or ``openssl pkeyutl`` over
the pre-authentication encoding, verifies it without kdgov; docs/security.md has the commands.
"""

from __future__ import annotations

import copy
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Signer  # type: ignore[attr-defined]

from kdgov.digest import PREFIX, canonical_json, digest_bytes, is_digest
from kdgov.errors import InputError
from kdgov.evidence.identities.certificates import claimed_chains, with_identities
from kdgov.evidence.signing_keys import public_key
from kdgov.evidence.trust_store import CLOCK_SKEW, Purpose, TrustedKey, TrustStore
from kdgov.safe_parse import json_value

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
DECISION_PREDICATE = "urn:kdgov:predicate:release-decision:v1"
WAIVER_PREDICATE = "urn:kdgov:predicate:waiver:v1"
APPROVAL_PREDICATE = "urn:kdgov:predicate:approval:v1"
ACT_PREDICATE = "urn:kdgov:predicate:act:v1"
EVALUATION_PREDICATE = "urn:kdgov:predicate:evaluation:v1"
POLICIES_PREDICATE = "urn:kdgov:predicate:policy-list:v1"
LAYOUT_PREDICATE = "urn:kdgov:predicate:layout:v1"
REPLAY_PREDICATE = "urn:kdgov:predicate:replay:v1"
WITNESS_PREDICATE = "urn:kdgov:predicate:witnessed-head:v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Whether an envelope carries a statement that enough trusted keys signed."""

    is_valid: bool
    """Whether it counts."""
    reason: str
    """Why not; empty when valid."""
    mend: str = ""
    """What would make it count."""
    statement: Mapping[str, Any] = field(default_factory=dict)
    """The statement; empty unless valid, so that nobody acts on unsigned words."""
    signers: tuple[TrustedKey, ...] = ()
    """The trusted keys whose signatures counted."""

    @property
    def predicate(self) -> Mapping[str, Any]:
        """The statement's predicate; empty unless valid."""
        found: Mapping[str, Any] = self.statement.get("predicate", {})
        return found


def statement(predicate_type: str, predicate: Mapping[str, Any], *, subjects: Mapping[str, str]) -> dict[str, Any]:
    """An in-toto statement about named artifacts.

    Args:
        predicate_type: URI of the predicate's meaning.
        predicate: what is stated; JSON values.
        subjects: name → ``sha256:…`` digest of what it is stated of.

    Raises:
        InputError: if there is no subject, or a digest has another form.
    """
    bad = [name for name, value in subjects.items() if not is_digest(value)]
    if bad or not subjects:
        raise InputError(
            f"a statement needs subjects with sha256 digests; {', '.join(bad) or 'none given'}",
            mend="Name each subject by its digest.",
        )
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": value.removeprefix(PREFIX)}} for name, value in sorted(subjects.items())],
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }


def sign_statement(body: Mapping[str, Any], signers: Sequence[Signer], *, at: datetime.datetime) -> dict[str, Any]:
    """DSSE envelope (a JSON dictionary) of a statement, signed by every signer.

    Args:
        body: an in-toto statement, from `statement`.
        signers: from `kdgov.evidence.signing_keys.load_signer`.
        at: when; with a time zone. Written into the predicate as ``signed_at``.

    Raises:
        InputError: without a signer, or when the date has no zone.
    """
    if not signers:
        raise InputError("no key to sign with is named", mend="Name at least one key source.")
    if at.tzinfo is None:
        raise InputError("the date of signing has no time zone", mend="Give it in UTC.")
    dated = {**body, "predicate": {**body["predicate"], "signed_at": _text_of(at)}}
    return seal_statement(dated, signers)


def seal_statement(body: Mapping[str, Any], signers: Sequence[Signer]) -> dict[str, Any]:
    """DSSE envelope of a statement exactly as it is, for predicates that say themselves when they were made.

    Raises:
        InputError: without a signer.
    """
    if not signers:
        raise InputError("no key to sign with is named", mend="Name at least one key source.")
    envelope = Envelope(canonical_json(body), PAYLOAD_TYPE, {})
    return _written(envelope, {envelope.sign(signer).keyid: list(getattr(signer, "certificates", ())) for signer in signers})


def add_signature(envelope: Mapping[str, Any], signer: Signer) -> dict[str, Any]:
    """The envelope with one more signature over the same payload (a second approver elsewhere).

    Raises:
        InputError: if it is not an envelope.
    """
    parsed = _parsed(envelope)
    if isinstance(parsed, str):
        raise InputError(parsed, mend="Give the envelope as it was written.")
    return _written(parsed, {**claimed_chains(envelope), parsed.sign(signer).keyid: list(getattr(signer, "certificates", ()))})


def _written(envelope: Envelope, chains: Mapping[str, Any]) -> dict[str, Any]:
    held = {keyid: chain for keyid, chain in chains.items() if chain}
    return {**envelope.to_dict(), **({"certificates": held} if held else {})}


def verify_statement(
    envelope: Mapping[str, Any],
    trust: TrustStore,
    *,
    purpose: Purpose,
    at: datetime.datetime,
    predicate_type: str | None = None,
    threshold: int | None = None,
) -> Verification:
    """Whether enough trusted keys signed this statement for this purpose.

    A key counts when it is listed for the purpose, its validity covers the date of signing, and it is not revoked. A
    statement dated after ``at`` (beyond five minutes of clock skew) never counts.

    Args:
        envelope: DSSE envelope as a JSON dictionary; anything malformed is answered, never raised.
        trust: whose signature counts.
        purpose: for what.
        at: when the statement was received, with a zone: now for a new one, the logged time for one received earlier.
            Keys must be valid then too, so that a key past its end cannot sign with an earlier date.
        predicate_type: required type; any when None.
        threshold: distinct keys needed; the trust store's when None, and never fewer than its.
    """
    parsed = _parsed(envelope)
    if isinstance(parsed, str):
        return _invalid(parsed, "Give the envelope as it was written.")
    body = _body(parsed)
    if isinstance(body, str):
        return _invalid(body, "Sign an in-toto statement made by kdgov.")
    if predicate_type is not None and body["predicateType"] != predicate_type:
        return _invalid(f"states {body['predicateType']!r}, not {predicate_type!r}", "Give the statement meant for this purpose.")
    signed_at = _date_of(body["predicate"].get("signed_at"))
    if signed_at is None:
        return _invalid("bears no date of signing", "Sign it with kdgov, which dates statements.")
    if signed_at > at + CLOCK_SKEW:
        return _invalid(f"is dated {signed_at:%Y-%m-%dT%H:%M:%SZ}, which is in the future", "Set the signer's clock, then sign again.")
    trust = with_identities(trust, parsed.signatures, envelope, at=at)
    return _counted(parsed, body, trust, purpose, (signed_at, at), max(threshold or 1, trust.threshold(purpose)))


def claimed_type(envelope: Mapping[str, Any]) -> str:
    """The predicate type an envelope claims, unverified: only good for choosing how to verify it. Empty when malformed."""
    parsed = _parsed(envelope)
    body = parsed if isinstance(parsed, str) else _body(parsed)
    return str(body["predicateType"]) if isinstance(body, dict) else ""


def claimed_predicate(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    """The predicate an envelope carries, unverified: only good for naming what it claims to be. Empty when malformed."""
    parsed = _parsed(envelope)
    body = parsed if isinstance(parsed, str) else _body(parsed)
    return dict(body["predicate"]) if isinstance(body, dict) else {}


def is_signed_by_known(envelope: Mapping[str, Any], trust: TrustStore) -> bool:
    """Whether any signature bears the name of a listed key; whether that signature is good, `verify_statement` tells."""
    parsed = _parsed(envelope)
    return not isinstance(parsed, str) and any(trust.key(keyid) is not None for keyid in parsed.signatures)


def signing_date(envelope: Mapping[str, Any]) -> str:
    """The date of signing an envelope bears (UTC, ISO 8601), unverified; empty when malformed."""
    parsed = _parsed(envelope)
    body = parsed if isinstance(parsed, str) else _body(parsed)
    return str(body["predicate"].get("signed_at", "")) if isinstance(body, dict) else ""


def envelope_digest(envelope: Mapping[str, Any]) -> str:
    """Digest that names an envelope: that of its canonical JSON."""
    return digest_bytes(canonical_json(envelope))


def pre_authentication_encoding(envelope: Mapping[str, Any]) -> bytes:
    """The bytes the signatures are over, for verification with other tools.

    Raises:
        InputError: if it is not an envelope.
    """
    parsed = _parsed(envelope)
    if isinstance(parsed, str):
        raise InputError(parsed, mend="Give the envelope as it was written.")
    return bytes(parsed.pae())


def _counted(
    envelope: Envelope,
    body: Mapping[str, Any],
    trust: TrustStore,
    purpose: Purpose,
    dates: tuple[datetime.datetime, datetime.datetime],
    needed: int,
) -> Verification:
    counted: dict[str, TrustedKey] = {}
    faults: list[str] = []
    for keyid, signature in envelope.signatures.items():
        key = trust.key(keyid)
        if key is None:
            faults.append(f"key {keyid[:12]}… is not trusted here")
        elif purpose not in key.purposes:
            faults.append(f"key {key.name!r} is not trusted to sign a {purpose}")
        elif fault := key.fault_at(dates[0]) or key.fault_at(dates[1]):
            faults.append(fault)
        else:
            try:
                public_key(key.public).verify_signature(signature, envelope.pae())
                counted[key.keyid] = key
            except UnverifiedSignatureError:
                faults.append(f"the signature under the name of key {key.name!r} is not over these words")
    if len(counted) >= needed:
        return Verification(is_valid=True, reason="", statement=body, signers=tuple(counted.values()))
    why = "; ".join(faults) or "it carries no signature"
    return _invalid(
        f"{len(counted)} of {needed} needed signatures count: {why}", "Let a trusted key sign it, or add the key with `kdgov keys trust`."
    )


def _invalid(reason: str, mend: str) -> Verification:
    return Verification(is_valid=False, reason=reason, mend=mend)


def _parsed(envelope: Mapping[str, Any]) -> Envelope | str:
    try:
        # from_dict rewrites the dictionary it is given.
        parsed = Envelope.from_dict(copy.deepcopy(dict(envelope)))
        is_whole = all(isinstance(keyid, str) and isinstance(signed.signature, str) for keyid, signed in parsed.signatures.items())
        return parsed if is_whole and isinstance(parsed.payload_type, str) else "is not a DSSE envelope (a part is no text)"
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return f"is not a DSSE envelope ({type(error).__name__})"


def _body(envelope: Envelope) -> dict[str, Any] | str:
    if envelope.payload_type != PAYLOAD_TYPE:
        return f"holds {envelope.payload_type!r}, not an in-toto statement"
    try:
        body = json_value(envelope.payload, where="payload", may_repeat=True)
    except (InputError, ValueError):
        return "holds a payload that is not JSON"
    well_formed = (
        isinstance(body, dict)
        and body.get("_type") == STATEMENT_TYPE
        and isinstance(body.get("predicateType"), str)
        and isinstance(body.get("predicate"), dict)
        and isinstance(body.get("subject"), list)
    )
    if not well_formed:
        return "holds a payload that is not an in-toto statement"
    # Two readers must not see two things in one payload (repeated keys, other number forms): only canonical JSON counts.
    return body if _is_canonical(body, envelope.payload) else "holds a payload that is not canonical JSON"


def _is_canonical(body: Any, payload: bytes) -> bool:
    try:
        return canonical_json(body) == payload
    except InputError:
        return False


def _text_of(at: datetime.datetime) -> str:
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _date_of(text: Any) -> datetime.datetime | None:
    try:
        date = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return date if date.tzinfo is not None else None
