"""A decision signed by a CI job's identity names workflow, repository and commit, and counts for exactly the job that is listed."""

from __future__ import annotations

import datetime

import pytest

pytest.importorskip("sigstore", reason="the extra kdgov[signing] is not installed")
from cryptography.x509.oid import ExtendedKeyUsageOID
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.errors import InputError, UnavailableError
from kdgov.evidence.event_chain import GENESIS, LogEntry, standing_of, trust_faults
from kdgov.evidence.identities import identity_signer
from kdgov.evidence.identities.authorities import trusted_identity
from kdgov.evidence.signing import add_signature, sign_statement, statement, verify_statement
from kdgov.evidence.signing_keys import load_signer, new_key
from kdgov.evidence.trust_store import TrustStore, load_trust, with_revoked
from tests.evidence.stand_in_fulcio import COMMIT, ISSUER, REF, REPOSITORY, WORKFLOW, Authority, now, served

JOB = {"issuer": ISSUER, "repository": REPOSITORY, "workflow": WORKFLOW, "ref": REF}
BODY = statement("urn:kdgov:predicate:release-decision:v1", {"x": 1}, subjects={"d": "sha256:" + "0" * 64})


@pytest.fixture
def signed(monkeypatch):
    """Signs a statement as a CI job does; gives the envelope."""

    def sign(authority: Authority, **claims):
        identity_signer._signer.cache_clear()
        with served(authority) as address:
            monkeypatch.setenv("KDGOV_FULCIO_URL", address)
            monkeypatch.setenv("SIGSTORE_ID_TOKEN", authority.token(**claims))
            return sign_statement(BODY, [load_signer("sigstore")], at=now())

    return sign


def listed(authority: Authority, folder, **change) -> TrustStore:
    """A trust store that lists the job for decisions."""
    (folder / "root.pem").write_text(authority.pem)
    job = {**JOB, **change}
    return TrustStore(identities=[trusted_identity("release job", job=job, root=folder / "root.pem", purposes=["decision"], roles=[])])


def test_the_job_is_named_with_repository_workflow_and_commit(signed, tmp_path):
    authority = Authority()
    envelope = signed(authority)
    answer = verify_statement(envelope, listed(authority, tmp_path), purpose="decision", at=now())
    assert answer.is_valid, answer.reason
    (key,) = answer.signers
    assert key.name == f"release job (git.example/acme/models {WORKFLOW}@{REF}, commit {COMMIT})"
    # Days later it counts for the moment at which it was received, and for no later one.
    later = now() + datetime.timedelta(days=1)
    assert not verify_statement(envelope, listed(authority, tmp_path), purpose="decision", at=later).is_valid


@pytest.mark.parametrize(
    ("claims", "change"),
    [
        ({"repository": "https://git.example/evil/models"}, {}),
        ({"ref": "refs/pull/7/merge"}, {}),
        ({"workflow": ".github/workflows/other.yaml"}, {}),
        ({"iss": "https://issuer.evil.example"}, {}),
        ({}, {"repository": "https://git.example/acme"}),
    ],
)
def test_another_job_does_not_count(signed, tmp_path, claims, change):
    authority = Authority()
    answer = verify_statement(signed(authority, **claims), listed(authority, tmp_path, **change), purpose="decision", at=now())
    assert not answer.is_valid
    assert "not trusted here" in answer.reason


@pytest.mark.slow
def test_a_certificate_of_another_authority_another_kind_or_another_time_does_not_count(signed, tmp_path):
    authority = Authority()
    trust = listed(authority, tmp_path)
    for other in (
        Authority(),
        Authority(own=authority.own, purpose=ExtendedKeyUsageOID.SERVER_AUTH),
        Authority(own=authority.own, begins=datetime.timedelta(hours=-2)),
        Authority(own=authority.own, begins=datetime.timedelta(hours=2)),
    ):
        assert not verify_statement(signed(other), trust, purpose="decision", at=now()).is_valid


