"""The guard itself: classification, canary, trigger, what keeps working, cost, consistency under load."""

from __future__ import annotations

import dataclasses
import datetime
import os
import shutil
import statistics
import tempfile
import threading
import time

import pytest
import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
from mlflow.store.tracking.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore as WorkspaceAwareTracking

from kdgov.errors import InputError
from kdgov.evidence.event_chain import chain_faults
from kdgov.evidence.trust_store import load_trust, trust_path
from kdgov.guard.config import GuardConfig, guard_config
from kdgov.guard.doctor import examine
from kdgov.guard.evidence import local_path
from kdgov.guard.serving import ServerPlan, database_uri
from kdgov.guard.stores.store_methods import REGISTRY_GUARDED, REGISTRY_PASSED, refuse_unknown, refuse_unknown_tracking
from kdgov.guard.trigger import install_trigger, protect_database, remove_trigger
from kdgov.recording.client.read_log import guard_status, read_log
from kdgov.recording.client.target import registry_target
from kdgov.recording.promotion import promote, revoke
from kdgov.recording.verify import verify_version

served_postgres_only = [pytest.mark.server, pytest.mark.xdist_group("postgres")]


@pytest.mark.parametrize("store", [SqlAlchemyStore, WorkspaceAwareSqlAlchemyStore])
def test_every_method_of_this_mlflows_registry_is_classified(store):
    refuse_unknown(store, REGISTRY_GUARDED | REGISTRY_PASSED, "registry store")


def test_every_method_of_this_mlflows_tracking_is_classified():
    refuse_unknown_tracking(WorkspaceAwareTracking)


def test_a_store_with_a_method_nobody_read_does_not_start():
    class Newer(SqlAlchemyStore):
        def promote_quietly(self) -> None:
            """What a newer MLflow might add."""

    with pytest.raises(MlflowException, match="promote_quietly"):
        refuse_unknown(Newer, REGISTRY_GUARDED | REGISTRY_PASSED, "registry store")


def test_settings_come_from_the_environment_and_default_to_refusing(monkeypatch, tmp_path):
    config = guard_config(f"sqlite:///{tmp_path}/mlflow.db")
    assert config.trust_path == tmp_path / "keys" / "trust.json"
    assert config.free_aliases == {"candidate", "challenger"}
    assert config.guards("anything")
    monkeypatch.setenv("KDGOV_UNGUARDED_MODELS", "sandbox-*, toy")
    monkeypatch.setenv("KDGOV_FREE_ALIASES", "canary")
    config = guard_config("postgresql://db/x")
    assert isinstance(config, GuardConfig)
    assert not config.guards("sandbox-1")
    assert config.guards("sandbox")
    assert config.free_aliases == {"canary"}


@pytest.mark.parametrize(
    ("uri", "expected"),
    [("sqlite:///x.db", "sqlite:///x.db"), ("kdgov:sqlite:///x.db", "sqlite:///x.db"), ("postgres://u@h/d", "postgresql+psycopg2://u@h/d")],
)
def test_database_addresses(uri, expected):
    assert database_uri(uri) == expected
    assert f"kdgov:{expected}" in ServerPlan(backend=uri, artifacts="a").command()


def test_a_database_the_guard_does_not_work_on_is_refused(tmp_path):
    with pytest.raises(InputError):
        database_uri("mysql://x/y")
    with pytest.raises(InputError, match="PostgreSQL"):
        protect_database(f"sqlite:///{tmp_path}/x.db")


def test_the_canary_is_refused_by_a_guarded_registry(site):
    with site.client() as client:
        checks = examine(client, artifact_root=site.target.artifact_root)
        assert len(checks) == 6
        assert all(check.refused for check in checks), [c for c in checks if not c.refused]
        assert not [m for m in client.search_registered_models() if m.name.startswith("kdgov-canary")]


