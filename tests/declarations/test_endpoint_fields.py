"""No declaration sends a secret of the environment anywhere, and no message repeats one."""

from __future__ import annotations

import http.server
import threading

import pytest

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.endpoint_fields import key_variable, plain_address
from kdgov.declarations.suite_data import DataInSuite
from kdgov.declarations.suite_judge import JudgeInSuite
from kdgov.errors import InputError
from kdgov.evaluation.plan.item_data import read_data
from kdgov.http_post import post_json, without
from kdgov.hub.suite_data_path import data_path

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "HF_TOKEN", "ACME_EU_API_KEY"])
def test_a_variable_meant_for_a_key_is_taken(name):
    assert key_variable(name) == name


_OTHERS = (
    "HOME", "PATH", "KDGOV_KEY_PASSPHRASE", "KDGOV_KEY_API_KEY", "kdgov_key_token", "AWS_SECRET_ACCESS_KEY", "_TOKEN", "", "A=B_TOKEN",
    "openai_api_key",
)  # fmt: skip
_SECRETIVE = (
    f"https://user:{SECRET}@h/v1", f"https://{SECRET}@h/v1", f"https://h/v1?api_key={SECRET}", f"https://h/v1?access_token={SECRET}",
    f"ftp://{SECRET}/", f"file:///{SECRET}", f"https://h:{SECRET}/", "https:///v1", "https://h/\nx",
)  # fmt: skip


@pytest.mark.parametrize("name", _OTHERS)
def test_any_other_variable_is_refused(name):
    with pytest.raises(ValueError, match="API_KEY"):
        key_variable(name)
    with pytest.raises(ValueError, match="API_KEY"):
        Endpoint(base_url="https://h/v1", model="m", terms="MIT", key_variable=name)
    with pytest.raises(ValueError, match="API_KEY"):
        JudgeInSuite(kind="openai", base_url="https://h/v1", model="m", prompt="p", api_key_variable=name)


@pytest.mark.parametrize("address", _SECRETIVE)
def test_an_address_with_credentials_is_refused_without_repeating_them(address):
    with pytest.raises(ValueError, match="address|credentials|query") as caught:
        plain_address(address)
    assert SECRET not in str(caught.value)


def test_an_address_may_have_a_query_without_secrets():
    assert plain_address("https://h:8080/v1?api-version=2024-02-01") == "https://h:8080/v1?api-version=2024-02-01"


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "HF_TOKEN", "KDGOV_KEY_PASSPHRASE", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD"])
def test_a_path_takes_no_variable_that_reads_like_a_secret(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, SECRET)
    with pytest.raises(InputError) as caught:
        data_path(DataInSuite(path=f"${{{name}}}/x.jsonl"), suite_file=tmp_path / "suite.yaml")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"{", b""])
def test_what_a_variable_in_a_path_holds_is_in_no_message(tmp_path, monkeypatch, content):
    folder = tmp_path / SECRET
    folder.mkdir()
    if content is not None:
        (folder / "x.jsonl").write_bytes(content)
    monkeypatch.setenv("MY_DATA", str(folder))
    with pytest.raises(InputError) as caught:
        read_data(DataInSuite(path="${MY_DATA}/x.jsonl"), suite_file=tmp_path / "suite.yaml")
    assert SECRET not in str(caught.value)


def test_no_redirect_takes_the_key_along_and_no_answer_is_endless():
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append((self.path, self.headers.get("Authorization")))
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            return

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(OSError, match="307"):
            post_json(f"http://127.0.0.1:{server.server_port}/v1", {}, key=SECRET, timeout_s=10)
    finally:
        server.shutdown()
    assert seen == [("/v1", f"Bearer {SECRET}")]
    with pytest.raises(ValueError, match="no header may"):
        post_json("http://127.0.0.1:9/v1", {}, key=f"{SECRET}\n", timeout_s=1)
    assert without(SECRET, f"bad key {SECRET}") == "bad key [key]"
