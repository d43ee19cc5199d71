"""Verify a recorded pass without kdgov: standard library, securesystemslib and in_toto_attestation.

    python independent_verifier.py EVIDENCE_FOLDER ATTESTATION_FOLDER MODEL_FOLDER KEY.pub

prints what does not hold, and ends with 1; nothing, and 0, where everything does. The key is the one that you trust for decisions and
evaluations; where those are two keys, call it once with each file of interest.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

DOCUMENTATION = (".md", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".pdf")
"""Files of a model's folder that no loader reads; docs/security.md has the whole list."""


def sha256(data: bytes) -> str:
    """``sha256:…``, as kdgov writes digests."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def canonical(value: object) -> bytes:
    """Canonical JSON: sorted keys, no blanks, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def statement_of(path: Path, key: SSlibKey) -> dict:
    """The in-toto statement of an envelope that the key signed.

    Raises:
        ValueError: if the signature or the statement does not hold.
    """
    try:
        envelope = Envelope.from_dict(json.loads(path.read_text()))
        envelope.verify([key], 1)
        Statement.copy_from_pb(json_format.Parse(envelope.payload, statement_pb2.Statement())).validate()
    except (VerificationError, KeyError, TypeError, ValueError, json_format.ParseError) as error:
        raise ValueError(f"{path.name}: {type(error).__name__}: {error}") from error
    return json.loads(envelope.payload)


def folder_digests(folder: Path) -> dict[str, str]:
    """Relative path → digest of every file."""
    return {p.relative_to(folder).as_posix(): sha256(p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()}


def tango_bound(won: int, lost: int, n: int, confidence: float) -> float:
    """Lower bound of the difference of two paired shares (Tango 1998), by bisection: where the score reaches the normal's quantile."""

    def score(delta: float) -> float:
        b, c = -won - lost + (2 * n - won + lost) * delta, -lost * delta * (1 - delta)
        q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        variance = n * (2 * q + delta * (1 - delta))
        return (won - lost - n * delta) / math.sqrt(variance) if variance > 0 else math.inf

    low, high, reached = -1.0, (won - lost) / n, NormalDist().inv_cdf(confidence)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if score(middle) > reached else (low, middle)
    return low


def decided(decision: dict) -> Iterator[tuple[str, bool]]:
    """What a pass needs of the results in a decision, each worked out again."""
    deciding = [row for row in decision["criteria"] if not row["advisory"] and not row["waived"]]
    yield "some result decides", bool(deciding)
    waived = {waiver["criterion"] for waiver in decision["waivers"] if waiver["state"] == "applied"}
    yield "no finding stops it", all(row["verdict"] in ("pass", "warn") or row["rule"] in waived for row in decision["findings"])
    for row in deciding:
        name = f"{row['id']} on {row['suite']}/{row['task']}/{row['metric']}"
        yield f"{name} passes", row["verdict"] == "pass"
        if row["kind"] == "non_inferiority":
            gap = abs(abs(row["student"] - row["teacher"]) - abs(row["difference"]))
            yield f"{name}: the difference is that of the two values", gap < 1e-9
            yield f"{name}: the bound lies within the margin", row["bound"] >= -row["margin"]
        if row["method"] == "tango":
            counts = row["details"]["won"], row["details"]["lost"], row["n"]
            yield f"{name}: won and lost give the difference", abs((counts[0] - counts[1]) / counts[2] - row["difference"]) < 1e-9
            yield f"{name}: they give the bound", abs(tango_bound(*counts, row["confidence"]) - row["bound"]) < 1e-6


def verify_pass(evidence: Path, attestation: Path, model: Path, key_file: Path) -> list[str]:
    """Everything that does not hold of a recorded pass; empty where it does."""
    key = SSlibKey.from_crypto(load_pem_public_key(key_file.read_bytes()))
    try:
        statement = statement_of(next(attestation.glob("*.dsse.json")), key)
        evaluations = {role: statement_of(evidence / role / "evaluation.dsse.json", key) for role in ("teacher", "student")}
    except (ValueError, StopIteration, OSError) as error:
        return [f"signature: {error}"]
    said = statement["predicate"]
    found = folder_digests(evidence)
    manifest_digest = found.pop("manifest.json", "")
    stated = json.loads((evidence / "manifest.json").read_bytes())["files"]
    decision = json.loads((evidence / "decision.json").read_bytes())
    identity = json.loads((evidence / "student" / "identity.json").read_bytes())
    files = {path: digest for path, digest in folder_digests(model).items() if not path.endswith(DOCUMENTATION)}
    holds = {
        "the manifest is the one that was signed": manifest_digest == said["bundle"],
        "every file is the one of the manifest, and no other lies there": found == stated,
        "the decision is the one that was signed": found.get("decision.json") == said["decision"],
        "the verdict is a pass in the decision and in the statement": decision["verdict"] == said["verdict"] == "pass",
        "the policy of the decision is the one of the statement": decision["policy"] == said["policy"],
        "the evidence is about the model of the statement": decision["subject"]["release"] == said["name"],
        "the whole model is the one that was evaluated": sha256(canonical(files)) == said["model"] == identity["model"],
        "the decision judged that model": decision["digests"]["student_model"] == said["model"],
        **dict(decided(decision)),
    }
    for role, signed in evaluations.items():
        subjects = {s["name"]: "sha256:" + s["digest"]["sha256"] for s in signed["subject"]}
        for name in ("items.parquet", "evidence.json"):
            holds[f"{role}/{name} is what whoever asked the model signed"] = subjects[name] == found.get(f"{role}/{name}")
        holds[f"{role}: answered the plan of the decision"] = signed["predicate"]["plan"] == decision["digests"]["plan"]
    holds["the evaluation signed is of the model of the statement"] = evaluations["student"]["predicate"]["model"] == said["model"]
    return [claim for claim, is_so in holds.items() if not is_so]


if __name__ == "__main__":
    import sys

    faults = verify_pass(*map(Path, sys.argv[1:5]))
    sys.stdout.write("".join(f"does not hold: {fault}\n" for fault in faults))
    raise SystemExit(bool(faults))
