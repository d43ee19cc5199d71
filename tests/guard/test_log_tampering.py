"""The guard reads what happened in the signed log: a clock set back, a revocation taken away, a spoilt row and a key made good again."""

from __future__ import annotations

import datetime

import pytest
import sqlalchemy as sa
from mlflow.exceptions import MlflowException
from sqlalchemy.orm import Session

from kdgov.evidence.trust_store import load_trust, save_trust, trust_path, trusted_key, with_revoked
from kdgov.guard.log_reading import refuse_on_broken_log
from kdgov.guard.stores import registry_store
from kdgov.pipeline.audit import AuditRequest, audit_registry
from kdgov.recording.promotion import revoke
from kdgov.recording.verify import verify_version
from tests.guard.ways_database import DatabaseEdit, made


def test_a_clock_set_back_raises_no_standing_and_may_lower_one(embedded, monkeypatch):
    recorded = embedded.record()
    with embedded.client() as client:
        client.set_registered_model_alias(recorded.name, "champion", str(recorded.version))
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=200)
    trust = load_trust(trust_path(embedded.target.store))
    engine = sa.create_engine(embedded.database)
    with Session(engine) as session:
        refuse_on_broken_log(session, "demote", long_ago, is_signed=True, trust=trust)
        with pytest.raises(MlflowException, match="Set the clock"):
            refuse_on_broken_log(session, "promote", long_ago, is_signed=True, trust=trust)
    engine.dispose()
    with monkeypatch.context() as patch, embedded.client() as client:
        patch.setattr(registry_store, "now", lambda: long_ago)
        with pytest.raises(MlflowException, match="kdgov refuses"):
            client.set_registered_model_alias(recorded.name, "production", str(recorded.version))
    with embedded.client() as client:
        client.set_registered_model_alias(recorded.name, "production", str(recorded.version))


def test_a_revocation_whose_row_is_deleted_still_counts(site):
    recorded = site.record()
    revoke(recorded.name, recorded.version, site.target, reason="leaks addresses")
    gone = "DELETE FROM kdgov_envelopes WHERE kind = 'revoke' AND name = :name"
    with made(site, recorded, DatabaseEdit(what="revocation", sql=(gone,), tables=("kdgov_envelopes",))) as touched:
        assert touched == 1
        with site.client() as client, pytest.raises(MlflowException, match="revoked by log entry"):
            client.set_registered_model_alias(recorded.name, "champion", str(recorded.version))
        assert not verify_version(recorded.name, recorded.version, site.target).holds


def test_a_spoilt_row_is_named_and_takes_no_other_model_out_of_use(site):
    spoilt, other = site.record(), site.record()
    text = "UPDATE kdgov_log SET entry = '[[[' WHERE name = :name"
    request = AuditRequest(store=site.target.store, registry=None if site.target.is_embedded else site.target.tracking_uri)
    with made(site, spoilt, DatabaseEdit(what="row", sql=(text,), tables=("kdgov_log",))) as touched:
        assert touched == 1
        with site.client() as client, pytest.raises(MlflowException, match="cannot be read any more"):
            client.set_registered_model_alias(spoilt.name, "champion", str(spoilt.version))
        document = audit_registry(request)
        assert "log" in {finding["subject"].split()[0] for finding in document["log"] if finding["standing"] == "violated"}
        assert other.name in {row["name"] for row in document["versions"]}
    with site.client() as client:
        client.set_registered_model_alias(other.name, "champion", str(other.version))
    assert verify_version(other.name, other.version, site.target).holds


def test_a_key_that_the_log_calls_compromised_is_not_made_good_by_an_edit_of_the_trust_file(own_embedded, tmp_path):
    """Whoever can write the trust file takes the mark off; every further promotion is refused until it is back."""
    from kdgov.evidence.signing_keys import new_key

    recorded, path = own_embedded.record(), trust_path(own_embedded.target.store)
    before = path.read_bytes()
    public = new_key(tmp_path, "lost", passphrase=None).public_path.read_text()
    listed = load_trust(path).with_key(trusted_key(public, name="lost", purposes=["decision"]))
    marked = with_revoked(listed, "lost", because="leaked", compromised=True, at=datetime.datetime.now(datetime.UTC))
    engine = sa.create_engine(own_embedded.database)
    try:
        save_trust(path, marked)
        with own_embedded.client() as client:
            client.set_registered_model_alias(recorded.name, "champion", str(recorded.version))
            save_trust(path, listed)
            with pytest.raises(MlflowException, match="lets it count again"):
                client.set_registered_model_alias(recorded.name, "production", str(recorded.version))
            save_trust(path, marked)
            client.set_registered_model_alias(recorded.name, "production", str(recorded.version))
    finally:
        path.write_bytes(before)
        engine.dispose()
