"""Suites that somebody else wrote are asked in a process without keys: their allowed code finds none, whatever it tries."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile

import pytest
import yaml

from kdgov.evaluation.plan.suite_code import allowed_code
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.evidence.derivation.evaluation_statement import evaluation_standing
from kdgov.evidence.signing_keys import new_key
from kdgov.evidence.trust_store import TrustStore, save_trust, trusted_key
from kdgov.pipeline.confined.confined_process import ConfinedProcess, take
from kdgov.pipeline.confined.landlock import is_available
from kdgov.pipeline.confined.scrubbed_environment import scrubbed
from kdgov.pipeline.confined.suite_calls import _key_variables
from kdgov.pipeline.context import open_release
from tests.evaluation.worlds import CHOICE_TASK, choice_rows
from tests.steps import evaluated

pytestmark = pytest.mark.apart
WORD = "s3cr3t-of-this-test"
HOSTILE = """
import glob, os, pathlib

def look():
    found = []
    for name in [*glob.glob("/proc/[0-9]*/environ"), *PLACES]:
        try:
            text = pathlib.Path(name).read_bytes()
        except OSError:
            continue
        if WORD.encode() in text or b"PRIVATE KEY" in text:
            found.append("read " + name)
    found += ["environment " + name for name, value in os.environ.items() if WORD in value or "PRIVATE KEY" in value]
    for name in TRUST:
        try:
            with open(name, "ab") as stream:
                stream.write(b" ")
            found.append("wrote " + name)
        except OSError:
            pass
    try:
        os.kill(os.getppid(), 0)
        found.append("reaches its parent")
    except OSError:
        pass
    return found

def text(doc):
    print("FOUND", sorted(look()))
    return doc["question"]
