"""Several processes that train as one: torchrun and accelerate launch, two processes on the CPU (gloo)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from kdgov.pipeline.context import open_release
from kdgov.pipeline.distill import distill_step
from tests.command import free_port
from tests.distillation.test_work import release

pytestmark = [pytest.mark.nightly, pytest.mark.ci]
LAUNCHERS = {
    "torchrun": ["torch.distributed.run", "--nproc-per-node", "2", "--master-port"],
    # Told `--cpu`, accelerate starts one process whatever the number; told of several devices, it starts as many.
    "accelerate": ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--main_process_port"],
}


def launched(launcher, path, store, *, sets=(), program=("-m", "kdgov"), **names):
    command = [sys.executable, "-m", *LAUNCHERS[launcher], free_port(), *program, "distill", str(path), "--store", str(store)]
    command += [part for one in sets for part in ("--set", one)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **names}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)


@pytest.fixture(scope="module")
def alone(teacher, texts, tmp_path_factory):
    """The release, and the curve of one process."""
    folder = tmp_path_factory.mktemp("alone")
    path = release(folder, teacher, texts, name="two", gradient_accumulation=2, weighting="example")
    finished = distill_step(open_release(path, store=folder / "one"))
    return path, json.loads((finished.folder / "losses.json").read_text())


@pytest.mark.parametrize("launcher", list(LAUNCHERS))
def test_two_processes_train_what_one_trains(launcher, alone, tmp_path):
    """Same global batch: the same curve but for rounding, one record, one voice."""
    path, curve = alone
    # torchrun is told nothing of the CPU: told of it or not, the processes train together.
    names = {"ACCELERATE_USE_CPU": "true"} if launcher == "accelerate" else {}
    done = launched(launcher, path, tmp_path / "two", **names)
    assert done.returncode == 0, done.stderr[-3000:]
    (folder,) = (tmp_path / "two" / "steps" / "distill").iterdir()
    together = json.loads((folder / "losses.json").read_text())
    assert len(together) == len(curve) == 6
    for mine, theirs in zip(curve, together, strict=True):
        for name in mine:
            assert theirs[name] == pytest.approx(mine[name], rel=1e-4)
    record = json.loads((folder / "distillation.json").read_text())
    assert record["environment"]["processes"] == 2
    assert done.stderr.count("saving: started") == 1
    assert done.stdout.count(str(folder)) == 1


SHARDS = "distillation.trainer={fsdp: true, fsdp_config: {version: 2, transformer_layer_cls_to_wrap: [LlamaDecoderLayer]}}"
DYING = """
import os, signal
from kdgov.cli.app import main
from kdgov.distillation.training_progress import Teller
told = Teller.on_step_end
def die_after_three(self, args, state, control, **rest):
    told(self, args, state, control, **rest)
    if state.global_step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
Teller.on_step_end = die_after_three
main()
"""


def test_shards_over_two_processes_train_what_one_trains_and_go_on_after_a_kill(alone, tmp_path):
    """FSDP 2 on the CPU, killed between two checkpoints: the curve of one process, and its student with tied weights written once."""
    path, curve = alone
    store, sets = tmp_path / "sharded", (SHARDS, "distillation.checkpoint_every=2")
    (tmp_path / "dying.py").write_text(DYING)
    killed = launched("torchrun", path, store, sets=sets, program=[str(tmp_path / "dying.py")])
    assert killed.returncode != 0
    (partial,) = (store / "steps" / "distill").glob("*.partial")
    assert (partial / "checkpoints" / "checkpoint-2" / "pytorch_model_fsdp.bin").is_file()
    done = launched("torchrun", path, store, sets=sets)
    assert done.returncode == 0, done.stderr[-3000:]
    assert ": 3/6" in done.stderr
    assert ": 1/6" not in done.stderr
    (folder,) = (store / "steps" / "distill").iterdir()
    for mine, theirs in zip(curve, json.loads((folder / "losses.json").read_text()), strict=True):
        for name in mine:
            assert theirs[name] == pytest.approx(mine[name], rel=1e-4)
    record = json.loads((folder / "distillation.json").read_text())
    assert (record["environment"]["processes"], record["environment"]["sharding"]) == (2, "fsdp")
    one = next((path.parent / "one" / "steps" / "distill").iterdir())
    mine, theirs = (load_file(place / "student" / "model.safetensors") for place in (one, folder))
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        torch.testing.assert_close(theirs[name], tensor, rtol=1e-4, atol=1e-5)
