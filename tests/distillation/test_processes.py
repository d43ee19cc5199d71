"""Several processes that train as one: torchrun and accelerate launch, two processes on the CPU (gloo)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

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


def launched(launcher, path, store):
    command = [sys.executable, "-m", *LAUNCHERS[launcher], free_port(), "-m", "kdgov", "distill", str(path), "--store", str(store)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
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
    done = launched(launcher, path, tmp_path / "two")
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
