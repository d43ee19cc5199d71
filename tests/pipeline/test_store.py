"""The store: whole results only, reuse by digest, nothing half-written, one run at a time, nothing written by asking."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from kdgov.errors import UnavailableError
from kdgov.pipeline.finished_work.lock import held
from kdgov.pipeline.finished_work.step_results import StepResult, told
from kdgov.pipeline.finished_work.store import Store

KEY = "sha256:" + "a" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Made(StepResult):
    """A step's result with one fact that is kept and one that is not."""

    STEP: ClassVar[str] = "distill"

    n: int = 0
    place: str = told("")


def finish(store: Store, content: str = "1", **facts) -> Made:
    with store.work(Made, KEY) as work:
        (work.folder / "out.txt").write_text(content)
        return work.finish(**(facts or {"n": 1}))


def tree(folder: Path) -> list[tuple]:
    return sorted((str(p), p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.rglob("*"))


def test_a_finished_result_is_reused_with_its_facts(tmp_path):
    store = Store(tmp_path)
    assert store.finished(Made, KEY) is None
    made = finish(store)
    found = store.finished(Made, KEY)
    assert found is not None
    assert (found.folder, found.facts, found.reused, made.reused) == (made.folder, {"n": 1, "place": ""}, True, False)


def test_what_is_told_is_never_kept(tmp_path):
    store = Store(tmp_path)
    with store.work(Made, KEY, place="/here") as work:
        made = work.finish(n=2)
    assert made.place == "/here"
    assert "/here" not in (made.folder / "result.json").read_text()
    assert store.finished(Made, KEY, place="/there") == Made(key=KEY, folder=made.folder, reused=True, n=2, place="/there")


def test_asking_writes_nothing(tmp_path):
    store = Store(tmp_path / "store")
    assert store.finished(Made, KEY) is None
    assert not store.root.exists()
    folder = finish(store).folder
    (folder / "out.txt").write_text("changed")
    before = tree(tmp_path)
    assert store.finished(Made, KEY) is None
    assert tree(tmp_path) == before


def test_what_a_killed_step_left_is_still_there_and_not_a_result(tmp_path):
    store = Store(tmp_path)
    with store.work(Made, KEY) as work:
        (work.folder / "half.txt").write_text("x")
    assert store.finished(Made, KEY) is None
    with Store(tmp_path).work(Made, KEY) as work:
        assert (work.folder / "half.txt").read_text() == "x"


@pytest.mark.parametrize("harm", ["change", "delete", "add", "facts"])
def test_a_result_that_changed_afterwards_is_set_aside_not_trusted(tmp_path, harm):
    store = Store(tmp_path)
    folder = finish(store).folder
    match harm:
        case "change":
            (folder / "out.txt").write_text("2")
        case "delete":
            (folder / "out.txt").unlink()
        case "add":
            (folder / "more.txt").write_text("3")
        case _:
            (folder / "result.json").write_text((folder / "result.json").read_text().replace('"n"', '"m"'))
    assert store.finished(Made, KEY) is None
    assert finish(store).folder == folder
    assert folder.with_suffix(".changed").is_dir()
    assert store.finished(Made, KEY) is not None


def test_a_large_file_is_read_once_and_again_when_it_changed(tmp_path, monkeypatch):
    """Reuse remembers digests by path, size, times and inode."""
    monkeypatch.setenv("KDGOV_CACHE", str(tmp_path / "cache"))
    store = Store(tmp_path / "store")
    with store.work(Made, KEY) as work:
        weights = work.folder / "student" / "model.safetensors"
        weights.parent.mkdir()
        weights.write_bytes(os.urandom(3 << 20))
        os.utime(weights, (1e9, 1e9))
        work.finish(n=1)
    read = []
    monkeypatch.setattr("kdgov.checkpoints.digests.digest_file", lambda path: read.append(path) or "sha256:" + "0" * 64)
    assert store.finished(Made, KEY) is not None
    assert read == []
    weights = store.folder("distill", KEY) / "student" / "model.safetensors"
    with weights.open("r+b") as stream:
        stream.write(b"x")
    os.utime(weights, (1e9, 1e9))
    assert store.finished(Made, KEY) is None
    assert len(read) == 1


def test_a_moved_store_keeps_its_results(tmp_path):
    finish(Store(tmp_path / "old"))
    shutil.move(tmp_path / "old", tmp_path / "new")
    found = Store(tmp_path / "new").finished(Made, KEY)
    assert found is not None
    assert found.folder.is_relative_to(tmp_path / "new")


def test_an_unwritable_store_is_the_environments_fault(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be written"), Store(tmp_path / "file").work(Made, KEY):
        pass


def test_two_keys_never_share_a_folder(tmp_path):
    store = Store(tmp_path)
    assert store.folder("distill", KEY) != store.folder("distill", "sha256:" + "b" * 64)
    assert store.folder("distill", KEY) != store.folder("evaluate", KEY)


def _work(root: Path, told_by: str) -> None:
    heard: list[str] = []
    with Store(root).work(Made, KEY, tell=heard.append) as work:
        if work.finished is None:
            (root.parent / "makers").open("a").write(f"{told_by}\n")
            time.sleep(0.5)
            work.finish(n=1)
    (root.parent / f"heard-{told_by}").write_text("\n".join(heard))


def test_of_two_runs_at_once_one_works_and_the_other_waits_and_reuses(tmp_path):
    context = multiprocessing.get_context("fork")
    runs = [context.Process(target=_work, args=(tmp_path / "store", name)) for name in ("one", "two")]
    for run in runs:
        run.start()
    for run in runs:
        run.join(30)
    assert [run.exitcode for run in runs] == [0, 0]
    assert len((tmp_path / "makers").read_text().split()) == 1
    heard = "".join((tmp_path / f"heard-{name}").read_text() for name in ("one", "two"))
    assert "is at work on the step distill: waiting for it" in heard
    assert list((tmp_path / "store" / "locks").iterdir()) == []


def test_a_killed_run_blocks_nobody(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from kdgov.pipeline.finished_work.lock import held\n"
        "with held(Path(sys.argv[1]), what='x', tell=print):\n    print('held', flush=True); time.sleep(60)\n"
    )
    place = tmp_path / "a.lock"
    holder = subprocess.Popen([sys.executable, "-c", code, str(place)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    heard: list[str] = []
    with held(place, what="x", tell=heard.append):
        assert heard == []


def test_the_processes_of_one_launch_work_together_and_one_seals(tmp_path, monkeypatch):
    """Torchrun's other processes join the first once it is at work, and write no record of their own."""
    for name, value in {"MASTER_ADDR": "localhost", "MASTER_PORT": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    store = Store(tmp_path)
    with store.work(Made, KEY) as first:
        monkeypatch.setenv("RANK", "1")
        with store.work(Made, KEY) as second:
            assert second.finished is None
            assert second.folder == first.folder
            assert second.finish(n=1).folder == store.folder("distill", KEY)
            assert store.finished(Made, KEY) is None
        monkeypatch.setenv("RANK", "0")
        first.finish(n=1)
    monkeypatch.setenv("RANK", "1")
    with store.work(Made, KEY) as late:
        assert late.finished is not None
