"""A derived verdict in the words of others: in-toto Simple Verification Result and SLSA Verification Summary.

Admission controllers and policy engines read these without knowing kdgov. Both say what somebody verified at one moment, so they are
written by `kdgov verify`, never copied from the statement they are about.

Sources: https://github.com/in-toto/attestation/blob/main/spec/predicates/svr.md, https://slsa.dev/spec/v1.0/verification_summary
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from kdgov import __version__
from kdgov.digest import PREFIX
from kdgov.evidence.signing import statement

SVR_PREDICATE = "https://in-toto.io/attestation/svr/v0.1"
VSA_PREDICATE = "https://slsa.dev/verification_summary/v1"
PASSED = "KDGOV_RELEASE_PASS"
"""Property of a model whose passing verdict was derived from its evidence."""
_VERIFIER = f"urn:kdgov:verifier:{__version__}"
_UNEVALUATED = "SLSA_BUILD_LEVEL_UNEVALUATED"


def verification_result(predicate: Mapping[str, Any], *, holds: bool, at: datetime.datetime) -> dict[str, Any]:
    """The in-toto Simple Verification Result about one registered version; its properties are empty where it does not hold.

    Args:
        predicate: of the release statement that was verified.
        holds: whether its passing verdict was derived, and nothing else is violated.
        at: when, with a zone.
    """
    properties = [PASSED, f"KDGOV_POLICY_{_word(predicate['policy']['name'])}"] if holds else []
    body = {"verifier": {"id": _VERIFIER, "policy": _policy(predicate)}, "timeCreated": _time(at), "properties": properties}
    return statement(SVR_PREDICATE, body, subjects=_subjects(predicate))


def verification_summary(predicate: Mapping[str, Any], *, holds: bool, at: datetime.datetime) -> dict[str, Any]:
    """The SLSA Verification Summary about one registered version; it claims no build level. Arguments as `verification_result`."""
    body = {
        "verifier": {"id": _VERIFIER},
        "timeVerified": _time(at),
        "resourceUri": f"models:/{predicate['name']}/{predicate['version']}",
        "policy": _policy(predicate),
        "inputAttestations": [{"uri": "attestation", "digest": _sha256(predicate["bundle"])}],
        "verificationResult": "PASSED" if holds else "FAILED",
        "verifiedLevels": [_UNEVALUATED, PASSED] if holds else [],
        "slsaVersion": "1.0",
    }
    return statement(VSA_PREDICATE, body, subjects=_subjects(predicate))


def _subjects(predicate: Mapping[str, Any]) -> dict[str, str]:
    return {"model": str(predicate["model"]), "weights": str(predicate["weights"])}


def _policy(predicate: Mapping[str, Any]) -> dict[str, Any]:
    policy = predicate["policy"]
    return {"uri": f"urn:kdgov:policy:{policy['name']}:{policy['version']}", "digest": _sha256(policy["digest"])}


def _sha256(digest: str) -> dict[str, str]:
    return {"sha256": str(digest).removeprefix(PREFIX)}


def _word(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text).upper()


def _time(at: datetime.datetime) -> str:
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
