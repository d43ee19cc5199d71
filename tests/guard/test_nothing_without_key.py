"""Without a key nobody spoils a recording: not while it is made, not by reading it, not by one damaged version among many."""

from __future__ import annotations

import mlflow
import pytest

from kdgov.guard.stores.locations import location_fault
from kdgov.guard.stores.reserved_tags import reserved
from kdgov.pipeline.audit import AuditRequest, Scope, audit_registry, audit_version
from kdgov.recording.verify import verify_version
from tests.guard.ways_without_key import squat


@pytest.mark.parametrize("path", ["evidence/decision.json", "charts/extra.svg", "attestation/extra.json", "kdgov.sealed"])
def test_a_squatted_run_is_given_up_and_the_release_recorded_in_another(embedded, path):
    made = squat(embedded, path, b"forged")
    with embedded.client() as client:
        assert [str(v.version) for v in client.search_model_versions(f"name = '{made.name}'")] == [str(made.version)]
        client.set_registered_model_alias(made.name, "champion", str(made.version))
    assert verify_version(made.name, made.version, embedded.target).holds


def test_mlflows_own_reading_changes_nothing_and_leaves_the_audit_as_it_was(embedded):
    made = embedded.record()
    before = _violated(embedded, made)
    with embedded.client() as client:
        version = client.get_model_version(made.name, str(made.version))
        place = client.get_logged_model(version.source.removeprefix("models:/")).artifact_location.removeprefix("kdgov-artifacts:")
        files = {p: p.stat().st_mtime_ns for p in embedded.target.store.joinpath("artifacts").rglob("*") if p.is_file()}
        got = mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{made.name}/{made.version}")
        assert (embedded.folder / "store").resolve() not in type(embedded.folder)(got).resolve().parents
    assert {p: p.stat().st_mtime_ns for p in embedded.target.store.joinpath("artifacts").rglob("*") if p.is_file()} == files
    # An older kdgov, or a plain client on the disk, let MLflow leave its note there.
    note = type(embedded.folder)(place) / "registered_model_meta"
    note.write_text(f"model_name: {made.name}\nmodel_version: '{made.version}'\n")
    assert _violated(embedded, made) == before == []
    note.write_text("model_name: x\nmodel_version: '1'\nextra: 1\n")
    assert _violated(embedded, made)


def test_one_damaged_version_does_not_end_the_overview(embedded):
    damaged, whole = embedded.record(), embedded.record()
    for path in embedded.target.store.glob(f"artifacts/*/{damaged.run_id}/artifacts/attestation/*"):
        kept = path.read_bytes()
        path.write_bytes(b"[" * 100_000)
        try:
            rows = audit_registry(AuditRequest(store=embedded.target.store), Scope())["versions"]
            assert not verify_version(damaged.name, damaged.version, embedded.target).holds
        finally:
            path.write_bytes(kept)
    outcome = {row["name"]: row["outcome"] for row in rows}
    assert outcome[damaged.name] == "violated"
    assert outcome[whole.name] != "violated"


@pytest.mark.parametrize(
    "key", ["KDGOV.verdict", " kdgov.x", "kdgоv.verdict", "kd\u200bgov.verdict", "ｋｄｇｏｖ．verdict", "kdgov\u2024verdict"]
)
def test_a_tag_that_reads_like_the_guards_is_reserved(key):
    assert reserved(key)
    assert not reserved("team")
    assert not reserved("kdgov-recording")
    assert not reserved("mlflow.note.content")


@pytest.mark.parametrize(
    ("location", "is_request", "is_refused"),
    [
        ("", True, False),
        ("s3://other/x", True, False),
        ("s3://models/registry/1/run/artifacts/evidence", True, True),
        ("s3a://models/registry/1", True, True),
        ("s3://models", True, True),
        ("s3://models/registry-2", True, False),
        ("mlflow-artifacts:/custom", True, False),
        ("mlflow-artifacts:/1/run/artifacts/charts", True, True),
        ("mlflow-artifacts:/", True, True),
        ("mlflow-artifacts://host/1", True, True),
        ("/tmp/x", True, True),
        ("/tmp/x", False, False),
        ("s3://other/../models/registry", True, True),
    ],
)
def test_where_an_experiment_may_lie(monkeypatch, tmp_path, location, is_request, is_refused):
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", "kdgov-artifacts:s3://models/registry")
    known = ["mlflow-artifacts:/0", "mlflow-artifacts:/1"]
    fault = location_fault("x", location, known=known, root="mlflow-artifacts:/", protected=[tmp_path], is_request=is_request)
    assert bool(fault) is is_refused, fault


def _violated(site, made):
    found = audit_version(made.name, made.version, AuditRequest(store=site.target.store))
    return [f"{f.subject}: {f.reason}" for f in found.findings if f.standing == "violated"]
