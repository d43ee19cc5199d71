"""The registry as a table: the guard's quick answer is MLflow's slow one; pages neither lose nor repeat a version."""

from __future__ import annotations

import base64
import datetime
import http.server
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient

from kdgov.auditing.registry.registry_page import registry_page
from kdgov.errors import InputError, UnavailableError
from kdgov.evidence.registry_query import Question, asked, page_of_json, question_of_text, read_filter, within_days
from kdgov.guard.database_query import list_database
from kdgov.recording.client.guard_search import ask_server
from kdgov.recording.client.mlflow_search import list_versions
from kdgov.recording.client.target import registry_target


@pytest.fixture(scope="module")
def stocked(embedded):
    """A registry with passing, blocked, undecided and promoted versions, a deleted one and a prompt."""
    good, bad = embedded.record(), embedded.record("fail")
    with embedded.client() as client:
        client.set_registered_model_alias(good.name, "champion", str(good.version))
        client.set_registered_model_alias(good.name, "candidate", str(good.version))
        for number in range(3):
            client.create_model_version(good.name, f"s3://b/{number}", tags={"team": "Ärzte 100%", "note": "a_b*[c]"})
        client.delete_model_version(good.name, "4")
        client.register_prompt(f"prompt-of-{good.name}", "Say {{word}}")
    return embedded, good, bad


FILTERS = (
    "",
    "tags.`kdgov.verdict` = 'FAIL'",
    "tags.`kdgov.verdict` != 'PASS'",
    "tags.`kdgov.trained_on` ILIKE '%LLAMA%' AND tags.`kdgov.suite.bias` = 'ABSENT'",
    "tags.`kdgov.trained_on` LIKE '%LLAMA%'",
    "tags.`kdgov.blocked` LIKE '20%'",
    "tags.team = 'Ärzte 100%'",
    "tags.note LIKE 'a_b*[c]'",
    "tags.note LIKE 'a%c]'",
    "tags.note LIKE 'A%'",
    'name LIKE \'model-%\' and tags."kdgov.verdict" = "NONE"',
)


@pytest.mark.parametrize("tag_filter", FILTERS)
def test_the_quick_answer_is_mlflows_answer(stocked, tag_filter):
    """The plain client, which knows no guard, is the oracle."""
    site, *_ = stocked
    quick = registry_page(site.target, asked(tag_filter=tag_filter, limit=1000))
    slow = list_versions(MlflowClient(site.database, site.database), asked(tag_filter=tag_filter, limit=1000))
    shown = {row for row in slow.rows if not row.name.startswith("prompt-")}
    assert set(quick.rows) == shown
    assert bool(shown) is (tag_filter not in {"tags.`kdgov.trained_on` LIKE '%LLAMA%'", "tags.note LIKE 'A%'"})


def test_a_row_tells_the_standing(stocked):
    site, good, bad = stocked
    rows = {row.version: row for row in registry_page(site.target, asked(model=good.name)).rows}
    assert set(rows) == {1, 2, 3}
    assert (rows[1].verdict, rows[1].aliases, rows[2].verdict) == ("PASS", ("candidate", "champion"), "NONE")
    (blocked,) = registry_page(site.target, asked(model=bad.name, verdict="fail")).rows
    assert "safety-retained" in blocked.blocked_by


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_neither_lose_nor_repeat(stocked, limit):
    site, *_ = stocked
    everything = registry_page(site.target, asked(limit=1000))
    assert not everything.token
    rows, token = [], ""
    while True:
        page = registry_page(site.target, asked(limit=limit, token=token))
        rows += page.rows
        token = page.token
        if not token:
            break
        assert len(page.rows) == limit
    assert tuple(rows) == everything.rows


def test_the_guard_answers_through_mlflows_search(stocked):
    site, good, _ = stocked
    with site.client() as client:
        assert list_versions(client, asked(model=good.name)) == registry_page(site.target, asked(model=good.name))


@given(st.builds(Question, model=st.text(), tag_filter=st.text(), limit=st.integers(1, 9), token=st.text()))
def test_a_question_survives_the_wire(question):
    if "'" not in question.model and "\\" not in question.model:
        assert question_of_text(question.as_text()) == question


def test_a_page_survives_the_wire(stocked):
    page = registry_page(stocked[0].target, asked(limit=2))
    assert page_of_json(page.as_json()) == page


@pytest.mark.parametrize(
    "odd", ["tags.x", "tags.x ~ 'y'", "tags.x = 'y' OR tags.z = 'u'", "tags.x = 'y' AND", "tags.x = 'y' tags.z = 'u'", "run_id = 'x'"]
)
def test_a_filter_that_cannot_be_read_is_the_inputs_fault(odd):
    with pytest.raises(InputError, match="cannot be read"):
        read_filter(odd)


def test_odd_questions(stocked, tmp_path):
    with pytest.raises(InputError, match="quote"):
        asked(model="x' OR name = 'y")
    with pytest.raises(InputError, match="below 1"):
        asked(limit=0)
    with pytest.raises(InputError, match="token"):
        registry_page(stocked[0].target, asked(token="nonsense"))
    with pytest.raises(InputError):
        question_of_text("nonsense")
    assert registry_page(registry_target(tmp_path), asked()).rows == ()
    with pytest.raises(UnavailableError, match="database"):
        list_database(f"sqlite:///{tmp_path}/empty.db", asked())
    with pytest.raises(UnavailableError, match="reached"):
        registry_page(registry_target(tmp_path, "http://127.0.0.1:9"), asked())


def test_days_are_counted_from_today():
    assert within_days(30, datetime.date(2026, 11, 22)) == ("2026-11-22", "2026-12-22")


@pytest.fixture
def answering():
    """A server that keeps what it was asked and answers as told: [status, body]."""
    told, heard = [200, b"{}"], []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append((self.path, dict(self.headers)))
            self.send_response(told[0])
            self.end_headers()
            self.wfile.write(told[1])

        def log_message(self, *_):
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", told, heard
    server.shutdown()


@pytest.mark.parametrize("answer", [(400, b'{"error_code": "INVALID_PARAMETER_VALUE"}'), (200, b"{}"), (200, b"<html>"), (401, b"")])
def test_a_server_that_does_not_know_the_question_is_left_to_mlflows_client(answering, tmp_path, answer):
    address, told, _ = answering
    told[:] = answer
    assert ask_server(registry_target(tmp_path, address), asked()) is None


def test_the_logins_mlflow_knows_are_used(answering, stocked, tmp_path, monkeypatch):
    address, told, heard = answering
    page = registry_page(stocked[0].target, asked(limit=2))
    told[1] = json.dumps({"registered_models": [{"name": "kdgov.versions", "description": json.dumps(page.as_json())}]}).encode()
    target = registry_target(tmp_path, address)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "of-this-test")
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team")
    assert ask_server(target, asked(limit=2)) == page
    assert heard[-1][1]["Authorization"] == "Bearer of-this-test"
    assert heard[-1][1]["X-MLFLOW-WORKSPACE"] == "team"
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    assert ask_server(target, asked(limit=2)) == page
    assert heard[-1][1]["Authorization"] == "Basic " + base64.b64encode(b"ada:secret").decode()
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "a-plugin")
    assert ask_server(target, asked(limit=2)) is None
