"""Packed rows: the loss of the examples one by one, no attention across them, next to no padding."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file

from kdgov.checkpoints.loading import load_tokenizer
from kdgov.declarations.distillation import Distillation
from kdgov.distillation import StudentStart, distill
from kdgov.distillation.data.examples import Example
from kdgov.distillation.data.packing import PackingCollator, refuse_unless_apart
from kdgov.distillation.data.tokenization import TokenCollator, tokenized
from kdgov.errors import InputError
from tests.distillation import worlds
from tests.distillation.conftest import llama, sentences

TERMS = [{"kind": "soft_targets", "weight": 0.5}, {"kind": "hard_labels", "weight": 0.5}]


def recipe(**changes):
    usual = {"terms": TERMS, "steps": 4, "batch_size": 8, "learning_rate": 3e-3, "max_length": 32}
    return Distillation.model_validate({**usual, **changes})


@pytest.mark.parametrize(
    "changes", [{}, {"weighting": "example"}, {"cache": {"kind": "top_k", "k": 8}}], ids=["token", "example", "cached"]
)
def test_packing_changes_no_loss_and_no_weight(changes, teacher, texts, tmp_path):
    for name, packing in (("plain", False), ("packed", True)):
        distill(recipe(packing=packing, **changes), teacher, StudentStart(keep_layers=[0, 3]), [texts], tmp_path / name)
    a, b = (json.loads((tmp_path / name / "losses.json").read_text()) for name in ("plain", "packed"))
    for mine, theirs in zip(a, b, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-5)
    a, b = (load_file(tmp_path / name / "student" / "model.safetensors") for name in ("plain", "packed"))
    # AdamW divides by the root of tiny second moments, which enlarges the last bits of a gradient.
    assert all(torch.allclose(a[name], b[name], atol=2e-3) for name in a)


def prepared(teacher, count=8):
    examples = [Example(item_id=str(n), completion=text) for n, text in enumerate(sentences(count))]
    return tokenized(examples, load_tokenizer(teacher), recipe()).examples


def test_rows_are_filled_in_order_and_hold_every_token_once(teacher):
    items = prepared(teacher)
    batch = PackingCollator(plain=TokenCollator(pad_id=0, by_example=False), width=32)(list(enumerate(items)))
    ids, positions, weights = batch["inputs"]["input_ids"], batch["inputs"]["position_ids"], batch["weights"]
    assert ids.shape[1] <= 32
    assert int((weights > 0).sum()) == sum(len(item.ids) - 1 for item in items)
    read = [ids[row][: int((ids[row] != 0).sum())].tolist() for row in range(len(ids))]
    assert sum(read, []) == [number for item in items for number in item.ids.tolist()]
    starts = (positions == 0) & (ids != 0)
    assert int(starts.sum()) == len(items)
    # Rows that are full leave fewer tokens of padding than the batch has of text.
    assert ids.numel() < 1.4 * sum(len(item.ids) for item in items)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen", "gemma"])
def test_no_token_sees_another_example(kind, teacher, tmp_path):
    items = prepared(teacher, 3)
    shape = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape |= {"num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64}
    torch.manual_seed(0)
    model = {
        "llama": lambda: llama(64, layers=2, width=16, heads=2),
        "gpt2": lambda: worlds.lively(transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2))),
        "qwen": lambda: worlds.lively(transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**shape))),
        "gemma": lambda: worlds.lively(transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**shape, sliding_window=4))),
    }[kind]()
    refuse_unless_apart(
        {"teacher": None, "student": model}, items, PackingCollator(plain=TokenCollator(pad_id=0, by_example=False), width=64)
    )


def test_a_model_that_sees_across_examples_is_refused(teacher):
    items = prepared(teacher, 3)
    packing = PackingCollator(plain=TokenCollator(pad_id=0, by_example=False), width=64)
    torch.manual_seed(0)
    mamba = transformers.MambaForCausalLM(transformers.MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=2, state_size=4))
    with pytest.raises(InputError, match=r"student \(MambaForCausalLM\)") as caught:
        refuse_unless_apart({"teacher": None, "student": mamba.eval()}, items, packing)
    assert "packing" in str(caught.value)


@pytest.mark.parametrize("kind", ["hidden_states", "attention", "on_policy", "universal_logits"])
def test_terms_that_need_examples_apart_are_refused_with_packing(kind):
    with pytest.raises(ValueError, match=f"packs examples, which {kind} cannot take apart"):
        recipe(terms=[{"kind": kind}], packing=True)


def test_packing_is_refused_for_classifiers(tmp_path):
    folder, data = worlds.bert(tmp_path / "bert"), worlds.labelled_texts(tmp_path / "data.jsonl")
    with pytest.raises(InputError, match="is for causal language models"):
        distill(recipe(packing=True), folder, StudentStart(keep_layers=[0]), [data], tmp_path / "out")
