"""A release recorded by a CI job that holds no key: guard, verify and audit name workflow, repository and commit."""

from __future__ import annotations

import pytest

pytest.importorskip("sigstore", reason="the extra kdgov[signing] is not installed")
from kdgov.evidence.identities import identity_signer
from kdgov.evidence.identities.authorities import trusted_identity
from kdgov.evidence.trust_store import load_trust, save_trust, trust_path
from kdgov.pipeline.audit import AuditRequest, audit_version
from kdgov.recording.client.client import RefusedByGuardError
from kdgov.recording.promotion import promote
from kdgov.recording.verify import verify_version
from tests.evidence.stand_in_fulcio import COMMIT, ISSUER, REF, REPOSITORY, WORKFLOW, Authority, served


@pytest.fixture
def job(embedded, tmp_path, monkeypatch):
    """A CI job that the registry's trust store lists for decisions; gives the authority, and lets the job hold another token."""
    embedded.record()
    path = trust_path(embedded.target.store)
    before, authority = path.read_bytes(), Authority()
    (tmp_path / "root.pem").write_text(authority.pem)
    named = {"issuer": ISSUER, "repository": REPOSITORY, "workflow": WORKFLOW, "ref": REF}
    identity = trusted_identity("release job", job=named, root=tmp_path / "root.pem", purposes=["decision"], roles=[])
    with served(authority) as address:
        monkeypatch.setenv("KDGOV_FULCIO_URL", address)
        monkeypatch.setenv("KDGOV_SIGNING_KEY", "sigstore")

        def runs(**claims) -> None:
            identity_signer._signer.cache_clear()
            monkeypatch.setenv("SIGSTORE_ID_TOKEN", authority.token(**claims))

        runs()
        try:
            save_trust(path, load_trust(path).model_copy(update={"identities": [identity]}))
            yield runs
        finally:
            path.write_bytes(before)


def test_a_job_records_and_its_release_is_promoted_verified_and_audited_by_name(embedded, job):
    recorded = embedded.record()
    assert promote(recorded.name, recorded.version, embedded.target).done
    report = verify_version(recorded.name, "@champion", embedded.target)
    assert report.holds
    (signature,) = [check for check in report.checks if check.what == "signature"]
    assert f"{WORKFLOW}@{REF}, commit {COMMIT}" in signature.detail
    findings = audit_version(recorded.name, recorded.version, AuditRequest(store=embedded.target.store)).findings
    assert not [f for f in findings if f.standing == "violated"]
    assert any(COMMIT in finding.reason for finding in findings)


def test_the_same_job_on_another_branch_is_refused(embedded, job):
    job(ref="refs/pull/7/merge")
    with pytest.raises(RefusedByGuardError, match="not trusted here"):
        embedded.record()
