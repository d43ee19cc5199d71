"""Recording: one version whatever happens, everything in its place; promoting, revoking, rolling back, verifying, listing."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import threading

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from kdgov.digest import digest_tree
from kdgov.errors import InputError, UnavailableError
from kdgov.evidence.bundle import compare_bundle
from kdgov.recording.client.client import registry_client
from kdgov.recording.client.fetch_bundle import fetch_bundle
from kdgov.recording.client.read_log import read_log
from kdgov.recording.client.target import registry_target, without_password
from kdgov.recording.promotion import promote, revoke, rollback
from kdgov.recording.release_recording import record_release
from kdgov.recording.verified_loading import NotReleasedError, load_model, parse_uri
from kdgov.recording.verify import verify_version
from tests.recording.evidence_bundle import bundle, checkpoint
from tests.recording.policy_list import let_store_count


@pytest.fixture
def made(tmp_path):
    weights = checkpoint(tmp_path / "weights")
    return bundle(tmp_path / "bundle", name=f"m-{tmp_path.name}", weights=weights), weights


def test_a_recording_puts_everything_in_its_place(embedded):
    recorded = embedded.record()
    with embedded.client() as client:
        version = client.get_model_version(recorded.name, str(recorded.version))
        runs = client.search_runs([client.get_run(recorded.run_id).info.experiment_id])
        roles = {run.data.tags["kdgov-role"]: run for run in runs}
        release = roles["release"]
        assert set(roles) == {"release", "teacher", "student"}
        assert (
            roles["teacher"].data.metrics.keys()
            == roles["student"].data.metrics.keys()
            == {"capability/facts/acc", "safety/refusal/refused"}
        )
        assert release.data.metrics["capability-retained/capability/facts/acc/bound"] == pytest.approx(-0.012014, abs=1e-6)
        assert release.data.params["policy.name"] == "default"
        assert {i.dataset.name for i in release.inputs.dataset_inputs} >= {"support-data", "plan"}
        assert {f.path for f in client.list_artifacts(recorded.run_id)} == {"attestation", "card", "charts", "evidence", "kdgov.sealed"}
        assert version.description.startswith("**✔ PASS")
        assert version.tags["kdgov.decision"] == recorded.decision
        assert all(run.info.status == "FINISHED" and "kdgov.sealed" in run.data.tags for run in roles.values())
        assert not [key for key, value in version.tags.items() if "payload" in value], "signed envelopes never become tags"


def test_recording_twice_makes_one_version(embedded, made):
    folder, weights = made
    first = record_release(folder, embedded.target, weights=weights)
    again = record_release(folder, embedded.target, weights=weights)
    assert (first.version, first.run_id) == (again.version, again.run_id)
    with embedded.client() as client:
        assert len(client.search_model_versions(f"name = '{first.name}'")) == 1


@pytest.mark.parametrize(
    "method", ["create_run", "log_batch", "log_artifact", "create_logged_model", "create_model_version", "set_terminated"]
)
def test_killed_at_any_point_it_goes_on_and_makes_one_version(embedded, made, tmp_path, monkeypatch, method):
    """The registry fails once after the call took effect, as when the answer is lost; then the same command runs again."""
    folder, weights = made
    original, failed = getattr(MlflowClient, method), []

    def lost(self, *positional, **named):
        answer = original(self, *positional, **named)
        if not failed:
            failed.append(method)
            raise MlflowException("connection lost", error_code=1)
        return answer

    state = tmp_path / "state.json"
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, method, lost)
        with pytest.raises(UnavailableError):
            record_release(folder, embedded.target, weights=weights, state=state)
    done = record_release(folder, embedded.target, weights=weights, state=state)
    with embedded.client() as client:
        assert [v.version for v in client.search_model_versions(f"name = '{done.name}'")] == ["1"] or done.version >= 1
        assert len(client.search_model_versions(f"name = '{done.name}'")) == 1
    assert verify_version(done.name, done.version, embedded.target).holds


@pytest.mark.nightly
def test_a_full_artifact_store_loses_nothing(embedded, made, tmp_path):
    """A real file system with too little room; when it has room the same call goes on and makes one version."""
    folder, weights = made
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    if subprocess.run([*mount, "size=40k", "none", str(disk)], check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        target = dataclasses.replace(embedded.target, artifact_root=f"kdgov-artifacts:{disk}")
        state = tmp_path / "state.json"
        with pytest.raises(UnavailableError, match="No space left"):
            record_release(folder, target, weights=weights, state=state)
        subprocess.run([*mount, "remount,size=40m", "none", str(disk)], check=True)
        recorded = record_release(folder, target, weights=weights, state=state)
        with embedded.client() as client:
            assert len(client.search_model_versions(f"name = '{recorded.name}'")) == 1
        assert verify_version(recorded.name, recorded.version, embedded.target).holds
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_experiment_that_another_client_made_in_this_moment_is_said_to_be_there(embedded):
    """Two first recordings at once: the second goes on with the first's experiment, so it must hear that it is there."""
    with embedded.client() as client:
        place = f"{embedded.target.artifact_root}/made-at-once"
        client.create_experiment("kdgov/made-at-once", artifact_location=place)
        with pytest.raises(MlflowException) as caught:
            client.create_experiment("kdgov/made-at-once", artifact_location=place)
        assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"
        with pytest.raises(MlflowException, match="lies inside"):
            client.create_experiment("another", artifact_location=f"{place}/deeper")