@pytest.mark.server
@pytest.mark.xdist_group("sqlite")
def test_a_release_recorded_promoted_and_verified_at_a_server_leaves_no_copy_of_its_evidence(served_sqlite, tmp_path, monkeypatch):
    site, temporary = served_sqlite, tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    recorded = site.record()
    promote(recorded.name, recorded.version, site.target, weights=site.weights_of(recorded))
    assert verify_version(recorded.name, recorded.version, site.target).holds
    assert not list(temporary.iterdir())


def test_the_canary_flies_through_a_plain_registry(embedded):
    """A server started without the guarded address is a plain registry and does not say so: the canary tells."""
    embedded.record()
    plain = MlflowClient(embedded.database, embedded.database)
    assert guard_status(plain) is None
    checks = {check.attempt: check.refused for check in examine(plain)}
    assert not any(refused for attempt, refused in checks.items() if "evidence" not in attempt), checks


def test_everything_else_of_mlflow_keeps_working(site):
    number = time.time_ns()
    with site.client() as client:
        experiment = client.create_experiment(f"mine-{number}")
        run = client.create_run(experiment)
        client.log_metric(run.info.run_id, "loss", 1.0)
        client.log_metric(run.info.run_id, "loss", 0.5)
        client.set_tag(run.info.run_id, "a", "b")
        client.delete_run(run.info.run_id)
        name = f"prompt-{number}"
        client.register_prompt(name, "Say {{word}}")
        client.register_prompt(name, "Say {{word}}, please")
        client.set_prompt_alias(name, "production", 2)
        assert client.get_prompt_version_by_alias(name, "production").version == 2
        client.delete_prompt_alias(name, "production")
        model = f"own-{number}"
        client.create_registered_model(model, tags={"team": "x"}, description="mine")
        version = client.create_model_version(model, "s3://b/k", description="v1", tags={"x": "y"})
        client.update_model_version(model, version.version, "better words")
        client.set_registered_model_alias(model, "candidate", version.version)
        client.set_model_version_tag(model, version.version, "note", "n")
        assert client.get_model_version(model, version.version).tags == {"x": "y", "note": "n", "kdgov.verdict": "NONE"}
        client.delete_registered_model_alias(model, "candidate")
        client.delete_model_version(model, version.version)
        client.rename_registered_model(model, f"{model}-b")
        client.delete_registered_model(f"{model}-b")


def test_an_unguarded_model_is_mlflows_own_business(embedded, monkeypatch):
    monkeypatch.setenv("KDGOV_UNGUARDED_MODELS", "sandbox-*")
    from kdgov.guard.stores.registry_store import open_registry_store

    store = open_registry_store(embedded.database)
    name = f"sandbox-{time.time_ns()}"
    store.create_registered_model(name)
    version = store.create_model_version(name, "s3://b/k")
    store.set_registered_model_alias(name, "champion", version.version)
    assert store.get_registered_model(name).aliases == {"champion": version.version}


def test_a_policy_that_no_longer_counts_promotes_nothing(embedded, monkeypatch):
    recorded = embedded.record()
    monkeypatch.setenv("KDGOV_POLICY_DIGESTS", "sha256:" + "0" * 64)
    from kdgov.guard.stores.registry_store import open_registry_store

    with pytest.raises(MlflowException, match="no longer counts"):
        open_registry_store(embedded.database).set_registered_model_alias(recorded.name, "champion", str(recorded.version))


def test_weights_out_of_reach_are_refused_where_they_are_required(embedded, monkeypatch):
    recorded = embedded.record()
    folder = embedded.weights_of(recorded)
    folder.rename(folder.with_name("moved"))
    monkeypatch.setenv("KDGOV_WEIGHTS", "required")
    from kdgov.guard.stores.registry_store import open_registry_store

    with pytest.raises(MlflowException, match="weights cannot be read"):
        open_registry_store(embedded.database).set_registered_model_alias(recorded.name, "champion", str(recorded.version))


