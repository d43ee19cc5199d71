"""A store may be moved: its registry, evidence and weights are found where it lies now, and no message names the old place."""

from __future__ import annotations

import shutil

import pytest

from kdgov.evidence import artifact_places
from kdgov.evidence.artifact_places import folder_of, know_home
from tests.command import kdgov

NO_ADDRESSES = {"KDGOV_TRUST": "", "KDGOV_SIGNING_KEY": "", "KDGOV_REGISTRY": "", "KDGOV_STORE": ""}


@pytest.fixture
def homes(monkeypatch):
    monkeypatch.setattr(artifact_places, "_HOMES", [])


def test_an_address_below_a_former_place_leads_to_the_present_one(tmp_path, homes):
    (tmp_path / "new" / "artifacts" / "0f").mkdir(parents=True)
    (tmp_path / "new" / "steps" / "distill" / "1a" / "student").mkdir(parents=True)
    know_home(tmp_path / "new")
    assert folder_of("kdgov-artifacts:/old/artifacts/0f/run/artifacts") == tmp_path / "new" / "artifacts" / "0f" / "run" / "artifacts"
    assert folder_of("file:///old/steps/distill/1a/student") == tmp_path / "new" / "steps" / "distill" / "1a" / "student"


def test_every_other_address_stays_what_it_is(tmp_path, homes):
    for name in ("one", "two"):
        (tmp_path / name / "artifacts" / "0f").mkdir(parents=True)
        know_home(tmp_path / name)
    for path in (tmp_path / "one" / "artifacts" / "0f", tmp_path / "elsewhere" / "artifacts" / "unknown" / "x", tmp_path / "student"):
        assert folder_of(path.as_uri()) == path
    assert folder_of("s3://bucket/artifacts/0f") is None
    assert folder_of("mlflow-artifacts:/artifacts/0f") is None


def test_the_registry_of_a_moved_store_is_verified_and_promotes_where_it_lies(embedded, tmp_path):
    old, new = embedded.target.store, tmp_path / "elsewhere"
    good = embedded.record()
    shutil.copytree(old, new)
    old.rename(old.with_name("gone"))
    try:
        report = kdgov("verify", good.name, good.version, "--store", new, "--format", "json", **NO_ADDRESSES)
        promoted = kdgov("promote", good.name, good.version, "--store", new, "--format", "json", **NO_ADDRESSES)
    finally:
        old.with_name("gone").rename(old)
    assert (report.code, promoted.code) == (0, 0), report.out + report.err + promoted.out + promoted.err
    assert {check["what"]: check["state"] for check in report.document["checks"]}["evidence"] == "verified"
    assert str(old) not in promoted.out + promoted.err


@pytest.mark.nightly
def test_a_copied_store_is_audited_on_its_own_and_the_first_is_left_alone(embedded, tmp_path):
    old, new = embedded.target.store, tmp_path / "elsewhere"
    good = embedded.record()
    shutil.copytree(old, new)
    before = sorted(p.as_posix() for p in old.rglob("*"))
    promoted = kdgov("promote", good.name, good.version, "--store", new, "--format", "json", **NO_ADDRESSES)
    audited = kdgov("audit", good.name, good.version, "--store", new, "--format", "json", **NO_ADDRESSES)
    assert promoted.code == 0, promoted.out + promoted.err
    assert "could not be fetched" not in audited.out
    assert sorted(p.as_posix() for p in old.rglob("*")) == before


@pytest.mark.nightly
def test_every_question_is_answered_from_a_moved_store(embedded, tmp_path):
    old, new = embedded.target.store, tmp_path / "elsewhere"
    good = embedded.record()
    shutil.move(old, new)
    try:
        asked = [("gate", good.name, good.version), ("audit", good.name, good.version), ("bom", good.name, good.version)]
        asked += [("registry", "list"), ("registry", "check"), ("registry", "show", good.name, good.version)]
        answers = [kdgov(*words, "--store", new, **NO_ADDRESSES) for words in asked]
    finally:
        shutil.move(new, old)
    assert [answer.code for answer in answers] == [0] * len(asked), [answer.err for answer in answers]
    assert not [words for words, answer in zip(asked, answers, strict=True) if str(old) in answer.out + answer.err]
