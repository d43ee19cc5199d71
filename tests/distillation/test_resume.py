"""Killed without warning at any step, every kind of run ends with the weights and the record of an uninterrupted one."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from kdgov.declarations.distillation import Distillation
from kdgov.distillation import StudentStart, distill
from tests.distillation import worlds
from tests.distillation.test_run import same

pytestmark = [pytest.mark.nightly, pytest.mark.ci]
SOFT, HARD = {"kind": "soft_targets"}, {"kind": "hard_labels", "weight": 0.3}
KINDS = {
    "language model": {"terms": [SOFT, HARD]},
    "cached": {"terms": [{**SOFT, "temperature": 1.0}, HARD], "cache": {"kind": "top_k", "k": 20}},
    "cached draws": {"terms": [{**SOFT, "temperature": 1.0}], "cache": {"kind": "sampled", "k": 30}},
    "on policy": {"terms": [SOFT, {"kind": "on_policy", "fraction": 0.6, "max_new_tokens": 5}]},
    "layers": {"terms": [SOFT, {"kind": "hidden_states", "layers": "last"}, {"kind": "attention_relation"}]},
    "classifier": {"terms": [SOFT, HARD, {"kind": "hidden_states", "layers": "last"}]},
    "sequence to sequence": {"terms": [SOFT, HARD]},
    "speech, both sides": {"terms": [SOFT, HARD, *({"kind": "hidden_states", "side": side} for side in ("encoder", "decoder"))]},
    "frames": {"terms": [SOFT, HARD]},
    "hidden tokens": {"terms": [SOFT, HARD, {"kind": "hidden_states", "distance": "cosine", "layers": "last"}]},
    "embeddings": {"terms": [{"kind": "embeddings"}]},
}


@pytest.fixture
def world(request, teacher, texts, questions, tmp_path):
    """Teacher, data and recipe of a kind."""
    kind = request.param
    usual = {"steps": 9, "batch_size": 4, "learning_rate": 3e-3, "checkpoint_every": 2, "gradient_accumulation": 2}
    said = Distillation.model_validate({**usual, **KINDS[kind]})
    if kind == "classifier":
        # With dropout, so that the state of the random numbers counts.
        return worlds.bert(tmp_path / "bert"), worlds.labelled_texts(tmp_path / "labelled.jsonl"), said
    if kind == "sequence to sequence":
        return worlds.t5(tmp_path / "t5"), questions, said
    if kind in ("speech, both sides", "frames"):
        made = worlds.whisper if kind != "frames" else worlds.ctc
        worlds.spoken(tmp_path / "words", 6, **({"separator": " "} if kind != "frames" else {}))
        return made(tmp_path / "heard", layers=3), tmp_path / "words" / "spoken.jsonl", said
    if kind in ("hidden tokens", "embeddings"):
        made = {"hidden tokens": lambda folder: worlds.encoder(folder, "MaskedLM"), "embeddings": worlds.sentence_encoder}[kind]
        return made(tmp_path / "encoder"), texts, said
    return teacher, questions if kind == "on policy" else texts, said


def killed_after(step, run):
    """Whether a run in a process of its own died by SIGKILL right after a step."""

    def die(label, done, total):
        if label == "distilling" and done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        run(die)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("world", list(KINDS), indirect=True)
def test_killed_twice_it_ends_as_if_it_had_not_been(world, tmp_path):
    teacher, data, said = world

    def run(folder, progress=lambda label, done, total: None):
        return distill(
            said,
            teacher,
            StudentStart(keep_layers=[0, 2]),
            [data],
            tmp_path / folder,
            progress=progress,
            cache_root=tmp_path / f"c-{folder}",
        )

    whole = run("whole")
    assert run("again") == whole
    assert same(tmp_path / "whole", tmp_path / "again")
    assert killed_after(3, lambda die: run("killed", die))
    assert killed_after(8, lambda die: run("killed", die))
    seen = []
    resumed = run("killed", lambda label, done, total: seen.append(done) if label == "distilling" else None)
    # Killed before the checkpoint of step 8 was written, it goes on from that of step 6.
    assert seen == [7, 8, 9]
    assert resumed == whole
    assert same(tmp_path / "whole", tmp_path / "killed")
    assert (tmp_path / "whole" / "losses.json").read_bytes() == (tmp_path / "killed" / "losses.json").read_bytes()
