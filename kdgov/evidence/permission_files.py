"""Signed waivers and approvals: written, verified, and turned into the values the gate takes."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgov.decision.decision import Approval, Decision, Waiver, decision_from_json
from kdgov.digest import canonical_json, digest_bytes, write_atomic
from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import DECISION
from kdgov.evidence.gate_inputs import Statements
from kdgov.evidence.permission_statements import answer_statement
from kdgov.evidence.signing import APPROVAL_PREDICATE, WAIVER_PREDICATE, sign_statement, statement
from kdgov.evidence.signing_keys import load_signer
from kdgov.evidence.trust_store import TrustStore
from kdgov.safe_parse import json_value

_NAME_IT = f"Name the {DECISION} that `kdgov gate` wrote."


def read_statements(paths: Sequence[Path], *, trust: TrustStore, as_of: str = "", received: datetime.datetime | None = None) -> Statements:
    """Read and verify signed waivers and approvals.

    Args:
        paths: signed envelopes.
        trust: whose signatures count.
        as_of: day on which waivers are counted, YYYY-MM-DD; default today.
        received: when the statements came in, with a zone: now for new ones (the default). For those of a recorded release
            the logged time, so that a key past its end still vouches for what came in while it was valid.

    Raises:
        InputError: if a file is not a signed statement, or no trusted key signed it.
    """
    if not paths:
        return Statements(as_of=as_of)
    now = received or datetime.datetime.now(datetime.UTC)
    made: dict[str, Waiver | Approval] = {}
    envelopes: dict[str, bytes] = {}
    for path in paths:
        envelope = _envelope(path)
        data = canonical_json(envelope)
        name = f"{digest_bytes(data).removeprefix('sha256:')[:24]}.json"
        answer = answer_statement(envelope, trust, at=now)
        if not answer.counted:
            raise InputError(answer.fault, where=str(path), mend=answer.mend)
        made[name], envelopes[name] = answer.counted[0], data
    # By digest, not by path: the order in which statements are handed in must not change a decision.
    ordered = [made[name] for name in sorted(made)]
    waivers = tuple(item for item in ordered if isinstance(item, Waiver))
    approvals = tuple(item for item in ordered if isinstance(item, Approval))
    day = as_of or (now.date().isoformat() if waivers else "")
    return Statements(waivers=waivers, approvals=approvals, as_of=day, envelopes=envelopes)


def statements_about(folder: Path, decision: str) -> list[Path]:
    """Files of a folder that say they are about one decision; whether that counts, `read_statements` tells."""
    return [path for path in sorted(folder.glob("*.json")) if _claims(path) == decision]


def named_statements(paths: Sequence[Path], decision: str) -> list[Path]:
    """The files a user named; a folder stands for those of its files that say they are about this decision."""
    return [file for path in paths for file in (statements_about(path, decision) if path.is_dir() else [path])]


def _claims(path: Path) -> str:
    try:
        body = json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))
        return str(body["predicate"]["decision"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def read_decision(path: Path) -> Decision:
    """A decision document, canonical or as `kdgov gate --format json` printed it.

    Raises:
        InputError: if it is none, or its stated digest is not that of its content.
    """
    try:
        document = json_value(path.read_bytes(), where=str(path))
        decision = decision_from_json(document)
    except FileNotFoundError as error:
        raise InputError("there is no such file", where=str(path), mend=_NAME_IT) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"is not a decision document: {error}", where=str(path), mend=_NAME_IT) from error
    stated = document.get("digest")
    if stated is not None and stated != decision.digest:
        raise InputError("its content is not what its digest says", where=str(path), mend="Take the decision as `kdgov gate` wrote it.")
    return decision


def sign_waiver(decision: Decision, *, criterion: str, place: str, owner: str, reason: str, expires: str, key: str) -> dict[str, Any]:
    """Signed envelope that sets one result of one decision aside until a day.

    Raises:
        InputError: if the decision has no such result to waive, or the day is none.
    """
    today = datetime.datetime.now(datetime.UTC)
    _check_waivable(decision, criterion, place)
    try:
        last = datetime.date.fromisoformat(expires)
    except ValueError as error:
        raise InputError(f"--expires {expires!r} is not a date", mend="Write it as YYYY-MM-DD.") from error
    if last < today.date():
        raise InputError(f"--expires {expires} is over", mend="Name a day that is still to come.")
    predicate = {
        "decision": decision.digest,
        "criterion": criterion,
        "place": place,
        "owner": owner,
        "reason": reason,
        "expires": expires,
        "issued": today.date().isoformat(),
    }
    body = statement(WAIVER_PREDICATE, predicate, subjects={DECISION: decision.digest})
    return sign_statement(body, [load_signer(key)], at=today)


def sign_approval(decision: Decision, *, role: str, by: str, note: str, key: str) -> dict[str, Any]:
    """Signed envelope by which a role approves one decision."""
    today = datetime.datetime.now(datetime.UTC)
    predicate = {"decision": decision.digest, "role": role, "by": by, "note": note, "issued": today.date().isoformat()}
    body = statement(APPROVAL_PREDICATE, predicate, subjects={DECISION: decision.digest})
    return sign_statement(body, [load_signer(key)], at=today)


def write_envelope(envelope: Mapping[str, Any], out: Path | None, folder: Path) -> Path:
    """Write an envelope where asked, or under its digest in a folder; the path written."""
    data = canonical_json(envelope)
    path = out or folder / f"{digest_bytes(data).removeprefix('sha256:')[:24]}.json"
    write_atomic(path, data)
    return path


def _check_waivable(decision: Decision, criterion: str, place: str) -> None:
    if decision.base:
        raise InputError(
            "the decision already rests on waivers or approvals",
            mend=f"Waive the decision before them, {decision.base[:19]}…: run the gate without statements.",
        )
    stopping = [r for r in decision.criteria if r.verdict != "pass"]
    results = [r for r in stopping if r.id == criterion and place in ("", r.place)]
    findings = [f for f in decision.findings if f.rule == criterion and f.stops]
    if any(r.verdict == "invalid" for r in results) or any(f.verdict == "invalid" for f in findings):
        raise InputError(f"{criterion} is invalid, which nobody can waive", mend="Correct the evidence and judge again.")
    if any(f.verdict == "block" for f in findings):
        raise InputError(f"{criterion} blocks, which nobody can waive", mend="Lift what the finding names.")
    if not results and not findings:
        open_ones = sorted({f"{r.id} at {r.place}" for r in stopping} | {f.rule for f in decision.findings if f.verdict == "review"})
        raise InputError(
            f"the decision has no open result {criterion!r}" + (f" at {place!r}" if place else ""),
            mend=f"Open: {'; '.join(open_ones) or 'nothing'}.",
        )


def _envelope(path: Path) -> dict[str, Any]:
    try:
        envelope: dict[str, Any] = json_value(path.read_bytes(), where=str(path))
    except FileNotFoundError as error:
        raise InputError(
            "there is no such file", where=str(path), mend="Name a file that `kdgov waive` or `kdgov approve` wrote."
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"is not a signed statement: {error}", where=str(path), mend="Sign it again with `kdgov waive` or `kdgov approve`."
        ) from error
    if not isinstance(envelope, dict):
        raise InputError("is not a signed statement", where=str(path), mend="Sign it again with `kdgov waive` or `kdgov approve`.")
    return envelope
