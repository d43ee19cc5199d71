"""What the check blocks of data and licences is not trained on and asked of nobody, whichever command is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import kdgov
from kdgov.cli.app import app
from kdgov.errors import BlockedError
from kdgov.pipeline.context import open_release
from kdgov.pipeline.data_checks.before_training import data_check_step, refuse_blocked_training
from kdgov.pipeline.run import resolve
from tests.checks.conftest import QUESTION, World
from tests.checks.test_planted import _persons

SECRET = "The key is AKIA" + "QZ7RTW2MNB4KXC9D."
PLANTS: dict[str, Callable[[World], object]] = {
    "privacy.secret-found": lambda w: w.rows.append({"prompt": "Key?", "completion": SECRET}),
    "privacy.lawful-basis-missing": _persons(lawful_basis="not_established"),
    "contamination.verbatim": lambda w: w.rows.append({"prompt": f"Tell me this. {QUESTION}", "completion": "no"}),
    "licence.deny": lambda w: w.data.update(license="CC-BY-NC-4.0"),
    "provenance.file-changed": lambda w: w.data["files"][0].update(digest="sha256:" + "0" * 64),
}


@pytest.mark.parametrize("rule", PLANTS)
def test_distill_refuses_what_check_blocks(world: World, rule: str) -> None:
    PLANTS[rule](world)
    path = world.write()
    done = CliRunner().invoke(app, ["distill", str(path), "--store", str(world.folder / "store")])
    assert done.exit_code == 1, done.output
    assert "blocked before training: 1 finding of the check stops this release" in " ".join(done.stdout.split())
    assert f"kdgov check {path}" in done.stdout
    told = CliRunner().invoke(app, ["distill", str(path), "--store", str(world.folder / "store"), "--format", "json"])
    assert json.loads(told.stdout)["facts"]["stopped_by"] == [rule]
    assert not (world.folder / "store" / "steps" / "distill").exists()


def test_every_other_door_to_a_student_refuses_it_too(world: World) -> None:
    PLANTS["privacy.secret-found"](world)
    path, store = world.write(), world.folder / "store"
    with pytest.raises(BlockedError, match=r"privacy\.secret-found"):
        kdgov.distill(path, store=store)
    for until in ("evaluate", "gate", "record"):
        with pytest.raises(BlockedError, match=r"privacy\.secret-found") as refused:
            resolve(open_release(path, store=store), until=until)  # type: ignore[arg-type]
        assert refused.value.exit_code == 1
    for command in (["distill", "--calibrate"], ["evaluate"], ["gate"]):
        assert CliRunner().invoke(app, [command[0], str(path), *command[1:], "--store", str(store)]).exit_code == 1


def test_nobody_is_asked_what_the_check_blocks(world: World, tmp_path: Path) -> None:
    """Port 9 answers nobody: a request would end with exit 3."""
    world.release["teacher"] = {"endpoint": {"base_url": "http://127.0.0.1:9/v1", "model": "big", "terms": "MIT", "retries": 0}}
    world.release["student"] = {"model": "teacher", "license": "MIT"}
    world.release["distillation"]["terms"] = [{"kind": "teacher_text"}]
    world.rows.append({"prompt": SECRET, "completion": "no"})
    path, store = world.write(), world.folder / "store"
    for more in ([], ["--write-batch", str(tmp_path / "batch")]):
        done = CliRunner().invoke(app, ["generate", str(path), "--store", str(store), *more])
        assert (done.exit_code, "privacy block" in done.stdout) == (1, True), done.output
    assert not (tmp_path / "batch").exists()
    assert CliRunner().invoke(app, ["distill", str(path), "--store", str(store)]).exit_code == 1


def test_the_policy_alone_says_otherwise_and_a_file_is_scanned_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTS["contamination.verbatim"](world)
    path, store = world.write(), world.folder / "store"
    assert data_check_step(open_release(path, store=store)).stops
    # What was scanned is kept by content: the whole check reads no file again.
    monkeypatch.setattr("kdgov.checks.scan.scan.scan_shard", None)
    assert kdgov.check(path, store=store).stops
    policy = world.folder / "worlds-policy.yaml"
    policy.write_text(policy.read_text().replace("findings:", "findings:\n  contamination.verbatim: review", 1))
    refuse_blocked_training(open_release(path, store=store))
