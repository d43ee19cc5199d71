"""``kdgov serve`` proves its own server, tells a taken port first, and leaves nothing behind."""

from __future__ import annotations

import socket

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.errors import InputError
from kdgov.guard.doctor import examine_own
from kdgov.guard.serving import ServerPlan, refuse_taken, start_server, stop_server
from kdgov.recording.client.client import registry_client
from kdgov.recording.client.target import registry_target
from tests.guard.postgres import free_port


def test_a_taken_port_is_told_before_anything_else(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        answer = CliRunner().invoke(app, ["serve", "--store", str(tmp_path / "store"), "--port", str(other.getsockname()[1])])
    assert answer.exit_code == 3
    assert "is taken" in answer.stderr
    assert "starting" not in answer.stderr
    assert not (tmp_path / "store" / "mlflow.db").exists()


def test_a_host_that_is_none_is_an_input_at_fault(tmp_path):
    plan = ServerPlan(backend="sqlite:///x", artifacts=str(tmp_path), host="no.such.host.invalid", port=free_port())
    with pytest.raises(InputError, match="not an address"):
        refuse_taken(plan)


def test_two_plans_never_say_the_same_word(tmp_path):
    first, second = (ServerPlan(backend="sqlite:///x", artifacts=str(tmp_path)) for _ in range(2))
    assert first.nonce != second.nonce
    assert len(first.nonce) == 32


def test_the_canary_of_an_embedded_registry_is_refused_and_never_there(embedded):
    # The older examination leaves a run, and other tests of this session ask for it.
    before = sorted(embedded.target.store.rglob("*canary*"))
    with embedded.client() as client:
        checks = examine_own(client, "http://127.0.0.1:9", "")
        # The last needs a server; all others are asked of the same guard.
        assert [check.refused for check in checks[:5]] == [True] * 5, checks
        assert not [m.name for m in client.search_registered_models() if "canary" in m.name]
    assert sorted(embedded.target.store.rglob("*canary*")) == before


@pytest.mark.server
@pytest.mark.xdist_group("sqlite")
def test_a_served_registry_proves_itself_and_another_one_does_not(tmp_path):
    plan = ServerPlan(backend=f"sqlite:///{tmp_path}/registry.db", artifacts=str(tmp_path / "artifacts"), port=free_port())
    process = start_server(plan, log=tmp_path / "log")
    try:
        with registry_client(registry_target(tmp_path / "store", plan.address)) as client:
            checks = examine_own(client, plan.address, plan.nonce)
            assert [check.refused for check in checks] == [True] * 6, checks
            assert not examine_own(client, plan.address, "another")[0].refused
            _assert_nothing_left(client)
        assert not list(tmp_path.rglob("*canary*"))
    finally:
        stop_server(process)


def _assert_nothing_left(client: MlflowClient) -> None:
    assert [e.name for e in client.search_experiments()] == ["Default"]
    assert not client.search_registered_models()
    assert not client.search_registered_models("kdgov.log > 0")
