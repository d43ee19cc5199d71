"""Every way MLflow's server is run, with the guard inside: the canary is refused, a pass goes through, a fail does not."""

from __future__ import annotations

import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlModelVersionTag, SqlRegisteredModel

from kdgov.auditing.registry.registry_page import registry_page
from kdgov.evidence.event_chain import chain_faults
from kdgov.evidence.registry_query import asked
from kdgov.evidence.trust_store import load_trust, trust_path
from kdgov.guard.doctor import examine
from kdgov.guard.serving import ServerPlan, start_server, stop_server
from kdgov.guard.stores.registry_store import open_registry_store
from kdgov.recording.client.client import registry_client
from kdgov.recording.client.read_log import log_of, read_log
from kdgov.recording.client.target import registry_target
from kdgov.recording.promotion import promote
from tests.guard.conftest import Site, _served
from tests.guard.postgres import cluster, free_port

pytestmark = [pytest.mark.nightly, pytest.mark.server]

WAYS_TO_SERVE = {
    "several workers": ("--workers", "3"),
    "gunicorn": ("--gunicorn-opts", "--timeout 180"),
    "workspaces": ("--enable-workspaces",),
    "basic-auth": ("--app-name", "basic-auth"),
}

PASSWORD = "a long password of this test"
ADMIN = """admin_username = admin
admin_password = a long password of this test
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


def _with_login(folder, monkeypatch) -> None:
    """Settings of a server with logins, and the administrator's login for this process."""
    if importlib.util.find_spec("flask_wtf") is None:
        pytest.skip("mlflow[auth] is not installed (Flask-WTF)")
    monkeypatch.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", "of this test")
    settings = folder / "auth.ini"  # MLflow's own settings keep the users in the working folder
    settings.write_text(f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/users.db\n{ADMIN}")
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(settings))
    monkeypatch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", PASSWORD)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)


@pytest.mark.parametrize("name", WAYS_TO_SERVE)
def test_the_guard_holds_however_the_server_is_run(name, tmp_path, monkeypatch):
    if name == "basic-auth":
        _with_login(tmp_path, monkeypatch)
    served = _served(tmp_path, f"sqlite:///{tmp_path}/registry.db", name, WAYS_TO_SERVE[name])
    site: Site = next(served)
    try:
        good, bad = site.record(), site.record("fail")
        with site.client() as client:
            checks = examine(client)
            assert all(check.refused for check in checks), [c for c in checks if not c.refused]
            with pytest.raises(MlflowException, match="safety-retained"):
                client.set_registered_model_alias(bad.name, "champion", str(bad.version))
        act = promote(good.name, good.version, site.target)
        assert act.done, act.sentence
    finally:
        served.close()


def test_a_login_under_deny_sees_no_word_about_the_model_and_the_chain_still_holds(tmp_path, monkeypatch):
    _with_login(tmp_path, monkeypatch)
    served = _served(tmp_path, f"sqlite:///{tmp_path}/registry.db", "basic-auth", WAYS_TO_SERVE["basic-auth"])
    site: Site = next(served)
    try:
        shown, hidden = site.record(), site.record("fail")
        users = importlib.import_module("mlflow.server.auth.client").AuthServiceClient(site.target.tracking_uri)
        users.create_user("reader", PASSWORD)
        users.grant_user_permission("reader", "registered_model", hidden.name, "DENY")
        with site.client() as client:
            everything = {entry.name for entry in read_log(client)}
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reader")
        with site.client() as client:
            entries = read_log(client)
            texts = json.dumps([model.description for model in client.search_registered_models("kdgov.log > 0")])
            assert log_of(client, hidden.name) == [entry for entry in entries if entry.kind == "withheld"]
        assert {shown.name, hidden.name} <= everything
        assert hidden.name not in texts
        assert shown.name in {entry.name for entry in entries}
        trust = load_trust(trust_path(site.target.store))
        assert chain_faults(entries, trust) == ()
        assert hidden.name not in {row.name for row in registry_page(site.target, asked(limit=100)).rows}
    finally:
        served.close()


