"""Families that keep no key-value cache: an encoder-decoder and a state space answer as their own greedy decoding does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.results.evaluation_run import evaluate
from tests.evaluation.worlds import make_tokenizer

FAMILIES: dict[str, tuple[Any, Any]] = {
    "mamba": (
        transformers.MambaForCausalLM,
        transformers.MambaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, state_size=8, bos_token_id=0, eos_token_id=1,
                                 pad_token_id=2),
    ),
    "t5": (
        transformers.T5ForConditionalGeneration,
        transformers.T5Config(vocab_size=320, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=2,
                              eos_token_id=1, pad_token_id=2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_both_kinds_of_question_are_answered_and_texts_have_their_length(tiny_suite: Path, tmp_path: Path, family: str) -> None:
    made, config = FAMILIES[family]
    folder = tmp_path / family
    folder.mkdir()
    make_tokenizer(folder)
    torch.manual_seed(0)
    model = made(config).eval()
    # Weights of this size say more than one token.
    for parameter in model.parameters():
        parameter.data.mul_(3)
    model.save_pretrained(folder)
    plan = build_plan(read_suites([str(tiny_suite)]), limit=4)
    found = evaluate(plan, folder, tmp_path / "out", cache=tmp_path / "c")
    assert all(task["truncated"] == task["not_finite"] == 0 for task in found.document["tasks"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    task = next(task for task in plan.tasks if task.task == "write")
    said = {r["item_id"]: r["prediction"] for r in found.table.to_rows() if r["task"] == "write"}
    for item in task.items:
        ids = tokenizer(item.requests[0].context, return_tensors="pt", return_token_type_ids=False)["input_ids"]
        with torch.no_grad():
            out = model.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=1, pad_token_id=2)[0]
        wrote = out[1:] if family == "t5" else out[ids.shape[1] :]
        text = tokenizer.decode(wrote, skip_special_tokens=True)
        assert said[item.item_id] == text.split("\n")[0].split(".")[0]
        assert len(wrote) <= 12
