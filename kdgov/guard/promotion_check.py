"""What stands against promoting one version: its stored decision, verified anew, then evidence, card and weights, read anew.

What takes long and cannot have changed is remembered inside this process: a signature by the words it is over and the state of the
trust store, a judgement by the digests of everything it was made from. Bytes are read and hashed at every promotion.
"""

from __future__ import annotations

import datetime
import json
from functools import lru_cache
from pathlib import Path

from sqlalchemy.orm import Session

from kdgov.evidence.derivation.derive import Asker, Derivation
from kdgov.evidence.release_statement import Refusal, promotion_refusals
from kdgov.evidence.signing import Verification, verify_statement
from kdgov.evidence.trust_store import Purpose
from kdgov.guard import tables
from kdgov.guard.config import GuardConfig, TrustStamp, trust_of
from kdgov.guard.evidence import card_refusals, derive_stored, weights_refusals
from kdgov.guard.log_reading import log_refusals
from kdgov.guard.version_rows import KnownVersion

_REMEMBERED = 256
"""Signatures kept in memory; a statement may hold some hundred kilobytes."""


def judge(session: Session, version: KnownVersion, config: GuardConfig, *, at: datetime.datetime) -> tuple[tuple[Refusal, ...], str]:
    """What stands against promoting a version, and the digest of the decision that covers it (empty where none does)."""
    stored = tables.latest_envelopes(session, version.facts)
    if revoked := stored.get("revoke"):
        # Even one whose key has since been distrusted stands: revoking errs on the safe side.
        answer = verified(revoked, config, purpose="act")
        reason = str(answer.predicate.get("reason", "revoked"))
        return (Refusal(criterion="revoked", reason=reason, mend="A revoked version stays revoked; release a new one."),), ""
    if odd := log_refusals(session, version.facts, stored):
        return odd, ""
    decision = verified(stored["decision"], config, purpose="decision") if "decision" in stored else None
    named = promotion_refusals(decision, version.facts, at=at, policies=config.policies)
    if named or decision is None:
        return named, ""
    received = stored["decision"].received_at
    found = list(derived(decision, version, config, received=received, at=at).against_promotion)
    found += card_refusals(decision.predicate, version.description)
    found += weights_refusals(decision.predicate, required=config.weights_required)
    return tuple(found), str(decision.predicate["decision"])


def derived(
    statement: Verification, version: KnownVersion, config: GuardConfig, *, received: datetime.datetime, at: datetime.datetime
) -> Derivation:
    """What becomes of deriving a verified statement from the evidence in the registry, by this server's own trust store."""
    signers = tuple(key.keyid for key in statement.signers)
    asker = Asker(trust=config.trust(), received=received, at=at, signers=signers, rules=config.rules(at))
    return derive_stored(statement.predicate, version.artifact_uri, asker)


def verified(stored: tables.StoredEnvelope, config: GuardConfig, *, purpose: Purpose) -> Verification:
    """Whether a stored statement counts by today's trust store, for the time at which it was received."""
    path, stamp = config.trust_stamp()
    return _verified(stored.text, stored.received_at, purpose, path, stamp)


@lru_cache(maxsize=_REMEMBERED)
def _verified(text: str, received_at: datetime.datetime, purpose: Purpose, path: Path, stamp: TrustStamp) -> Verification:
    return verify_statement(json.loads(text), trust_of(path, stamp), purpose=purpose, at=received_at)
