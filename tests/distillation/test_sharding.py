"""The learner under FSDP: sharded over two processes it has the loss and the gradients it has whole."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.command import free_port

SCRIPT = """
import sys, torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from pathlib import Path
from kdgov.checkpoints.loading import freeze, load_model
from kdgov.declarations.distillation import Distillation
from kdgov.distillation.data.examples import read_examples
from kdgov.distillation.learner import Learner
from kdgov.distillation.data.collation import prepare
from kdgov.distillation.starts.kept_stacks import keep_layers

torch.set_num_threads(1)
teacher, data = Path(sys.argv[1]), Path(sys.argv[2])
dist.init_process_group("gloo")
terms = [{"kind": "soft_targets"}, {"kind": "hard_labels"}]
recipe = Distillation.model_validate({"terms": terms})
prepared = prepare("causal_lm", read_examples([data]), teacher, recipe)
batch = prepared.collate([(row, prepared.items[row]) for row in range(6)])

def made():
    taught = freeze(load_model(teacher, "causal_lm", dtype=torch.float32))
    return Learner(keep_layers(taught, [0, 3]), taught, recipe, task="causal_lm")

whole = made()
loss, _ = whole(batch)
loss.backward()
sharded = made()
mesh = init_device_mesh("cpu", (dist.get_world_size(),))
for layer in sharded.student.model.layers:
    fully_shard(layer, mesh=mesh)
fully_shard(sharded, mesh=mesh)
assert sharded.is_fused
again, _ = sharded(batch)
torch.testing.assert_close(again, loss)
again.backward()
expected = dict(whole.named_parameters())
for name, parameter in sharded.named_parameters():
    # Both processes saw the same batch, so the averaged gradient is the whole one.
    torch.testing.assert_close(parameter.grad.full_tensor(), expected[name].grad, rtol=1e-4, atol=1e-6)
    assert parameter.to_local().numel() < expected[name].numel()
# One write: two processes share the stream.
sys.stdout.write(f"sharded {len(expected)}\\n")
sys.stdout.flush()
dist.destroy_process_group()
"""


@pytest.mark.nightly
@pytest.mark.ci
def test_sharded_over_two_processes_loss_and_gradients_are_the_whole_ones(teacher, texts, tmp_path):
    script = tmp_path / "sharded.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port()]
    command += [str(script), str(teacher), str(texts)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.getcwd()}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("sharded 2") == 2
