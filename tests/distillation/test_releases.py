"""Every signal in a short release that anyone can run: the files under ``releases/``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
import torch
import yaml

from kdgov.checkpoints.identity import model_identity
from kdgov.declarations.distillation import LOSSES, Term
from kdgov.declarations.effects.release_file import load_release
from kdgov.pipeline.context import open_release
from kdgov.pipeline.distill import distill_step
from tests.distillation import worlds

FOLDER = Path(__file__).parent / "releases"
RELEASES = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A working folder with the small models that some releases name."""
    folder = tmp_path_factory.mktemp("world")
    torch.set_num_threads(1)
    worlds.build(folder / "world")
    return folder


def test_every_signal_every_loss_and_every_start_has_its_release(world, monkeypatch):
    monkeypatch.chdir(world)
    releases = [load_release(path) for path in RELEASES]
    terms = [term for release in releases for term in release.distillation.terms]
    tags = {kind.model_fields["kind"].annotation.__args__[0] for kind in get_args(get_args(Term)[0])}
    assert {term.kind for term in terms} == tags
    assert {term.loss for term in terms if term.kind == "soft_targets"} == set(LOSSES)
    students = [release.student for release in releases]
    for start in ("keep_layers", "model", "config", "adapter", "quantization"):
        assert any(getattr(student, start) for student in students), start
    assert {r.distillation.cache.kind for r in releases if r.distillation.cache} == {"top_k", "sampled"}


@pytest.mark.nightly
@pytest.mark.ci
@pytest.mark.parametrize("path", RELEASES, ids=lambda path: path.stem)
def test_it_runs(path, world, server, tmp_path, monkeypatch):
    monkeypatch.chdir(world)
    said = yaml.safe_load(path.read_text())
    if "endpoint" in said["teacher"]:
        # The one word that cannot stand in a file: the port that is free here.
        said["teacher"]["endpoint"]["base_url"] = f"http://127.0.0.1:{server.server_port}/v1"
        said["student"]["model"], said["data"] = (str((FOLDER / name).resolve()) for name in (said["student"]["model"], said["data"][0]))
        said["data"] = [said["data"]]
        path = tmp_path / path.name
        path.write_text(yaml.safe_dump(said))
    finished = distill_step(open_release(path, store=tmp_path / "store"))
    record = json.loads((finished.folder / "distillation.json").read_text())
    assert record["steps"] == said["distillation"]["steps"]
    assert record["student"] == model_identity(finished.folder / "student").as_json()
    kinds = {term["kind"] for term in said["distillation"]["terms"]}
    losses = json.loads((finished.folder / "losses.json").read_text())
    assert len(losses) == record["steps"]
    # What is declared is what was measured, and it is not nothing; written text is learnt as labels, samples as soft targets.
    named = {"teacher_text": "hard_labels", "on_policy": "soft_targets"}
    for kind in kinds:
        assert max(step[named.get(kind, kind)] for step in losses) > 0, kind
