"""A run one can watch: held-out loss, best student, early stopping, losses on disk, types and arguments."""

from __future__ import annotations

import json
import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from kdgov.declarations.distillation import Distillation
from kdgov.distillation import StudentStart, distill
from kdgov.distillation.loop.sharding import refuse_unready_shards
from kdgov.distillation.loop.training_arguments import training_arguments
from kdgov.errors import DeclarationError, InputError, UnavailableError
from kdgov.pipeline.check import check_step
from kdgov.pipeline.context import open_release
from kdgov.progress import work_of
from tests.distillation.conftest import sentences
from tests.distillation.test_work import release

HALF = [{"kind": "soft_targets", "weight": 0.5}, {"kind": "hard_labels", "weight": 0.5}]


def recipe(**changes):
    return Distillation.model_validate(
        {"terms": HALF, "steps": 8, "batch_size": 8, "learning_rate": 3e-3, "checkpoint_every": 3, **changes}
    )


def run(teacher, data, output, start=None, progress=lambda *_: None, **changes):
    return distill(recipe(**changes), teacher, start or StudentStart(keep_layers=[0, 3]), [data], output, progress=progress)


def student(folder):
    return load_file(folder / "student" / "model.safetensors")


def lines(folder):
    return [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]


def test_the_held_out_loss_is_told_kept_and_recorded(teacher, texts, tmp_path):
    told = []
    record = run(teacher, texts, tmp_path, held_out={"share": 0.2, "every": 3}, progress=lambda label, *_: told.append(label))
    rows = record.held_out["rows"]
    assert [row["step"] for row in rows] == [3, 6, 8]
    assert rows[-1]["loss"] == pytest.approx(0.5 * 4 * rows[-1]["soft_targets"] + 0.5 * rows[-1]["hard_labels"])
    assert record.held_out["examples"] + record.examples["learnt_from"] == 60
    assert [row["held_out"] for row in lines(tmp_path) if "held_out" in row] == rows
    assert [row["step"] for row in lines(tmp_path) if "step" in row] == list(range(1, 9))
    steps = [label for label in told if work_of(label) == "distilling" and label != "distilling"]
    assert len(steps) == 8
    assert "held out loss" in steps[-1]
    assert "soft_targets" in steps[-1]


def test_copies_of_an_example_fall_on_one_side(teacher, tmp_path):
    data = tmp_path / "twice.jsonl"
    data.write_text(
        "".join(json.dumps({"id": f"{n}-{copy}", "text": text}) + "\n" for copy in "ab" for n, text in enumerate(sentences(40)))
    )
    record = run(teacher, data, tmp_path / "out", held_out={"share": 0.25}, steps=3)
    assert record.examples["learnt_from"] == 2 * (40 - record.held_out["examples"])
    assert record.held_out["examples"] == 10


def test_the_student_saved_is_the_one_of_the_lowest_held_out_loss(teacher, texts, tmp_path):
    changes = {"held_out": {"share": 0.2, "every": 2}, "learning_rate": 0.5, "schedule": "constant", "checkpoint_every": 2}
    at_step = {}

    def keep_checkpoints(label, done, total):
        for folder in (tmp_path / "all" / "checkpoints").glob("checkpoint-*"):
            at_step[int(folder.name.rpartition("-")[2])] = load_file(folder / "model.safetensors")

    record = run(teacher, texts, tmp_path / "all", progress=keep_checkpoints, **changes)
    best = record.held_out["student_of_step"]
    assert best == min(record.held_out["rows"], key=lambda row: row["loss"])["step"] < 8
    last = run(teacher, texts, tmp_path / "last", **{**changes, "held_out": {"share": 0.2, "every": 2, "keep_best": False}})
    assert last.held_out["student_of_step"] == 8
    kept, ended = student(tmp_path / "all"), student(tmp_path / "last")
    saved = {name.removeprefix("student."): tensor for name, tensor in at_step[best].items()}
    assert all(torch.equal(kept[name], saved[name]) for name in kept if name in saved)
    assert not all(torch.equal(kept[name], ended[name]) for name in kept)


