"""The store: whole results only, reuse by digest, nothing half-written."""

from __future__ import annotations

import pytest

from kdgov.errors import UnavailableError
from kdgov.pipeline.store import Store

KEY = "sha256:" + "a" * 64


def finish(store, content="1", facts=None):
    (store.working("distill", KEY) / "out.txt").write_text(content)
    return store.finish("distill", KEY, facts or {"n": 1})


def test_a_finished_result_is_reused_with_its_facts(tmp_path):
    store = Store(tmp_path)
    assert store.finished("distill", KEY) is None
    made = finish(store)
    found = store.finished("distill", KEY)
    assert found is not None
    assert (found.folder, found.facts, found.reused, made.reused) == (made.folder, {"n": 1}, True, False)


def test_what_a_killed_step_left_is_still_there_and_not_a_result(tmp_path):
    store = Store(tmp_path)
    (store.working("distill", KEY) / "half.txt").write_text("x")
    assert store.finished("distill", KEY) is None
    assert (Store(tmp_path).working("distill", KEY) / "half.txt").read_text() == "x"


@pytest.mark.parametrize("harm", ["change", "delete", "add"])
def test_a_result_that_changed_afterwards_is_set_aside_not_trusted(tmp_path, harm):
    store = Store(tmp_path)
    folder = finish(store).folder
    match harm:
        case "change":
            (folder / "out.txt").write_text("2")
        case "delete":
            (folder / "out.txt").unlink()
        case _:
            (folder / "more.txt").write_text("3")
    assert store.finished("distill", KEY) is None
    assert folder.with_suffix(".changed").is_dir()
    assert finish(store).folder == folder


def test_an_unwritable_store_is_the_environments_fault(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be written"):
        Store(tmp_path / "file").working("check", KEY)


def test_two_keys_never_share_a_folder(tmp_path):
    store = Store(tmp_path)
    assert store.folder("distill", KEY) != store.folder("distill", "sha256:" + "b" * 64)
    assert store.folder("distill", KEY) != store.folder("evaluate", KEY)
