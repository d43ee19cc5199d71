"""The registry's commands: exit codes, one JSON document on standard output, no traceback."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from kdgov.cli.app import app


@pytest.fixture
def command(monkeypatch):
    for name in ("KDGOV_TRUST", "KDGOV_SIGNING_KEY", "KDGOV_REGISTRY", "KDGOV_STORE"):
        monkeypatch.delenv(name, raising=False)
    runner = CliRunner()

    def run(*arguments, expect: int = 0):
        done = runner.invoke(app, [str(a) for a in arguments])
        assert done.exit_code == expect, (done.output, done.exception)
        assert "Traceback" not in done.output
        return done

    return run


def test_promote_verify_revoke_rollback_and_their_exit_codes(command, embedded):
    store = embedded.target.store
    good, bad = embedded.record(), embedded.record("fail")
    act = json.loads(command("promote", good.name, good.version, "--store", store, "--format", "json").stdout)
    assert (act["done"], act["alias"]) == (True, "champion")
    refused = json.loads(command("promote", bad.name, bad.version, "--store", store, "--format", "json", expect=1).stdout)
    assert "safety-retained" in refused["refusals"][0]["criterion"]
    assert refused["refusals"][0]["mend"]
    report = json.loads(command("verify", good.name, "@champion", "--store", store, "--format", "json").stdout)
    assert report["holds"]
    assert {check["state"] for check in report["checks"]} == {"verified"}
    command("rollback", good.name, "--store", store, expect=2)
    command("revoke", good.name, good.version, "--reason", "leaks", "--store", store)
    assert "revoked: leaks" in command("verify", good.name, good.version, "--store", store, expect=1).stdout
    command("verify", "no-such-model", "1", "--store", store, expect=2)
    command("promote", "no-such-file", "--store", store, expect=2)
    command("verify", good.name, "1", "--registry", "ftp://x", "--store", store, expect=2)


def test_an_unreachable_server_is_exit_code_3(command, tmp_path):
    command("verify", "m", "1", "--registry", "http://127.0.0.1:9", "--store", tmp_path, expect=3)


def test_the_list_and_the_log(command, embedded, tmp_path):
    store = embedded.target.store
    bad = embedded.record("fail")
    rows = json.loads(command("registry", "list", "--model", bad.name, "--store", store, "--json").stdout)["versions"]
    assert [(r["verdict"], r["version"]) for r in rows] == [("FAIL", 1)]
    assert bad.name in command("registry", "list", "--verdict", "fail", "--store", store).stdout
    document = json.loads(command("registry", "log", "--store", store, "--json", "--out", tmp_path / "acts.json").stdout)
    assert document["faults"] == []
    assert json.loads((tmp_path / "acts.json").read_text())["entries"] == document["entries"]
    command("registry", "protect", f"sqlite:///{tmp_path}/x.db", expect=2)


def test_the_doctor_finds_the_embedded_registry_guarded(command, embedded):
    embedded.record()
    document = json.loads(command("doctor", "--store", embedded.target.store, "--json").stdout)
    assert document["guarded"]
    assert len(document["checks"]) == 6


def test_keys_from_new_to_revoked(command, tmp_path):
    trust = tmp_path / "trust.json"
    command("keys", "new", "bot", "--folder", tmp_path, "--no-passphrase")
    command("keys", "new", "bot", "--folder", tmp_path, "--no-passphrase", expect=2)
    command("keys", "trust", tmp_path / "bot.pub", "--for", "decision", "--role", "risk", "--until", "2031-12-31", "--trust", trust)
    command("keys", "require", "waiver", "2", "--trust", trust)
    command("keys", "require", "nothing", "2", "--trust", trust, expect=2)
    shown = json.loads(command("keys", "list", "--json", "--trust", trust).stdout)
    assert shown["keys"][0]["purposes"] == ["decision"]
    assert shown["keys"][0]["not_after"].startswith("2031-12-31T23:59:59")
    assert shown["thresholds"] == {"waiver": 2}
    command("keys", "trust", tmp_path / "bot.key", "--trust", trust, expect=2)
    command("keys", "trust", tmp_path / "bot.pub", "--for", "everything", "--trust", trust, expect=2)
    command("keys", "trust", tmp_path / "bot.pub", "--for", "act", "--until", "soon", "--trust", trust, expect=2)
    assert "--for" in command("keys", "trust", tmp_path / "bot.pub", "--trust", trust, expect=2).stderr
    command("keys", "revoke", "nobody", "--because", "x", "--trust", trust, expect=2)
    command("keys", "revoke", "bot", "--because", "laptop stolen", "--compromised", "--trust", trust)
    assert "compromised" in command("keys", "list", "--trust", trust).stdout
    private = (tmp_path / "bot.key").read_text().splitlines()[1]
    assert private not in trust.read_text()


def test_the_owner_lists_policies_and_demands_signatures(command, embedded):
    store, recorded = embedded.target.store, embedded.record()
    listed = ("registry", "policy", "list", "--store", store)
    signed = store / "keys" / "policies.dsse.json"
    before = signed.read_bytes()
    try:
        signed.unlink()
        assert "every standing says so" in command(*listed).stdout
        unlisted = command("promote", recorded.name, recorded.version, "--store", store, expect=1).stdout
        assert f"kdgov registry policy allow POLICY --models {recorded.name!r} --store {store}" in unlisted
        done = command("registry", "policy", "allow", "strict", "--models", recorded.name, "--store", store)
        assert "strict" in command(*listed).stdout
        assert "a list exists now" in done.stderr
        refused = command("promote", recorded.name, recorded.version, "--store", store, expect=1).stdout
        assert "the owner's list lacks it" in refused
        own = embedded.weights_of(recorded).parent / "bundle" / "policy.yaml"
        command("registry", "policy", "allow", own, "--models", recorded.name, "--store", store)
        command("registry", "layout", "--models", "*", "--demand", "everything", "--store", store, expect=2)
        command("registry", "layout", "--models", "*", "--demand", "decision", "--by", "nobody", "--store", store, expect=2)
        command("registry", "layout", "--models", recorded.name, "--demand", "evaluation", "--store", store)
        shown = json.loads(command("registry", "layout", "--json", "--store", store).stdout)
        assert shown["rules"][0]["signatures"] == {"evaluation": {"keys": [], "threshold": 1}}
        assert "evaluation unsigned" in command("promote", recorded.name, recorded.version, "--store", store, expect=1).stdout
        command("registry", "layout", "--clear", "--models", recorded.name, "--replay", 20, "--store", store)
        assert "asked again, and 0 were" in command("promote", recorded.name, recorded.version, "--store", store, expect=1).stdout
        assert "nothing was asked again" in command("audit", recorded.name, recorded.version, "--attest", "--store", store, expect=2).stderr
        command("registry", "layout", "--clear", "--store", store)
        command("promote", recorded.name, recorded.version, "--store", store)
    finally:
        signed.write_bytes(before)
        (store / "keys" / "layout.dsse.json").unlink(missing_ok=True)
