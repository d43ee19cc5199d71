"""One model spread over several places (`devices: shard`): the same answers, or a fault that names what the machine lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from kdgov.checkpoints import placement
from kdgov.declarations.release_parts.evaluation_settings import EvaluationSettings
from kdgov.errors import UnavailableError
from kdgov.evaluation import release_settings
from kdgov.evaluation.backends.distributed import own_device
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.release_settings import settings_of
from kdgov.evaluation.results.efficiency import Load, measure
from kdgov.evaluation.results.evaluation_run import evaluate
from tests.command import kdgov

PLACES = {"model.embed_tokens": "cpu", "model.layers.0": "cpu", "model.layers.1": "disk", "model.layers.2": "disk",
          "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}  # fmt: skip
"""A machine without accelerators has two places all the same: memory and disk, between which accelerate moves layers."""


@pytest.fixture
def two_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    monkeypatch.setattr(placement, "SHARD", PLACES)
    loaded: list[dict[str, Any]] = []
    plain = placement.load_model

    def watched(*arguments: Any, **options: Any) -> Any:
        model = plain(*arguments, **options)
        loaded.append(dict(getattr(model, "hf_device_map", {})))
        return model

    monkeypatch.setattr(placement, "load_model", watched)
    return loaded


def test_a_spread_model_answers_as_it_does_in_one_place(
    tiny_suite: Path, teacher: Path, tmp_path: Path, two_places: list[dict[str, Any]]
) -> None:
    plan = build_plan(read_suites([str(tiny_suite)]), limit=6)
    whole, spread = (
        evaluate(plan, teacher, tmp_path / devices, cache=tmp_path / "c", how=BackendSettings(devices=devices))
        for devices in ("auto", "shard")
    )
    assert two_places[0] == {}
    assert {str(place) for place in two_places[1].values()} == {"cpu", "disk"}
    assert whole.table.scores.tolist() == pytest.approx(spread.table.scores.tolist(), abs=1e-5)
    assert [t["delivered"] for t in whole.document["tasks"]] == [t["delivered"] for t in spread.document["tasks"]]
    assert (whole.document["how"].get("devices"), spread.document["how"]["devices"]) == (None, "shard")


def test_cost_is_measured_on_the_spread_model(teacher: Path, two_places: list[dict[str, Any]]) -> None:
    found = measure(teacher, teacher, load=Load(turns=2), shard=True)
    assert {str(place) for place in two_places[0].values()} == {"cpu", "disk"}
    assert (found["load"]["devices"], found["load"]["alternating"]) == ("shard", False)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"devices": "shard", "device": "cpu"}, "contradicts device: cpu"),
        ({"devices": "shard", "backend": "vllm"}, "no effect on backend vllm"),
    ],
)
def test_a_spread_that_cannot_be_is_refused(document: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        settings_of(EvaluationSettings.model_validate(document).of("teacher"))


def test_fewer_than_two_accelerators_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = EvaluationSettings.model_validate({"devices": "shard"}).of("teacher")
    for count, told in ((0, "has none"), (1, "has 1")):
        monkeypatch.setattr(release_settings, "accelerators", lambda count=count: count)
        with pytest.raises(UnavailableError, match=told):
            settings_of(said)
    monkeypatch.setattr(release_settings, "accelerators", lambda: 2)
    assert settings_of(said).is_spread


@pytest.mark.skipif(torch.cuda.device_count() > 1, reason="this machine has two accelerators")
def test_the_command_says_so_too(tiny_suite: Path, teacher: Path, tmp_path: Path) -> None:
    out = kdgov("evaluate", "--model", str(teacher), "--suite", str(tiny_suite), "--out", str(tmp_path / "o"), "--devices", "shard")
    out.refuses(3, "at least two accelerators, and this machine has none")


def test_processes_of_one_machine_take_an_accelerator_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [own_device(device) for device in ("cuda", "cuda:0", "cpu")] == ["cuda:1", "cuda:0", "cpu"]
