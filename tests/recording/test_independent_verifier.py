"""A pass re-derived by somebody who does not have kdgov: hashes and signatures, from the downloaded files alone.

`verify_pass` imports the standard library, securesystemslib and in_toto_attestation, nothing else; a test holds it to that. It works the
verdict out again from the counts of items lost and won: their bounds by its own formula, the margins, what decides and what stops. What it
cannot do without kdgov is read these counts off the item tables again; everything that says whose tables these are, it does.
"""

from __future__ import annotations

import ast
import base64
import json
import shutil
from pathlib import Path

import pytest

from kdgov.evidence.bundle import write_manifest
from kdgov.evidence.derivation.evaluation_statement import sign_evaluation
from kdgov.recording.client.signers import signing_for
from kdgov.recording.release_recording import record_release
from tests.recording.evidence_bundle import bundle, checkpoint
from tests.recording.independent_verifier import verify_pass

ALLOWED = {"__future__", "sys", "hashlib", "json", "pathlib", "securesystemslib", "in_toto_attestation", "google", "cryptography"} | {
    "math",
    "collections",
    "statistics",
}


@pytest.fixture(scope="module")
def shown(embedded, tmp_path_factory):
    """What anyone may download of a recorded pass whose evaluation is signed: run folder, model folder, public key."""
    import datetime

    root = tmp_path_factory.mktemp("independent")
    weights = checkpoint(root / "model")
    (weights / "generation_config.json").write_text("{}")
    folder = bundle(root / "bundle", name="independent", weights=weights)
    for role in ("teacher", "student"):
        sign_evaluation(folder / role, signing_for(embedded.target.store).signers, at=datetime.datetime.now(datetime.UTC))
    write_manifest(folder)
    recorded = record_release(folder, embedded.target, weights=weights)
    with embedded.client() as client:
        for part in ("evidence", "attestation"):
            client.download_artifacts(recorded.run_id, part, str(root))
    shutil.copy(embedded.target.store / "keys" / "project.pub", root / "key.pub")
    shutil.copy(embedded.target.store / "keys" / "project.key", root / "project.key")
    return root


def test_the_verifier_does_not_know_kdgov():
    tree = ast.parse((Path(__file__).parent / "independent_verifier.py").read_text())
    named = {a.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    named |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert named <= ALLOWED, named - ALLOWED


def test_a_pass_is_verified_from_its_files(shown):
    assert verify_pass(shown / "evidence", shown / "attestation", shown / "model", shown / "key.pub") == []


def _edit(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


def _resealed(root: Path, path: str, old: bytes, new: bytes) -> None:
    """A change with a manifest that fits it."""
    _edit(root / "evidence" / path, old, new)
    write_manifest(root / "evidence")


def _signed_anew(root: Path, old: bytes, new: bytes) -> None:
    """A changed decision under a statement that names it and the new manifest, signed with the trusted key itself."""
    import datetime

    from kdgov.digest import digest_file
    from kdgov.evidence.signing import sign_statement
    from kdgov.evidence.signing_keys import load_signer

    _resealed(root, "decision.json", old, new)
    path = next((root / "attestation").glob("*.json"))
    said = json.loads(base64.b64decode(json.loads(path.read_text())["payload"]))
    for name, file in (("decision", "decision.json"), ("bundle", "manifest.json")):
        said["predicate"][name] = digest_file(root / "evidence" / file)
    del said["predicate"]["signed_at"]
    signed = sign_statement(said, [load_signer(f"file:{root / 'project.key'}")], at=datetime.datetime.now(datetime.UTC))
    path.write_text(json.dumps(signed))


CHANGES = {
    "a bound that the counts do not give, signed": lambda r: _signed_anew(r, b'"bound":-0.0120143337', b'"bound":-0.0020143337'),
    "a result that did not pass, signed": lambda r: _signed_anew(r, b'"pass","waived":false', b'"inconclusive","waived":false'),
    "a finding that stops, signed": lambda r: _signed_anew(r, b'"teacher","verdict":"pass"', b'"teacher","verdict":"block"'),
    "an item table": lambda r: (r / "evidence" / "student" / "items.parquet").write_bytes(b"PAR1"),
    "a file added": lambda r: (r / "evidence" / "more.json").write_text("{}"),
    "the decision, sealed anew": lambda r: _resealed(r, "decision.json", b'"verdict":"pass"', b'"verdict":"PASS"'),
    "the evaluation, sealed anew": lambda r: _resealed(r, "student/evidence.json", b"kdgov.evaluation/1", b"kdgov.evaluation/2"),
    "the model's configuration": lambda r: _edit(r / "model" / "config.json", b"TinyForCausalLM", b"HugeForCausalLM"),
    "a stray file": lambda r: (r / "model" / "pytorch_model.bin").write_bytes(b"x"),
    "the statement": lambda r: _edit(next((r / "attestation").glob("*.json")), b'"payload": "ey', b'"payload": "fy'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_found(shown, tmp_path, change):
    root = tmp_path / "copy"
    shutil.copytree(shown, root)
    CHANGES[change](root)
    faults = verify_pass(root / "evidence", root / "attestation", root / "model", root / "key.pub")
    assert faults
    if change.endswith(", signed"):
        # Every signature and digest fits: it is the verdict that is worked out otherwise.
        assert all("capability-retained" in fault or "finding" in fault for fault in faults), faults


def test_another_key_verifies_nothing(shown, tmp_path):
    from kdgov.evidence.signing_keys import new_key

    other = new_key(tmp_path, "other", passphrase=None).public_path
    assert verify_pass(shown / "evidence", shown / "attestation", shown / "model", other)


def test_the_documentation_names_the_verifier(project_root):
    assert "tests/recording/independent_verifier.py" in (project_root / "docs" / "security.md").read_text()
