"""Who asked a recorded model again and got the recorded answers: the last word against invented item tables, signed.

`kdgov audit --replay N --attest` writes it beside the trust store; a layout can demand it for named models before a promotion.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path

from securesystemslib.signer import Signer  # type: ignore[attr-defined]

from kdgov.digest import PREFIX, write_atomic
from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import DECISION
from kdgov.evidence.signing import REPLAY_PREDICATE, sign_statement, statement, verify_statement
from kdgov.evidence.trust_store import TrustStore
from kdgov.safe_parse import json_file

FOLDER = "replays"


def sign_replay(trust_file: Path, decision: str, sample: int, signers: Sequence[Signer], *, at: datetime.datetime) -> Path:
    """Write that ``sample`` items of every task were asked again under a decision, each as recorded; the file written.

    Args:
        trust_file: the trust store's file.
        decision: digest of the decision, which names the model and the tables.
        sample: items per task.
        signers: keys of the purpose ``evaluation``.
        at: when, with a zone.
    """
    envelope = sign_statement(statement(REPLAY_PREDICATE, {"sample": sample}, subjects={DECISION: decision}), signers, at=at)
    path = trust_file.parent / FOLDER / f"{decision.removeprefix(PREFIX)}.dsse.json"
    write_atomic(path, (json.dumps(envelope, indent=1, sort_keys=True) + "\n").encode())
    return path


def replayed(trust_file: Path, trust: TrustStore, decision: str, *, at: datetime.datetime) -> int:
    """Items per task that somebody trusted for evaluations asked again under a decision; 0 where nobody did.

    Args:
        trust_file: the trust store's file.
        trust: its content.
        decision: digest of the decision.
        at: now, with a zone.
    """
    path = trust_file.parent / FOLDER / f"{decision.removeprefix(PREFIX)}.dsse.json"
    try:
        envelope = json_file(path)
    except (OSError, InputError, ValueError):
        return 0
    if not isinstance(envelope, dict):
        return 0
    answer = verify_statement(envelope, trust, purpose="evaluation", at=at, predicate_type=REPLAY_PREDICATE)
    if not answer.is_valid:
        return 0
    named = [PREFIX + str(dict(subject.get("digest") or {}).get("sha256")) for subject in answer.statement["subject"]]
    sample = answer.predicate.get("sample")
    return sample if named == [decision] and isinstance(sample, int) else 0