def test_two_jobs_at_once_end_with_the_same_version(embedded, made, monkeypatch):
    folder, weights = made
    embedded.record()
    barrier, original = threading.Barrier(2), MlflowClient.create_model_version

    def together(self, *positional, **named):
        barrier.wait(timeout=60)
        return original(self, *positional, **named)

    monkeypatch.setattr(MlflowClient, "create_model_version", together)
    answers, faults = [], []

    def job():
        try:
            answers.append(record_release(folder, embedded.target, weights=weights))
        except Exception as error:  # noqa: BLE001 - shown below
            faults.append(error)

    jobs = [threading.Thread(target=job) for _ in range(2)]
    for one in jobs:
        one.start()
    for one in jobs:
        one.join(timeout=120)
    assert not faults
    assert len({a.version for a in answers}) == 1
    with embedded.client() as client:
        assert len(client.search_model_versions(f"name = '{answers[0].name}'")) == 1
    assert verify_version(answers[0].name, answers[0].version, embedded.target).holds


def test_the_fetched_bundle_is_the_sealed_one(embedded, made, tmp_path):
    folder, weights = made
    recorded = record_release(folder, embedded.target, weights=weights)
    fetched = fetch_bundle(recorded.name, recorded.version, embedded.target, into=tmp_path / "fetched")
    assert not compare_bundle(fetched)
    assert digest_tree(fetched) == digest_tree(folder)


def test_a_pass_is_promoted_and_a_fail_refused_naming_criterion_and_mend(embedded):
    good, bad = embedded.record(), embedded.record("fail")
    assert promote(good.name, good.version, embedded.target).done
    act = promote(bad.name, bad.version, embedded.target)
    assert not act.done
    assert "safety-retained" in act.sentence
    assert "Train or evaluate again" in act.sentence


def test_changed_weights_are_not_promoted_and_not_loaded(embedded):
    recorded = embedded.record()
    file = embedded.weights_of(recorded) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    act = promote(recorded.name, recorded.version, embedded.target)
    assert [r["criterion"] for r in act.refusals] == ["weights"]
    with pytest.raises(NotReleasedError, match="weights"):
        load_model(f"models:/{recorded.name}/{recorded.version}", store=embedded.target.store)