"""


@pytest.fixture
def hostile(write_suite, teacher, student, tmp_path, monkeypatch):
    """A release whose suite looks for keys wherever they could be; release file, store, key for evaluations, folder of the code."""
    store = tmp_path / "store"
    key = new_key(tmp_path / "elsewhere", "lab", passphrase=WORD)
    own = new_key(store / "keys", "project", passphrase=None)
    save_trust(store / "keys" / "trust.json", TrustStore().with_key(trusted_key(own.public_path.read_text(), name="own", purposes=["act"])))
    places = {
        "PLACES": [str(own.private_path), str(key.private_path)],
        "TRUST": [str(store / "keys" / "trust.json"), str(tmp_path / "release.yaml")],
        "WORD": WORD,
    }
    code = "".join(f"{name} = {value!r}\n" for name, value in places.items()) + HOSTILE
    task = yaml.safe_dump({**CHOICE_TASK, "doc_to_text": "HERE"}).replace("doc_to_text: HERE", "doc_to_text: !function utils.text")
    declared = {
        "task": "choice", "file": "choice.yaml", "data": {"path": "choice.jsonl", "digest": "pin"},
        "metrics": [{"metric": "acc", "direction": "higher", "chance": 0.25, "range": [0, 1]}],
    }  # fmt: skip
    suite = write_suite([declared], {"choice.yaml": task, "choice.jsonl": choice_rows(6), "utils.py": code})
    release = tmp_path / "release.yaml"
    named = {"schema": "kdgov.release/1", "name": "tiny", "teacher": {"model": str(teacher)}, "student": {"model": str(student)}}
    release.write_text(yaml.safe_dump({**named, "suites": [str(suite.parent)]}))
    monkeypatch.setenv("KDGOV_EVALUATION_KEY", f"file:{key.private_path}")
    monkeypatch.setenv("KDGOV_KEY_PASSPHRASE", WORD)
    monkeypatch.setenv("MY_HARMLESS_NAME", f"holds {WORD}")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:{WORD}@db/x")
    return release, store, key, suite.parent


@pytest.mark.skipif(not is_available(), reason="this kernel has no Landlock: files of the same user are not kept from the process")
def test_allowed_code_finds_no_key_and_the_parent_signs(hostile, tmp_path, capfd):
    release, store, key, folder = hostile
    # In this process the same code finds what it looks for: the test can fail.
    here = runpy.run_path(str(folder / "utils.py"))["look"]()
    assert {"environment KDGOV_KEY_PASSPHRASE", "environment DATABASE_URL", f"read {store / 'keys' / 'project.key'}"} <= {*here}
    with allowed_code([folder]):
        finished = evaluated(open_release(release, store=store))
    assert _reported(capfd.readouterr().err) == ["FOUND []"]
    trust = TrustStore().with_key(trusted_key(key.public_path.read_text(), name="lab", purposes=["evaluation"]))
    bundle = BundleReader(finished.folder)
    assert not [told for told in evaluation_standing(bundle, trust, received=_now()).standing if "unsigned" in told]
    assert not (store / "scratch").exists()
    # What the code could have written false answers into is read by no other evaluation.
    assert not (store / "answers").exists()


def test_one_model_alone_is_asked_without_keys_too(hostile, teacher, tmp_path):
    _, store, _, folder = hostile
    command = [sys.executable, "-m", "kdgov", "evaluate", "--model", str(teacher), "--suite", str(folder), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "KDGOV_STORE": str(store)}
    further = ("--allow-code", str(folder), "--format", "json")
    done = subprocess.run([*command, *further], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = _reported(done.stderr)
    assert "environment" not in found
    assert found == "FOUND []" or not is_available()
    assert len(json.loads(done.stdout)["tasks"]) == 1


def test_a_fault_a_crash_and_an_end_in_the_process_are_told_in_one_line_each(tmp_path):
    from kdgov.errors import InputError

    opened = "kdgov.pipeline.context:open_release"
    with ConfinedProcess(tmp_path) as process:
        with pytest.raises(InputError, match=r"absent\.yaml"):
            process.call(opened, path=tmp_path / "absent.yaml")
        with pytest.raises(RuntimeError, match="TypeError"):
            process.call(opened, nonsense=1)
        os.kill(process._process.pid, signal.SIGKILL)
        with pytest.raises(InputError, match=r"ended by itself \(signal 9\)"):
            process.call(opened, path=tmp_path / "absent.yaml")


def test_the_place_of_its_files_may_be_removed_by_another_process_that_ends(tmp_path, monkeypatch):
    make, gone = tempfile.mkdtemp, []

    def after_another_ended(**given):
        if not gone:
            gone.append(given["dir"].rmdir())
        return make(**given)

    monkeypatch.setattr(tempfile, "mkdtemp", after_another_ended)
    with ConfinedProcess(tmp_path) as process:
        assert process.scratch.is_dir()
    assert gone
    assert not (tmp_path / "scratch").exists()


def test_links_that_foreign_code_leaves_are_not_taken_over(tmp_path):
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "items.parquet").write_bytes(b"items")
    (tmp_path / "from" / "evidence.json").symlink_to("/etc/hostname")
    take(tmp_path / "from", tmp_path / "to")
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["items.parquet"]


@pytest.mark.parametrize(
    ("name", "value", "is_kept"),
    [
        ("PATH", "/usr/bin", True),
        ("HF_HOME", "/tmp", True),
        ("HF_TOKEN", "hf_x", False),
        ("HUGGING_FACE_HUB_TOKEN", "hf_x", False),
        ("TOKENIZERS_PARALLELISM", "false", True),
        ("KDGOV_BATCH_TOKENS", "100", True),
        ("KDGOV_STUDENT_DTYPE", "float32", True),
        ("KDGOV_SIGNING_KEY", "file:/tmp/x.key", False),
        ("KDGOV_KEY_PASSPHRASE", "x", False),
        ("AWS_SECRET_ACCESS_KEY", "x", False),
        ("AWS_ACCESS_KEY_ID", "x", False),
        ("OPENAI_API_KEY", "sk-x", False),
        ("JUDGE_API_KEY", "sk-judge", True),
        ("HTTPS_PROXY", "http://proxy:3128", True),
        ("HTTPS_PROXY", "http://me:pw@proxy:3128", False),
        ("MY_DATA", "/tmp", True),
        ("MY_DATA", "anything else", False),
        ("PYTHONSTUFF", "-----BEGIN PRIVATE KEY-----", False),
    ],
)
def test_what_is_handed_on(name, value, is_kept):
    assert (name in scrubbed({name: value}, keys=["JUDGE_API_KEY"])) is is_kept


@pytest.mark.parametrize(
    ("endpoint", "keys"),
    [
        ({"base_url": "https://api.openai.com/v1"}, ["OPENAI_API_KEY"]),
        ({"base_url": "https://api.openai.com/v1", "key_variable": "OTHER_API_KEY"}, ["OTHER_API_KEY"]),
        ({"base_url": "https://llm.example.com/v1"}, []),
    ],
)
def test_the_key_that_an_endpoint_is_asked_with_is_handed_on_also_where_it_is_the_usual_one(endpoint, keys):
    assert sorted(_key_variables({"teacher": {"endpoint": endpoint}})) == keys


def _reported(text: str) -> list[str]:
    return sorted({line.strip() for line in text.splitlines() if line.startswith("FOUND")})


def _now():
    import datetime

    return datetime.datetime.now(datetime.UTC)