def test_a_server_without_the_guard_is_found_out(tmp_path):
    """The operator who leaves the guarded address out gets a plain registry; the canary says so."""
    plan = ServerPlan(backend=f"sqlite:///{tmp_path}/plain.db", artifacts=str(tmp_path / "artifacts"), port=free_port())
    bare = [part.removeprefix("kdgov:").removeprefix("kdgov-artifacts:") for part in plan.command()]
    plain = type("Plain", (ServerPlan,), {"__slots__": (), "command": lambda self: bare})
    process = start_server(plain(backend=plan.backend, artifacts=plan.artifacts, port=plan.port), log=tmp_path / "log")
    try:
        with registry_client(registry_target(tmp_path / "store", plan.address)) as client:
            assert not any(check.refused for check in examine(client))
    finally:
        stop_server(process)


@pytest.fixture(scope="module")
def five_thousand():
    """A PostgreSQL registry of 5,000 versions of 50 models, each with a card of 4 KB and 15 tags, written in bulk."""
    with cluster() as database:
        store = open_registry_store(database)
        engine = sa.create_engine(database)
        with engine.begin() as connection:
            models = [{"name": f"m{i:03}", "workspace": "default", "creation_time": i, "last_updated_time": i} for i in range(50)]
            connection.execute(SqlRegisteredModel.__table__.insert(), models)
            keys = [(m["name"], n) for m in models for n in range(1, 101)]
            connection.execute(
                SqlModelVersion.__table__.insert(),
                [
                    {
                        "name": name, "version": n, "workspace": "default", "creation_time": n, "last_updated_time": n, "source": "s3://b/k",
                        "current_stage": "None", "status": "READY", "description": "PASS under policy default.\n" + "words " * 680,
                    }
                    for name, n in keys
                ],
            )  # fmt: skip
            tags = [
                {"name": name, "version": n, "workspace": "default", "key": key, "value": value}
                for name, n in keys
                for key, value in {
                    "kdgov.verdict": "FAIL" if n % 10 == 0 else "PASS",
                    **{f"kdgov.suite.s{i}": "PASS" for i in range(14)},
                }.items()
            ]
            connection.execute(SqlModelVersionTag.__table__.insert(), tags)
        yield store, database
        engine.dispose()


@pytest.mark.ci
@pytest.mark.xdist_group("five_thousand")
def test_the_list_of_5000_versions(five_thousand, tmp_path, artifacts):
    _, database = five_thousand
    target = registry_target(tmp_path / "store", f"kdgov:{database}")
    registry_page(target, asked(limit=10))
    measured = {}
    for label, options in {
        "first 100": {"limit": 100},
        "blocked": {"limit": 1000, "verdict": "fail"},
        "all 5,000": {"limit": 5000},
    }.items():
        wall, cpu = time.perf_counter(), time.process_time()
        rows = len(registry_page(target, asked(**options)).rows)
        measured[label] = (rows, time.perf_counter() - wall, time.process_time() - cpu)
    # The whole command as a person runs it, start of Python included.
    command = [sys.executable, "-m", "kdgov", "registry", "list", "--registry", target.registry_uri, "--limit", "5000", "--json"]
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - wall
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    measured["the whole command"] = (len(json.loads(done.stdout)["versions"]), wall, cpu)
    lines = [f"{label}: {rows} rows, {wall:.2f} s wall, {cpu:.2f} s CPU" for label, (rows, wall, cpu) in measured.items()]
    (artifacts / "registry-list.txt").write_text("\n".join(lines) + "\n")
    assert [rows for rows, _, _ in measured.values()] == [100, 500, 5000, 5000]
    # CPU seconds: the wall clock of a shared machine proves nothing.
    assert measured["first 100"][2] < 0.5
    assert measured["the whole command"][2] < 3


@pytest.mark.ci
@pytest.mark.xdist_group("five_thousand")
def test_an_alias_costs_the_same_among_5000_versions_as_among_few(five_thousand):
    """No call but listing grows with the number of versions."""
    store, _ = five_thousand
    store.create_registered_model("small")
    store.create_model_version("small", "s3://b/k")

    def cost(name: str, version: str) -> float:
        found = []
        for _ in range(15):
            began = time.process_time()
            store.set_registered_model_alias(name, "candidate", version)
            with pytest.raises(MlflowException):
                store.set_registered_model_alias(name, "champion", version)
            found.append(time.process_time() - began)
        return statistics.median(found)

    assert cost("m025", "100") < 6 * cost("small", "1") + 0.05