def test_rollback_goes_back_to_the_holder_before_and_not_to_a_revoked_one(embedded, tmp_path):
    name = f"rolled-{tmp_path.name}"
    versions = [embedded.record(name=name) for _ in range(3)]
    for version in versions:
        assert promote(name, version.version, embedded.target).done
    assert revoke(name, versions[1].version, embedded.target, reason="leaks").done
    act = rollback(name, embedded.target, reason="worse in production")
    assert (act.done, act.version, act.previous) == (True, versions[0].version, versions[2].version)
    with embedded.client() as client:
        kinds = [(e.kind, e.version) for e in read_log(client) if e.name == name and e.kind != "decide"]
    assert kinds == [("promote", 1), ("promote", 2), ("promote", 3), ("revoke", 2), ("rollback", 1)]
    again = promote(name, versions[1].version, embedded.target)
    assert not again.done
    assert "leaks" in again.sentence


def test_a_signer_nobody_trusts_is_refused_by_the_guard_and_nothing_is_lost(embedded, made, tmp_path, monkeypatch):
    from kdgov.evidence.signing_keys import new_key
    from kdgov.recording.client.client import RefusedByGuardError

    folder, weights = made
    stranger = new_key(tmp_path / "k", "stranger", passphrase=None)
    with monkeypatch.context() as patch:
        patch.setenv("KDGOV_SIGNING_KEY", f"file:{stranger.private_path}")
        with pytest.raises(RefusedByGuardError, match="not trusted"):
            record_release(folder, embedded.target, weights=weights)
    recorded = record_release(folder, embedded.target, weights=weights)
    assert promote(recorded.name, recorded.version, embedded.target).done


def test_names_and_secrets(embedded, made, tmp_path):
    _, weights = made
    folder = bundle(tmp_path / "named", name="Modèle 模型-7", weights=weights)
    recorded = record_release(folder, embedded.target, weights=weights)
    assert promote("Modèle 模型-7", recorded.version, embedded.target).done
    with pytest.raises(InputError):
        record_release(folder, embedded.target, weights=weights, name="a/b")
    with pytest.raises(InputError, match="is about Modèle 模型-7"):
        record_release(folder, embedded.target, weights=weights, name="another-name")
    assert without_password("postgresql://u:secret@db/x") == "postgresql://u@db/x"
    key = (embedded.target.store / "keys/project.key").read_text().splitlines()[1]
    with embedded.client() as client:
        version = client.get_model_version(recorded.name, str(recorded.version))
        assert key not in json.dumps([version.tags, version.description])


def test_an_unreachable_registry_is_the_environments_fault(made, tmp_path):
    folder, weights = made
    with pytest.raises(UnavailableError, match="cannot be reached"):
        record_release(folder, registry_target(tmp_path / "store", "http://127.0.0.1:9"), weights=weights)


def test_an_unguarded_database_is_recorded_and_said_to_be_unguarded(embedded, made, tmp_path):
    """A plain MLflow registry shows the verdict too; promote re-checks, and says that nothing else holds."""
    folder, weights = made
    plain = registry_target(tmp_path / "store", "http://nowhere")
    target = dataclasses.replace(plain, tracking_uri=embedded.database, registry_uri=embedded.database)
    let_store_count(tmp_path / "store", folder / "policy.yaml")
    recorded = record_release(folder, target, weights=weights)
    assert not recorded.is_guarded
    act = promote(recorded.name, recorded.version, target)
    assert act.done, act.sentence
    assert "no guard" in act.note


@pytest.mark.parametrize(("uri", "expected"), [("models:/m/7", ("m", "7")), ("models:/m@champion", ("m", "@champion"))])
def test_model_uris(uri, expected):
    assert parse_uri(uri) == expected


@pytest.mark.parametrize("uri", ["models:/m/latest", "models:/m", "runs:/x/y", "m@champion", "models:/m-0123"])
def test_a_uri_that_names_no_judged_version_is_refused(uri):
    with pytest.raises(InputError):
        parse_uri(uri)


def test_mlflows_own_addresses_are_put_back(embedded):
    import mlflow

    before = (mlflow.get_tracking_uri(), mlflow.get_registry_uri())
    with registry_client(embedded.target):
        assert mlflow.get_tracking_uri() == embedded.target.tracking_uri
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == before
