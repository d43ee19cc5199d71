"""Quantised variants, calibration, and advice where memory runs out."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import pytest
import torch
import transformers
import yaml

from kdgov.checkpoints.identity import model_identity
from kdgov.distillation import StudentStart, distill
from kdgov.distillation.losses.fused_loss import LogitTerms
from kdgov.distillation.memory import give_back, give_back_before_gradients, kept_heap, memory_advice, rows_at_once
from kdgov.errors import InputError, UnavailableError
from kdgov.pipeline.calibrate import calibrate_step
from kdgov.pipeline.context import open_release
from kdgov.pipeline.distill import distill_step
from tests.distillation.test_run import recipe


def release(folder, teacher, texts, *, name="r", student=None, **recipe_changes):
    said = {
        "schema": "kdgov.release/1",
        "name": "small",
        "teacher": {"model": str(teacher)},
        "student": student or {"keep_layers": [0, 3]},
        "data": [str(texts)],
        "distillation": {"steps": 6, "batch_size": 8, "learning_rate": 3e-3, **recipe_changes},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(said))
    return path


@pytest.mark.parametrize("kind", ["int8_dynamic", "int8_weight_only"])
def test_a_quantised_variant_is_a_checkpoint_of_its_own(kind, teacher, texts, tmp_path):
    path = release(tmp_path, teacher, texts, student={"keep_layers": [0, 3], "quantization": kind})
    finished = distill_step(open_release(path, store=tmp_path / "store"))
    full = model_identity(finished.folder / "full-precision")
    assert finished.facts["identity"]["weights"] != full.weights
    assert finished.facts["identity"]["size_bytes"] < 0.7 * full.size_bytes
    ids = torch.arange(3, 15)[None]
    answers = []
    for name in ("full-precision", "student"):
        model = transformers.AutoModelForCausalLM.from_pretrained(finished.folder / name).eval()
        with torch.no_grad():
            answers.append(model(ids).logits.float().log_softmax(-1).exp())
    # Close, and not the same: the variant really computes with eight bits.
    assert 0 < float((answers[0] - answers[1]).abs().max()) < 0.2
    record = json.loads((finished.folder / "student" / "kdgov-distillation.json").read_text())
    assert record["student_start"]["full_precision"]["weights"] == full.weights
    taught = distill(recipe(steps=1), finished.folder / "student", StudentStart(model=teacher), [texts], tmp_path / "taught")
    assert taught.teacher["weights"] == finished.facts["identity"]["weights"]


def test_four_bits_need_kernels_that_are_named_where_they_are_absent(teacher, texts, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine may have the kernels")
    path = release(tmp_path, teacher, texts, student={"keep_layers": [0, 3], "quantization": "int4_weight_only"})
    with pytest.raises(UnavailableError, match="int4_weight_only needs kernels"):
        distill_step(open_release(path, store=tmp_path / "store"))


def test_a_finished_student_can_be_quantised_without_training(teacher, tmp_path):
    said = {"schema": "kdgov.release/1", "name": "q", "teacher": {"model": str(teacher)}}
    said["student"] = {"model": str(teacher), "quantization": "int8_weight_only"}
    path = tmp_path / "q.yaml"
    path.write_text(yaml.safe_dump(said))
    finished = distill_step(open_release(path, store=tmp_path / "store"))
    assert finished.facts["trained"] is False
    assert finished.facts["student"] == "student"
    assert finished.facts["identity"]["size_bytes"] < model_identity(teacher).size_bytes


def test_calibration_proposes_from_held_out_cross_entropy_with_its_table(teacher, texts, tmp_path, monkeypatch):
    monkeypatch.setattr("kdgov.distillation.calibration.search_grid.TEMPERATURES", (1.0, 4.0))
    monkeypatch.setattr("kdgov.distillation.calibration.search_grid.HARD_SHARES", (0.0, 0.9))
    path = release(tmp_path, teacher, texts, steps=10)
    first = calibrate_step(open_release(path, store=tmp_path / "store"))
    table = json.loads((first.folder / "calibration.json").read_text())
    tried = sorted({row["temperature"] for row in table["rows"]})
    assert len(table["rows"]) >= 4
    # The grid grew until the best stood within it, or at the ends where it stops.
    assert tried[0] < table["proposal"]["temperature"] < tried[-1] or table["proposal"]["temperature"] in (0.25, 32.0)
    assert all(0 < row["teacher_entropy"] <= 1 for row in table["rows"])
    best = min(table["rows"], key=lambda row: row["cross_entropy"])
    assert first.facts["proposal"]["temperature"] == best["temperature"]
    assert first.facts["proposal"]["hard_weight"] == best["hard_share"]
    assert best["indistinguishable"]
    assert first.facts["digest"] in first.facts["table"]
    assert calibrate_step(open_release(path, store=tmp_path / "store")).reused
    again = calibrate_step(open_release(path, store=tmp_path / "other"))
    assert again.facts["digest"] == first.facts["digest"]


def test_calibration_refuses_too_little_data(teacher, tmp_path):
    few = tmp_path / "few.txt"
    few.write_text("the cat sat\n\nthe dog ran\n")
    with pytest.raises(InputError, match="has 2 examples"):
        calibrate_step(open_release(release(tmp_path, teacher, few), store=tmp_path / "store"))


def test_memory_that_runs_out_names_the_levers():
    with pytest.raises(UnavailableError, match="gradient_accumulation.*chunk_tokens.*cache.*max_length"), memory_advice(recipe()):
        raise torch.OutOfMemoryError("no")
    with pytest.raises(UnavailableError, match="memory ran out"), memory_advice(recipe()):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    with pytest.raises(RuntimeError, match="something else"), memory_advice(recipe()):
        raise RuntimeError("something else")


def test_a_chunk_holds_as_many_rows_as_fit_the_memory_that_is_used_again():
    here, there = torch.device("cpu"), torch.device("cuda")
    # 16 MB of logits of four bytes: 512 rows of 8,192 classes, 131 of 32,000; never fewer than 128, never more than declared.
    assert [rows_at_once(512, classes, here) for classes in (100, 8192, 32_000, 1_000_000)] == [512, 512, 131, 128]
    assert rows_at_once(16, 1_000_000, here) == 16
    assert rows_at_once(512, 1_000_000, there) == 512


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told how to keep memory")
def test_memory_freed_in_one_step_serves_the_next():
    def pages_zeroed():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            step = [torch.ones(1_000_000) for _ in range(8)]
            del step
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with kept_heap():
        pages_zeroed()
        # Ten times 32 MB in pages of 4 kB would be 78,000.
        assert pages_zeroed() < 2000


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told how to keep memory")
def test_kept_memory_is_given_back_before_a_gradient_that_could_not_use_it(monkeypatch):
    def resident_mb():
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

    embedding = torch.nn.Embedding(1_000_000, 20)
    small = torch.nn.Embedding(10, 20)
    give_back_before_gradients(torch.nn.ModuleList([embedding, small]))
    assert not small._forward_hooks
    with kept_heap():
        loss = embedding(torch.tensor([3, 3, 5])).sum()
        activations = [torch.ones(1_000_000) for _ in range(30)]
        del activations
        kept, given_back = resident_mb(), []

        def watched(coming):
            give_back(coming)
            given_back.append(resident_mb())

        monkeypatch.setattr("kdgov.distillation.memory.give_back", watched)
        loss.backward()
    # 30 blocks of 4 MB lay there for the next step.
    assert given_back[0] < kept - 100
    assert embedding.weight.grad[[3, 4, 5], 0].tolist() == [2.0, 0.0, 1.0]


def test_nothing_asked_of_the_logits_is_a_mistake_of_the_caller():
    from kdgov.distillation.losses.fused_loss import rows_loss

    with pytest.raises(TypeError):
        rows_loss(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long), torch.ones(1), None, LogitTerms())