def test_it_stops_when_the_declared_measurements_bring_nothing(teacher, texts, tmp_path):
    record = run(teacher, texts, tmp_path, steps=40, held_out={"share": 0.2, "every": 2, "patience": 2, "improvement": 50.0})
    assert record.held_out["stopped_early"]
    assert record.steps == 6
    assert record.held_out["student_of_step"] == 2
    assert len(json.loads((tmp_path / "losses.json").read_text())) == 6


def test_too_few_examples_to_hold_out_are_refused(teacher, tmp_path):
    data = tmp_path / "few.jsonl"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in sentences(3)))
    with pytest.raises(InputError, match="has 3 different examples, too few to hold 2 of them out"):
        run(teacher, data, tmp_path / "out", held_out={})


def test_a_killed_run_goes_on_with_what_it_had_measured(teacher, texts, tmp_path):
    changes = {"held_out": {"share": 0.2, "every": 2}, "learning_rate": 0.3, "schedule": "constant", "steps": 10}
    whole = run(teacher, texts, tmp_path / "whole", **changes)
    pid = os.fork()
    if pid == 0:

        def die(label, done, total):
            if work_of(label) == "distilling" and done == 7:
                os.kill(os.getpid(), signal.SIGKILL)

        torch.set_num_threads(1)
        run(teacher, texts, tmp_path / "killed", progress=die, **changes)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert [row["step"] for row in lines(tmp_path / "killed") if "step" in row] == list(range(1, 8))
    resumed = run(teacher, texts, tmp_path / "killed", **changes)
    assert resumed.held_out == whole.held_out
    assert lines(tmp_path / "killed") == lines(tmp_path / "whole")
    mine, theirs = student(tmp_path / "whole"), student(tmp_path / "killed")
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_types_train_to_nearly_the_same(dtype, teacher, texts, tmp_path):
    plain = run(teacher, texts, tmp_path / "plain", steps=4)
    narrow = run(teacher, texts, tmp_path / "narrow", steps=4, dtype=dtype, save_dtype="float32")
    assert plain.steps == narrow.steps == 4
    a, b = (lines(tmp_path / name)[-1] for name in ("plain", "narrow"))
    assert a != b
    assert a["soft_targets"] == pytest.approx(b["soft_targets"], rel=0.02)
    assert a["hard_labels"] == pytest.approx(b["hard_labels"], rel=0.02)


@pytest.mark.parametrize("adapter", [None, {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}], ids=["whole", "lora"])
def test_recomputed_activations_change_nothing(adapter, teacher, texts, tmp_path):
    start = StudentStart(model=teacher, adapter=adapter) if adapter else StudentStart(keep_layers=[0, 3])
    for name, trainer in (("kept", {}), ("recomputed", {"gradient_checkpointing": True})):
        run(teacher, texts, tmp_path / name, start, steps=3, trainer=trainer)
    mine, theirs = student(tmp_path / "kept"), student(tmp_path / "recomputed")
    assert all(torch.allclose(mine[name], theirs[name], atol=1e-6) for name in mine)


@pytest.mark.nightly
def test_a_compiled_student_learns_the_same(teacher, texts, tmp_path):
    held_out = {"share": 0.2, "every": 2}
    for name, trainer in (("plain", {}), ("compiled", {"torch_compile": True, "torch_compile_backend": "aot_eager"})):
        run(teacher, texts, tmp_path / name, steps=4, trainer=trainer, held_out=held_out)
    mine, theirs = student(tmp_path / "plain"), student(tmp_path / "compiled")
    assert mine.keys() == theirs.keys()
    assert all(torch.allclose(mine[name], theirs[name], atol=1e-5) for name in mine)


COMPILED = {
    "no backend": ({"torch_compile_backend": "nix"}, [{"kind": "soft_targets"}], "torch_compile_backend: 'nix' is not one of"),
    "no mode": (
        {"torch_compile": True, "torch_compile_mode": "nix"},
        [{"kind": "soft_targets"}],
        "torch_compile_mode: 'nix' is not one of",
    ),
    "layers": (
        {"torch_compile": True},
        [{"kind": "hidden_states", "layers": "last"}],
        "does not show its layers, which hidden_states compare",
    ),
}


