"""A consistent cut of the log's end is found by whoever saw the later head, and by nobody else."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.evidence.signing_keys import new_key
from kdgov.evidence.trust_store import load_trust, save_trust, trusted_key
from kdgov.recording.client.target import registry_target
from kdgov.recording.promotion import promote


def kdgov(*arguments):
    """The command in this process."""
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def witnessed(embedded, tmp_path, monkeypatch):
    """A copy of a registry whose head a second key has countersigned; the store and the witness's file."""
    for name in ("KDGOV_TRUST", "KDGOV_SIGNING_KEY", "KDGOV_REGISTRY", "KDGOV_STORE"):
        monkeypatch.delenv(name, raising=False)
    made = embedded.record()
    promote(made.name, made.version, embedded.target)
    store = tmp_path / "store"
    shutil.copytree(embedded.target.store, store)
    notary = new_key(tmp_path / "notary", "notary", passphrase=None)
    trust = store / "keys" / "trust.json"
    save_trust(trust, load_trust(trust).with_key(trusted_key(notary.public_path.read_text(), name="notary", purposes=["act"])))
    heads = tmp_path / "heads.jsonl"
    witness = ("registry", "log", "--witness", heads, "--witness-key", f"file:{notary.private_path}", "--store", store)
    assert kdgov(*witness).exit_code == 0
    return store, heads, witness


def _cut(store):
    """Take the last act away, so that what is left is a whole and signed chain."""
    with sqlite3.connect(store / "mlflow.db") as database:
        last = database.execute("SELECT max(seq) FROM kdgov_log").fetchone()[0]
        database.execute("DELETE FROM kdgov_log WHERE seq = ?", (last,))
        before = database.execute("SELECT hash FROM kdgov_log WHERE seq = ?", (last - 1,)).fetchone()[0]
        database.execute("UPDATE kdgov_log_head SET seq = ?, hash = ?", (last - 1, before))


def _log_standing(store, *more):
    answer = kdgov("audit", "--all", "--store", store, "--format", "json", *more)
    return answer, {f["subject"]: f["standing"] for f in json.loads(answer.stdout)["log"]}


def test_an_honest_log_is_as_witnessed_and_is_witnessed_again(witnessed):
    store, heads, witness = witnessed
    assert kdgov(*witness).exit_code == 0
    assert len(heads.read_text().splitlines()) == 2
    _, found = _log_standing(store, "--witness", heads)
    assert found["log, as witnessed"] == "verified"


def test_a_cut_is_found_by_the_witness_alone(witnessed):
    store, heads, witness = witnessed
    _cut(store)
    _, without = _log_standing(store)
    assert without["log of acts"] == "verified", "the chain itself is whole"
    answer, found = _log_standing(store, "--witness", heads)
    assert found["log, as witnessed"] == "violated"
    assert answer.exit_code == 1
    refused = kdgov(*witness)
    assert refused.exit_code == 1
    assert "notary saw entry" in refused.stderr
    assert len(heads.read_text().splitlines()) == 1, "a log that was cut is not witnessed anew"


def test_a_line_that_nobody_trusted_signed_does_not_count(witnessed, tmp_path):
    store, heads, _ = witnessed
    stranger = new_key(tmp_path / "x", "x", passphrase=None)
    other = tmp_path / "other.jsonl"
    assert kdgov("registry", "log", "--witness", other, "--witness-key", f"file:{stranger.private_path}", "--store", store).exit_code == 0
    heads.write_text(heads.read_text() + other.read_text() + "not json\n")
    _, found = _log_standing(store, "--witness", heads)
    assert found["log, as witnessed"] == "violated"


def test_a_witness_file_that_is_not_there_is_told(embedded):
    embedded.record()
    answer = kdgov("audit", "--all", "--store", registry_target(embedded.target.store).store, "--witness", "nowhere.jsonl")
    assert answer.exit_code == 2