@pytest.mark.server
@pytest.mark.xdist_group("postgres")
def test_the_postgresql_trigger_stops_an_unguarded_client(served_postgres):
    site = served_postgres
    good, bad = site.record(), site.record("fail")
    plain = MlflowClient(site.database, site.database)
    engine = sa.create_engine(site.database)
    install_trigger(engine)
    install_trigger(engine)
    try:
        attempts = (
            lambda: plain.set_registered_model_alias(bad.name, "champion", str(bad.version)),
            lambda: plain.transition_model_version_stage(bad.name, str(bad.version), "Production"),
            lambda: plain.set_model_version_tag(bad.name, str(bad.version), "kdgov.verdict", "PASS"),
        )
        for attempt in attempts:
            with pytest.raises(MlflowException, match="kdgov"), pytest.warns() if attempt is attempts[1] else _nothing():
                attempt()
        with engine.begin() as connection, pytest.raises(sa.exc.DBAPIError, match="no deletion"):
            connection.execute(sa.text("DELETE FROM kdgov_log"))
        plain.set_registered_model_alias(bad.name, "candidate", str(bad.version))
        assert promote(good.name, good.version, site.target).done
        late = site.record()
        assert promote(late.name, late.version, site.target).done
        assert revoke(late.name, late.version, site.target, reason="harmful").done
    finally:
        remove_trigger(engine)
        engine.dispose()


class _nothing:  # noqa: N801 - stands where a context is asked for
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def test_a_guarded_alias_costs_little_more_than_a_free_one(site):
    """Ratio and CPU rather than wall time: the machine is shared. The limit of 15 ms is measured by the benchmark."""
    recorded = site.record()
    with site.client() as client:
        times = {"champion": [], "candidate": []}
        for _ in range(8):
            for alias, found in times.items():
                began = time.perf_counter()
                client.set_registered_model_alias(recorded.name, alias, str(recorded.version))
                found.append(time.perf_counter() - began)
    free, guarded = (statistics.median(times[alias]) for alias in ("candidate", "champion"))
    assert guarded < 10 * free + 0.1, (free, guarded)


def hammer(site, *, clients: int, seconds: float) -> tuple[int, list[str]]:
    """Parallel clients that promote, demote and try what is refused; the number of acts done and what went wrong."""
    good = [site.record() for _ in range(4)]
    bad = [site.record("fail") for _ in range(2)]
    done, odd, lock = [], [], threading.Lock()
    deadline = time.monotonic() + seconds

    def one(number: int) -> None:
        client = MlflowClient(site.target.tracking_uri, site.target.registry_uri)
        turn = number
        while time.monotonic() < deadline:
            turn += 1
            version = good[turn % len(good)]
            refused = bad[turn % len(bad)]
            try:
                client.set_registered_model_alias(version.name, f"slot-{turn % 3}", str(version.version))
                with lock:
                    done.append(version.name)
            except MlflowException as error:
                with lock:
                    odd.append(f"promote: {error}")
            try:
                client.set_registered_model_alias(refused.name, "champion", str(refused.version))
                with lock:
                    odd.append("a blocked version was promoted")
            except MlflowException as error:
                if "kdgov refuses" not in str(error):
                    with lock:
                        odd.append(f"refusal: {error}")

    threads = [threading.Thread(target=one, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=seconds + 120)
    with site.client() as client:
        entries = read_log(client)
        names = {version.name for version in good}
        logged = [e for e in entries if e.kind == "promote" and e.name in names]
        standing = {(name, alias): int(v) for name in names for alias, v in client.get_registered_model(name).aliases.items()}
    if len(logged) != len(done):
        odd.append(f"{len(done)} acts done, {len(logged)} logged")
    last = {(e.name, e.details["alias"]): e.version for e in logged}
    if last != standing:
        odd.append(f"the log's last word {last} is not the registry's state {standing}")
    odd += chain_faults(entries, load_trust(trust_path(site.target.store)))
    return len(done), odd


@pytest.mark.server
def test_parallel_clients_leave_every_act_in_one_chain(served_postgres):
    count, odd = hammer(served_postgres, clients=6, seconds=6)
    assert not odd, odd[:5]
    assert count > 6


@pytest.mark.nightly
@pytest.mark.ci
@pytest.mark.server
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("served_sqlite", marks=pytest.mark.xdist_group("sqlite")),
        pytest.param("served_postgres", marks=pytest.mark.xdist_group("postgres")),
    ],
)
def test_twenty_parallel_clients_for_a_minute(name, request, artifacts):
    count, odd = hammer(request.getfixturevalue(name), clients=20, seconds=60)
    (artifacts / f"registry-load-{name}.txt").write_text(f"20 clients, 60 s: {count} promotions, as many refusals; {len(odd)} odd\n")
    assert not odd, odd[:5]
    assert count > 100