@pytest.mark.parametrize("case", sorted(COMPILED))
def test_what_cannot_be_compiled_is_refused(case, teacher, texts, tmp_path):
    trainer, terms, said = COMPILED[case]
    with pytest.raises(InputError, match=said):
        run(teacher, texts, tmp_path, trainer=trainer, terms=terms)


REFUSED = {
    "eval_strategy": ("steps", "held_out"),
    "load_best_model_at_end": (True, "held_out"),
    "fp16": (True, "dtype"),
    "report_to": ("mlflow", "report_to"),
    "label_smoothing_factor": (0.1, "Remove it"),
    "neftune_noise_alpha": (5, "Remove it"),
    "use_liger_kernel": (True, "fused_head"),
    "learning_rate": (0.1, "recipe's own keys"),
    "optim": ("none such", "transformers takes"),
    "resume_from_checkpoint": ("last", "goes on by itself"),
    "logging_steps": (10, "losses.jsonl"),
    "hub_token": ("hf_of_nobody", "goes out after the gate"),
    # Three steps of accumulation that nobody declared.
    "accelerator_config": ({"gradient_accumulation_kwargs": {"num_steps": 3}}, "the batch is fixed"),
    "parallelism_config": ({"tp_size": 2}, "fsdp"),
    "local_rank": (1, "torchrun"),
    "warmup_ratios": (0.1, "no argument of transformers.TrainingArguments"),
    "adam_beta1": (2.0, "Invalid beta parameter"),
    "lr_scheduler_kwargs": ({"cycles": 2}, "unexpected keyword argument 'cycles'"),
}


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_arguments_that_would_be_ignored_are_refused_with_the_key_to_use(key, teacher, texts, tmp_path):
    value, said = REFUSED[key]
    with pytest.raises(InputError, match="distillation") as caught:
        run(teacher, texts, tmp_path, trainer={key: value}, held_out={"share": 0.2})
    assert said in str(caught.value)
    assert "hf_of_nobody" not in str(caught.value)


MISSING = {
    "deepspeed": ({"trainer": {"deepspeed": {"zero_optimization": {"stage": 2}}}}, "deepspeed"),
    "tracker": ({"report_to": ["comet_ml"]}, "comet"),
    "optimiser": ({"trainer": {"optim": "apollo_adamw"}}, "apollo"),
    "one process": ({"trainer": {"fsdp": True}}, "fsdp: shards a student over several processes, and this is one alone"),
}


@pytest.mark.parametrize("case", sorted(MISSING))
def test_what_is_missing_is_named_before_anything_is_read(case, texts, tmp_path):
    changes, said = MISSING[case]
    with pytest.raises(UnavailableError, match=said):
        run(tmp_path / "no-teacher-is-there", texts, tmp_path, **changes)


def test_the_check_tells_that_deepspeed_is_not_installed(teacher, texts, tmp_path):
    path = release(tmp_path, teacher, texts, trainer={"deepspeed": {"zero_optimization": {"stage": 2}}})
    with pytest.raises(UnavailableError, match="deepspeed: needs a package"):
        check_step(open_release(path, store=tmp_path / "store"))


def test_the_check_tells_of_arguments_that_do_nothing(teacher, texts, tmp_path):
    path = release(tmp_path, teacher, texts, trainer={"eval_strategy": "steps", "hub_token": "hf_of_nobody", "adam_beta_1": 0.8})
    with pytest.raises(DeclarationError) as caught:
        check_step(open_release(path, store=tmp_path / "store"))
    told = {(fault.file, fault.key): f"{fault.what} {fault.mend}" for fault in caught.value.faults}
    assert set(told) == {(str(path), f"distillation.trainer.{key}") for key in ("eval_strategy", "hub_token", "adam_beta_1")}
    assert "adam_beta1" in told[str(path), "distillation.trainer.adam_beta_1"]
    assert "hf_of_nobody" not in str(told)


