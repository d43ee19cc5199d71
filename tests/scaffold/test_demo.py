"""The demo runs in the user's folder: what is copied is the shipped release, and nothing is written over."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.errors import DeclarationError
from kdgov.resources import data_folder
from kdgov.scaffold.demo_files import copy_demo


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_copy_is_the_shipped_release_and_checks_clean(tmp_path):
    releases = copy_demo(tmp_path)
    copied = files_of(tmp_path / "registry")
    assert all((data_folder("registry") / name).read_bytes() == content for name, content in copied.items())
    done = CliRunner().invoke(app, ["check", str(releases / "miniature.yaml"), "--store", str(tmp_path / "store")])
    assert done.exit_code == 0, done.output


def test_a_second_demo_reuses_the_first_and_a_changed_file_is_never_overwritten(tmp_path):
    copy_demo(tmp_path)
    before = files_of(tmp_path)
    copy_demo(tmp_path)
    assert files_of(tmp_path) == before
    changed = tmp_path / "registry" / "releases" / "miniature.yaml"
    changed.write_text("mine\n")
    with pytest.raises(DeclarationError, match=r"miniature\.yaml"):
        copy_demo(tmp_path)
    assert CliRunner().invoke(app, ["demo", str(tmp_path)]).exit_code == 2
    assert changed.read_text() == "mine\n"


@pytest.mark.nightly
def test_the_unsafe_demo_is_blocked_and_writes_only_into_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = files_of(data_folder("registry") / "releases")
    done = CliRunner().invoke(app, ["demo", "here", "--unsafe"])
    assert done.exit_code == 1, done.output
    assert "refusal-retained" in done.output
    assert files_of(data_folder("registry") / "releases") == before
    assert [p.name for p in tmp_path.iterdir()] == ["here"]