def test_the_embedded_registry_needs_no_server(tmp_path):
    target = registry_target(tmp_path / "store")
    assert target.is_embedded
    assert dataclasses.asdict(target)["artifact_root"].startswith("kdgov-artifacts:")


def test_what_the_guard_remembers_of_a_folder_never_outlives_a_change(embedded):
    """Same size, same modification time: nothing of a file is remembered by its stamp."""
    recorded = embedded.record()
    file = embedded.weights_of(recorded) / "model.safetensors"
    time.sleep(2.1)
    with embedded.client() as client:
        for _ in range(2):
            client.set_registered_model_alias(recorded.name, "champion", str(recorded.version))
        before, bytes_before = file.stat(), file.read_bytes()
        file.write_bytes(bytes_before[:-1] + b"\x7f")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(MlflowException, match=r"model\.safetensors was changed"):
            client.set_registered_model_alias(recorded.name, "champion", str(recorded.version))
        file.write_bytes(bytes_before)
        client.set_registered_model_alias(recorded.name, "champion", str(recorded.version))
        evidence = local_path(client.get_run(recorded.run_id).info.artifact_uri) / "evidence" / "plan.json"
        evidence.write_bytes(evidence.read_bytes().replace(b"r", b"R", 1))
        with pytest.raises(MlflowException, match=r"plan\.json was changed"):
            client.set_registered_model_alias(recorded.name, "champion", str(recorded.version))


def test_a_key_that_is_distrusted_stops_the_next_promotion(embedded, tmp_path, monkeypatch):
    """A remembered signature counts by the trust store as it is now."""
    from kdgov.evidence.trust_store import save_trust, with_revoked

    recorded = embedded.record()
    trust = tmp_path / "trust.json"
    save_trust(trust, load_trust(trust_path(embedded.target.store)))
    shutil.copy(embedded.target.store / "keys" / "policies.dsse.json", tmp_path)
    monkeypatch.setenv("KDGOV_TRUST", str(trust))
    from kdgov.guard.stores.registry_store import open_registry_store

    store = open_registry_store(embedded.database)
    for _ in range(2):
        store.set_registered_model_alias(recorded.name, "champion", str(recorded.version))
    with embedded.client() as client:
        # A trust store declared elsewhere takes the embedded registry's own key away from nobody: its entries stay signed.
        assert not [fault for fault in chain_faults(read_log(client), load_trust(trust)) if fault]
    name = load_trust(trust).keys[0].name
    save_trust(trust, with_revoked(load_trust(trust), name, because="leaked", compromised=True, at=datetime.datetime.now(datetime.UTC)))
    with pytest.raises(MlflowException, match="compromised"):
        store.set_registered_model_alias(recorded.name, "champion", str(recorded.version))


def test_no_guard_without_a_key_adds_to_a_signed_log(embedded, tmp_path, monkeypatch):
    """An unsigned entry behind signed ones would call the log changed for good; what lowers a standing is taken all the same."""
    from kdgov.guard.stores.registry_store import open_registry_store

    recorded = embedded.record()
    shutil.copy(embedded.target.store / "mlflow.db", tmp_path / "mlflow.db")
    for name in ("trust.json", "policies.dsse.json"):
        shutil.copy(embedded.target.store / "keys" / name, tmp_path)
    monkeypatch.setenv("KDGOV_TRUST", str(tmp_path / "trust.json"))
    store = open_registry_store(f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(MlflowException, match="KDGOV_GUARD_KEY"):
        store.set_registered_model_alias(recorded.name, "champion", str(recorded.version))
