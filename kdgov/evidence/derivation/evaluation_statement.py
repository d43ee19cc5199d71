"""The signature of an evaluation: whoever asked the models vouches that these tables are what they answered.

An item table can be invented; nothing in it shows that a model wrote it. The process that asked the models therefore signs, at once and
with a key of the purpose ``evaluation``: the plan's root, the table, the whole model and the environment. It lies beside the evaluation as
``evaluation.dsse.json``, and goes into the bundle with it.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer  # type: ignore[attr-defined]

from kdgov.digest import PREFIX, digest_file, is_digest, write_atomic
from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import EVALUATION, EVALUATION_SIGNATURE, ITEMS, PAIR, of_role
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.evidence.signing import EVALUATION_PREDICATE, Verification, sign_statement, statement, verify_statement
from kdgov.evidence.trust_store import TrustStore
from kdgov.safe_parse import json_file

UNSIGNED = "evaluation unsigned"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationStanding:
    """Who vouches for a bundle's item tables."""

    faults: tuple[str, ...] = ()
    """Signatures that are over something else than what lies here."""
    standing: tuple[str, ...] = ()
    """What is to be said wherever the verdict is shown: ``evaluation unsigned: …``; empty where both evaluations are signed."""
    signers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """``evaluation`` → identifiers of the keys that signed both models' evaluations."""
    mend: str = "Evaluate again, and hand in what the evaluation wrote."
    """What would lift the faults."""


def sign_evaluation(folder: Path, signers: Sequence[Signer], *, at: datetime.datetime) -> Path:
    """Sign one model's evaluation where it was just written, and return the envelope's file.

    Args:
        folder: holds ``items.parquet`` and ``evidence.json``.
        signers: keys of the purpose ``evaluation``.
        at: when, with a zone.

    Raises:
        InputError: if the evaluation cannot be read.
    """
    document = json_file(folder / EVALUATION)
    files = {name: digest_file(folder / name) for name in (ITEMS, EVALUATION)}
    predicate = _words(document)
    model = predicate["model"]
    subjects = {**files, **({"model": model} if is_digest(model) else {})}
    envelope = sign_statement(statement(EVALUATION_PREDICATE, predicate, subjects=subjects), signers, at=at)
    path = folder / EVALUATION_SIGNATURE
    write_atomic(path, (json.dumps(envelope, indent=1, sort_keys=True) + "\n").encode())
    return path


def evaluation_standing(bundle: BundleReader, trust: TrustStore, *, received: datetime.datetime) -> EvaluationStanding:
    """Whether both evaluations of a bundle are signed by keys that count, and over what lies here."""
    faults: list[str] = []
    told: list[str] = []
    by: list[set[str]] = []
    for role in PAIR:
        path = bundle.folder / role / EVALUATION_SIGNATURE
        if not path.is_file():
            told.append(f"{UNSIGNED}: nobody signed the item table of the {role}")
            continue
        answer = _answer(path, trust, received)
        if not answer.is_valid:
            told.append(f"{UNSIGNED}: the signature under the {role}'s item table does not count here ({answer.reason})")
            continue
        odd = list(_odd(bundle, role, answer.statement))
        faults += [f"the signature under the {role}'s evaluation is over another {name}" for name in odd]
        by.append({key.keyid for key in answer.signers})
    both = tuple(sorted(set.intersection(*by))) if len(by) == len(PAIR) and not faults else ()
    return EvaluationStanding(faults=tuple(faults), standing=tuple(told), signers={"evaluation": both})


def _answer(path: Path, trust: TrustStore, received: datetime.datetime) -> Verification:
    try:
        envelope = json_file(path)
    except (InputError, OSError, ValueError):
        return Verification(is_valid=False, reason="it cannot be read")
    if not isinstance(envelope, Mapping):
        return Verification(is_valid=False, reason="it is not an envelope")
    return verify_statement(envelope, trust, purpose="evaluation", at=received, predicate_type=EVALUATION_PREDICATE)


def _odd(bundle: BundleReader, role: str, signed: Mapping[str, Any]) -> Iterator[str]:
    stated = {str(s.get("name")): PREFIX + str(dict(s.get("digest") or {}).get("sha256")) for s in signed["subject"]}
    for name in (ITEMS, EVALUATION):
        if stated.get(name) != bundle.digest(of_role(role, name)):
            yield name
    words = _words(bundle.evaluations[role])
    predicate = signed["predicate"]
    yield from (name for name in ("plan", "items", "model", "weights") if predicate.get(name) != words[name])


def _words(document: Mapping[str, Any]) -> dict[str, Any]:
    who = document.get("model") if isinstance(document.get("model"), Mapping) else {}
    return {
        "plan": str(document.get("plan", "")),
        "items": str(document.get("items", "")),
        "model": str((who or {}).get("model", "")),
        "weights": str((who or {}).get("weights", "")),
        "environment": {"versions": dict(document.get("versions") or {}), "how": dict(document.get("how") or {})},
    }
