"""A suite's judge asks only hosts that the release lists: at the check before anything is spent, and at every door that asks."""

from __future__ import annotations

import pytest
import yaml

from kdgov.declarations.release_parts.allowed_hosts import host_name, refuse_unlisted_hosts
from kdgov.errors import InputError
from kdgov.pipeline.check import check_step
from kdgov.pipeline.confined.suite_calls import SuiteCalls
from kdgov.pipeline.context import open_release
from kdgov.progress import silent


@pytest.fixture
def suite(tmp_path):
    """Writes a suite whose judge asks an address; its folder."""

    def write(address: str, **judge: str) -> str:
        folder = tmp_path / "suite"
        folder.mkdir(exist_ok=True)
        (folder / "items.jsonl").write_text('{"question": "q"}\n')
        asks = {"kind": "openai", "model": "m", "base_url": address, "prompt": "{prompt} {answer}", "labels": {"yes": "good"}, **judge}
        metric = {"metric": "judged", "direction": "higher", "judge": "j", "counts": "good"}
        task = {"task": "t", "kind": "lm_eval", "data": {"path": "items.jsonl"}, "metrics": [metric]}
        document = {"schema": "kdgov.suite/1", "name": "foreign", "license": "MIT", "judges": {"j": asks}, "tasks": [task]}
        (folder / "suite.yaml").write_text(yaml.safe_dump(document))
        return str(folder)

    return write


@pytest.mark.parametrize(
    ("address", "key", "listed", "is_allowed"),
    [
        ("https://api.evil.example/v1", None, [], False),
        ("https://api.evil.example/v1", "GITHUB_TOKEN", [], False),
        ("https://api.evil.example/v1", "GITHUB_TOKEN", ["api.acme.com"], False),
        ("https://api.acme.com/v1", "ACME_API_KEY", ["api.acme.com"], True),
        ("https://API.ACME.COM/v1", "ACME_API_KEY", ["api.acme.com:443"], True),
        ("https://api.acme.com:8443/v1", "ACME_API_KEY", ["api.acme.com:443"], False),
        ("https://api.acme.com.evil.example/v1", "ACME_API_KEY", ["api.acme.com"], False),
        ("http://127.0.0.1:8000/v1", None, [], True),
        ("http://localhost:8000/v1", None, [], True),
        ("http://127.0.0.1:8000/v1", "ACME_API_KEY", [], False),
        ("http://10.0.0.7:8000/v1", None, [], False),
    ],
)
def test_what_a_judge_may_ask(suite, tmp_path, address, key, listed, is_allowed):
    named = suite(address, **({"api_key_variable": key} if key else {}))

    def asked() -> None:
        refuse_unlisted_hosts([named], beside=None, allowed=listed, declared={}, mend="List HOST.")

    if is_allowed:
        asked()
        return
    with pytest.raises(InputError, match=r"judges\.j: asks .*, which is not among the allowed hosts"):
        asked()
    with pytest.raises(InputError, match="not among the allowed hosts"):
        SuiteCalls([named], beside=None, store=tmp_path / "store", progress=silent, hosts=listed)


def test_the_check_refuses_before_anything_is_read_and_the_releases_own_address_counts(suite, tmp_path):
    named = suite("https://api.acme.com/v1", api_key_variable="ACME_API_KEY")
    release = {
        "schema": "kdgov.release/1", "name": "r", "teacher": {"model": "t"}, "student": {"model": "s"}, "suites": [named],
    }  # fmt: skip
    path = tmp_path / "release.yaml"
    path.write_text(yaml.safe_dump(release))
    with pytest.raises(InputError, match="not among the allowed hosts") as caught:
        check_step(open_release(path, store=tmp_path / "store"))
    assert caught.value.mend == "List it in the release: `allowed_hosts: [api.acme.com]`."
    endpoint = {"base_url": "https://api.acme.com/v2", "model": "m", "terms": "MIT"}
    refuse_unlisted_hosts([named], beside=path, allowed=[], declared={"teacher": {"endpoint": endpoint}}, mend="")
    path.write_text(yaml.safe_dump({**release, "allowed_hosts": ["https://api.acme.com"]}))
    with pytest.raises(InputError, match="is not a host"):
        open_release(path, store=tmp_path / "store")


@pytest.mark.parametrize("text", ["", "a b", "http://a", "a/b", "u@a", "a:b", "*.acme.com"])
def test_what_is_no_host(text):
    with pytest.raises(ValueError, match="is not a host"):
        host_name(text)
