"""Memory that really runs out, in a process that may take no more: the message names what saves some."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.distillation.conftest import llama, sentences, write_tokenizer

pytestmark = [pytest.mark.nightly, pytest.mark.ci]
SCRIPT = """
import resource, sys
from pathlib import Path
import torch
from kdgov.checkpoints.loading import load_model
from kdgov.declarations.distillation import Distillation
from kdgov.distillation import StudentStart, distill
from kdgov.errors import UnavailableError

teacher, data, output, more_mb, fused = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "fused"
torch.set_num_threads(1)
load_model(teacher, "causal_lm", dtype=torch.float32)
recipe = Distillation.model_validate(
    {"terms": [{"kind": "soft_targets"}], "steps": 1, "batch_size": 60, "fused_head": fused, "chunk_tokens": 64}
)
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + more_mb * 2**20,) * 2)
try:
    distill(recipe, teacher, StudentStart(keep_layers=[0]), [data], output)
except UnavailableError as error:
    print(error)
    sys.exit(3)
"""


@pytest.fixture(scope="module")
def wide_teacher(tmp_path_factory):
    """Small but for its vocabulary of 80,000: the logits of a batch take hundreds of megabytes, the model thirty."""
    folder = tmp_path_factory.mktemp("wide")
    write_tokenizer(folder)
    llama(80_000, layers=1, width=32, heads=2).save_pretrained(folder)
    return folder


def limited(teacher, texts, output, more_mb, how):
    command = [sys.executable, "-c", SCRIPT, str(teacher), str(texts), str(output), str(more_mb), how]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.getcwd()}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)


def test_the_message_names_the_levers_in_order(wide_teacher, texts, tmp_path):
    done = limited(wide_teacher, texts, tmp_path, 300, "plain")
    assert done.returncode == 3, done.stderr[-3000:]
    said = done.stdout
    assert "memory ran out during distillation" in said
    places = [said.index(word) for word in ("gradient_accumulation", "fused_head: true", "cache: {kind: top_k}", "max_length")]
    assert places == sorted(places)


def test_the_lever_it_names_helps(wide_teacher, texts, tmp_path):
    done = limited(wide_teacher, texts, tmp_path, 300, "fused")
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout


def test_a_model_that_does_not_fit_is_no_fault_of_the_input(wide_teacher, texts, tmp_path):
    done = limited(wide_teacher, texts, tmp_path, 8, "fused")
    assert done.returncode == 3, done.stderr[-3000:]
    assert "does not fit into memory" in done.stdout or "memory ran out" in done.stdout


PEAK = """
import sys
from pathlib import Path
from kdgov.declarations.distillation import Distillation
from kdgov.distillation import StudentStart, distill

recipe = Distillation.model_validate({"terms": [{"kind": "soft_targets"}], "steps": 1, "batch_size": 8, "max_length": 128})
distill(recipe, Path(sys.argv[1]), StudentStart(keep_layers=[0]), [Path(sys.argv[2])], Path(sys.argv[3]))
# Not ru_maxrss: a child of a large process begins with its parent's peak, and both would show that.
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024)
"""


def test_a_hundred_thousand_lines_take_less_than_300_mb_above_the_models(teacher, tmp_path):
    few, many = tmp_path / "few.jsonl", tmp_path / "many.jsonl"
    said = [(word, text) for word, text in zip("abcd" * 25, sentences(100), strict=True)]
    lines = [json.dumps({"prompt": f"the {word}", "completion": f" {word} {text} {text}"}) for word, text in said]
    few.write_text("\n".join(lines[:50]))
    with many.open("w") as out:
        for number in range(1000):
            out.writelines(line.replace("the", f"the {number}", 1) + "\n" for line in lines)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.getcwd()}
    peaks = []
    for data in (few, many):
        command = [sys.executable, "-c", PEAK, str(teacher), str(data), str(tmp_path / data.stem)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=600)
        peaks.append(float(done.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 300