SHARDED = {
    "keep_best": ({"held_out": {"share": 0.2}}, None, "the best student's weights cannot be put together"),
    "adapter": ({}, {"r": 2}, "an adapter cannot be merged"),
    "on_policy": ({"terms": [{"kind": "on_policy"}]}, None, "a student cannot write samples"),
}


@pytest.mark.parametrize("case", sorted(SHARDED))
def test_what_shards_cannot_be_combined_with_is_refused(case):
    changes, adapter, said = SHARDED[case]
    asked = Distillation.model_validate({"terms": [{"kind": "soft_targets"}], "trainer": {"fsdp": True}, **changes})
    with pytest.raises(InputError, match=said):
        refuse_unready_shards(asked, world_size=2, has_adapter=adapter is not None)


def test_one_process_takes_one_accelerator(tmp_path, monkeypatch):
    """Transformers copies a model to every accelerator of a machine, and gives each a whole batch."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    asked = Distillation.model_validate({"terms": [{"kind": "soft_targets"}], "batch_size": 8})
    arguments = training_arguments(asked, tmp_path)
    assert (arguments.n_gpu, arguments.train_batch_size) == (1, 8)


def test_processes_that_would_train_apart_are_refused(tmp_path):
    asked = Distillation.model_validate({"terms": [{"kind": "soft_targets"}], "batch_size": 8})
    with pytest.raises(UnavailableError, match="2 processes should train together, and transformers joins 1"):
        training_arguments(asked, tmp_path, world_size=2)


@pytest.mark.nightly
def test_trackers_are_told_every_step(teacher, texts, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/runs.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    run(teacher, texts, tmp_path / "out", steps=3, report_to=["mlflow"], held_out={"share": 0.2, "every": 3})
    mlflow.end_run()
    client = mlflow.MlflowClient(uri)
    (found,) = client.search_runs(["0"])
    assert [point.step for point in client.get_metric_history(found.info.run_id, "train/soft_targets")] == [1, 2, 3]
    assert "held_out/loss" in found.data.metrics


def test_texts_longer_than_learnt_positions_are_refused_by_name(tmp_path):
    from tests.distillation import worlds

    data = tmp_path / "long.jsonl"
    data.write_text("".join(json.dumps({"id": f"l{n}", "text": " ".join(["a"] * (60 + n))}) + "\n" for n in range(8)))
    folder = worlds.gpt2(tmp_path / "gpt2")
    with pytest.raises(InputError, match=r"item l7 has 68 tokens, and 4 in all are too long.*positions for 64") as caught:
        run(folder, data, tmp_path / "out", StudentStart(keep_layers=[0]))
    assert "max_length: 64" in str(caught.value)


def test_a_term_that_never_changes_stops_the_run_before_it_is_over(teacher, texts, tmp_path):
    """A student that is its teacher has nothing to learn from it; a short run is judged at its last step."""
    for steps in (3, 20):
        with pytest.raises(InputError, match=rf"is 0 on each of the first {min(steps, 8)} batches: nothing is learnt from it"):
            run(teacher, texts, tmp_path / f"out{steps}", StudentStart(model=teacher), steps=steps, terms=[{"kind": "soft_targets"}])


def test_a_folder_in_the_place_of_a_file_is_refused(teacher, tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="is a folder; data are files"):
        run(teacher, tmp_path / "images", tmp_path / "out")


def test_held_out_losses_become_curves_of_the_recorded_run():
    from types import SimpleNamespace

    from kdgov.recording.runs import training_curves

    rows = [{"step": 3.0, "loss": 1.5, "soft_targets": 0.5}, {"step": 6.0, "loss": 1.25, "soft_targets": float("nan")}]
    curves = training_curves(SimpleNamespace(curves={}, distillation={"held_out": {"rows": rows}}))
    assert curves == {"held_out/loss": [(3, 1.5), (6, 1.25)], "held_out/soft_targets": [(3, 0.5)]}