def test_a_certificate_vouches_for_its_own_key_and_purpose_alone(signed, tmp_path):
    authority = Authority()
    trust, envelope = listed(authority, tmp_path), signed(authority)
    assert not verify_statement(envelope, trust, purpose="approval", at=now()).is_valid
    stranger = new_key(tmp_path, "stranger", passphrase=None)
    forged = sign_statement(BODY, [load_signer(f"file:{stranger.private_path}")], at=now())
    (chain,) = envelope["certificates"].values()
    (own,) = [row["keyid"] for row in forged["signatures"]]
    assert not verify_statement({**forged, "certificates": {own: chain}}, trust, purpose="decision", at=now()).is_valid
    for odd in (None, [], [1], ["x"], ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"], chain * 9, {"a": 1}):
        keyid = next(iter(envelope["certificates"]))
        assert not verify_statement({**envelope, "certificates": {keyid: odd}}, trust, purpose="decision", at=now()).is_valid
    both = add_signature(envelope, load_signer(f"file:{stranger.private_path}"))
    assert verify_statement(both, trust, purpose="decision", at=now()).is_valid


def test_a_revoked_identity_counts_no_more(signed, tmp_path):
    authority = Authority()
    trust = with_revoked(listed(authority, tmp_path), "release job", because="runner taken over", compromised=True, at=now())
    answer = verify_statement(signed(authority), trust, purpose="decision", at=now())
    assert "compromised (runner taken over)" in answer.reason


def test_a_revocation_edited_out_of_the_trust_file_is_named_from_the_log(tmp_path):
    plain = listed(Authority(), tmp_path)
    trust = with_revoked(plain, "release job", because="runner taken over", compromised=True, at=now())
    fields = {
        "previous": GENESIS,
        "at": "2026-11-27T00:00:00Z",
        "kind": "decide",
        "workspace": "default",
        "name": "m",
        "version": 1,
        "by": "x",
    }
    entry = LogEntry(seq=1, **fields, details=standing_of(trust))
    assert trust_faults([entry], trust) == ()
    assert trust_faults([entry], plain) == ("identity release job was compromised by entry 1, and this trust store lets it count again",)


def test_without_a_token_or_an_authority_it_says_so_and_repeats_no_token(monkeypatch):
    identity_signer._signer.cache_clear()
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", "not.a.token")
    with pytest.raises(InputError, match="none for Sigstore"):
        load_signer("sigstore")
    authority = Authority()
    token = authority.token()
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", token)
    monkeypatch.setenv("KDGOV_FULCIO_URL", "http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="gave no certificate") as caught:
        load_signer("sigstore")
    assert token not in str(caught.value)


@pytest.mark.parametrize("form", ["pem", "trusted_root"])
def test_the_command_lists_a_job(tmp_path, form):
    authority = Authority()
    root = tmp_path / "root"
    root.write_text(authority.pem if form == "pem" else authority.trusted_root)
    given = [text for key, value in JOB.items() for text in (f"--{key}", value)]
    place = ["--trust", str(tmp_path / "trust.json")]
    done = CliRunner().invoke(app, ["keys", "trust-identity", "ci", *given, "--root", str(root), "--for", "decision", *place])
    assert done.exit_code == 0, done.output
    (identity,) = load_trust(tmp_path / "trust.json").identities
    assert identity.authorities == [authority.pem]
    assert f"CI job {REPOSITORY} {WORKFLOW}@{REF}" in CliRunner().invoke(app, ["keys", "list", *place]).output
    nothing = CliRunner().invoke(app, ["keys", "trust-identity", "ci", *given, "--root", str(root), *place])
    assert nothing.exit_code == 2
    root.write_text("{}")
    assert (
        CliRunner().invoke(app, ["keys", "trust-identity", "ci", *given, "--root", str(root), "--for", "decision", *place]).exit_code == 2
    )
