"""The verdict in the words of others: read and checked by the public libraries alone."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.predicates.vsa.v1 import vsa_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from typer.testing import CliRunner

from kdgov.cli.app import app


def _read(path, site):
    """The statement of an envelope whose signature holds, parsed strictly: an unknown field would be a fault."""
    envelope = Envelope.from_dict(json.loads(path.read_text()))
    key = SSlibKey.from_crypto(load_pem_public_key((site.target.store / "keys" / "project.pub").read_bytes()))
    envelope.verify([key], 1)
    statement = json_format.Parse(envelope.payload, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    return json_format.MessageToDict(statement)


@pytest.mark.parametrize(("verdict", "code", "result"), [("pass", 0, "PASSED"), ("fail", 1, "FAILED")])
def test_both_statements_are_valid_and_say_the_verdict(embedded, tmp_path, verdict, code, result):
    made = embedded.record(verdict)
    svr, vsa = tmp_path / "svr.json", tmp_path / "vsa.json"
    words = ["verify", made.name, str(made.version), "--store", str(embedded.target.store), "--svr", str(svr), "--vsa", str(vsa)]
    assert CliRunner().invoke(app, words).exit_code == code
    with embedded.client() as client:
        tags = client.get_model_version(made.name, str(made.version)).tags
    simple, summary = _read(svr, embedded), _read(vsa, embedded)
    for statement in (simple, summary):
        digests = {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
        assert digests["model"] == tags["kdgov.model"].removeprefix("sha256:")
    assert simple["predicateType"] == "https://in-toto.io/attestation/svr/v0.1"
    assert ("KDGOV_RELEASE_PASS" in simple["predicate"]["properties"]) is (verdict == "pass")
    assert simple["predicate"]["verifier"]["id"].startswith("urn:kdgov:verifier:")
    assert summary["predicateType"] == "https://slsa.dev/verification_summary/v1"
    # SLSA 1.0 makes it a list; the library's schema has one string there.
    levels = summary["predicate"].pop("verifiedLevels")
    assert ("KDGOV_RELEASE_PASS" in levels) is (verdict == "pass")
    read = json_format.ParseDict(summary["predicate"], vsa_pb2.VerificationSummary())
    assert read.verification_result == result
    assert read.policy.digest["sha256"]
