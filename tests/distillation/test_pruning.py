"""A student that starts from the most active parts of its teacher."""

from __future__ import annotations

import json

import pytest
import torch
import transformers

from kdgov.checkpoints.loading import load_model
from kdgov.declarations.distillation import Distillation
from kdgov.declarations.release import StudentDeclaration
from kdgov.distillation import StudentStart, distill
from kdgov.distillation.starts.pruning import prune
from kdgov.errors import InputError
from tests.distillation import worlds
from tests.distillation.conftest import llama

BATCH = [{"input_ids": torch.randint(0, 40, (4, 12), generator=torch.Generator().manual_seed(n))} for n in range(2)]
SHAPE = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
SHAPE |= {"num_key_value_heads": 2, "max_position_embeddings": 64}


def grouped(**further):
    torch.manual_seed(0)
    return worlds.lively(transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**SHAPE, **further)))


def quiet(model, *, layer, inner=(), heads=()):
    """Make some neurons and heads hand on nothing."""
    with torch.no_grad():
        block = model.model.layers[layer]
        block.mlp.up_proj.weight[list(inner)] = 0
        size = block.self_attn.head_dim
        for head in heads:
            block.self_attn.v_proj.weight[head * size : (head + 1) * size] = 0
            if block.self_attn.v_proj.bias is not None:
                block.self_attn.v_proj.bias[head * size : (head + 1) * size] = 0


def test_what_hands_on_nothing_is_what_goes_and_nothing_changes():
    """Neurons and heads that are silent everywhere are pruned first; the smaller model answers exactly as the larger one."""
    model = grouped()
    for layer in range(3):
        quiet(model, layer=layer, inner=range(0, 64, 2), heads=[layer % 2])
    small = prune(model, {"inner": 32, "heads": 2}, BATCH)
    assert small.config.intermediate_size == 32
    assert (small.config.num_attention_heads, small.config.num_key_value_heads, small.config.head_dim) == (2, 1, 8)
    with torch.no_grad():
        assert torch.allclose(model(**BATCH[0]).logits, small(**BATCH[0]).logits, atol=1e-4)


def test_channels_that_carry_nothing_go_first():
    model = llama(40, layers=2, width=32, heads=4, tied=False)
    silent = list(range(1, 32, 4))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("embed_tokens.weight",)):
                weight[:, silent] = 0
            elif name.endswith(("o_proj.weight", "down_proj.weight")):
                weight[silent] = 0
    small = prune(model, {"width": 24}, BATCH)
    assert small.config.hidden_size == 24
    kept = [n for n in range(32) if n not in silent]
    assert torch.equal(small.model.embed_tokens.weight, model.model.embed_tokens.weight[:, kept])
    assert torch.equal(small.model.layers[1].self_attn.q_proj.weight, model.model.layers[1].self_attn.q_proj.weight[:, kept])
    assert small(**BATCH[0]).logits.shape == (4, 12, 40)


def test_a_layer_that_changes_nothing_goes_first():
    model = llama(40, layers=4, width=16, heads=2)
    with torch.no_grad():
        for weight in (model.model.layers[2].self_attn.o_proj.weight, model.model.layers[2].mlp.down_proj.weight):
            weight.zero_()
    small = prune(model, {"layers": 3}, BATCH)
    with torch.no_grad():
        assert torch.allclose(model(**BATCH[0]).logits, small(**BATCH[0]).logits, atol=1e-5)


def test_experts_are_kept_by_how_often_the_router_picks_them():
    torch.manual_seed(0)
    config = transformers.MixtralConfig(**{**SHAPE, "num_local_experts": 4, "num_experts_per_tok": 2})
    model = worlds.lively(transformers.MixtralForCausalLM(config), 2.0)
    small = prune(model, {"experts": 3}, BATCH)
    assert small.config.num_local_experts == 3
    assert small(**BATCH[0]).logits.shape == (4, 12, 40)
    with pytest.raises(InputError, match="fewer than the 2 a token is sent to"):
        prune(model, {"experts": 1}, BATCH)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"inner": 65}, "keeps 65 inner of 64"),
        ({"heads": 3}, "2 query heads share one"),
        ({"experts": 2}, "no experts"),
        ({"layers": 9}, "keeps 9"),
    ],
)
def test_more_than_there_is_is_refused(wanted, said):
    with pytest.raises(InputError, match=said):
        prune(grouped(), wanted, BATCH)


def test_an_encoder_loses_layers_and_neurons_and_says_why_not_heads(tmp_path):
    model = load_model(worlds.bert(tmp_path), "text_classification")
    small = prune(model, {"layers": 2, "inner": 24}, BATCH)
    assert (small.config.num_hidden_layers, small.config.intermediate_size) == (2, 24)
    assert small(**BATCH[0]).logits.shape == (4, 3)
    with pytest.raises(InputError, match="ties the size of a head to its width"):
        prune(model, {"heads": 2}, BATCH)


def test_a_pruned_student_is_distilled_and_its_start_recorded(teacher, texts, tmp_path):
    said = Distillation.model_validate({"terms": [{"kind": "soft_targets"}], "steps": 12, "batch_size": 8, "learning_rate": 3e-3})
    start = StudentStart(keep_layers="all", prune={"layers": 3, "inner": 40, "heads": 2, "width": 24})
    record = distill(said, teacher, start, [texts], tmp_path / "out")
    student = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "student")
    assert (student.config.hidden_size, student.config.intermediate_size, student.config.num_hidden_layers) == (24, 40, 3)
    assert record.student_start["prune"] == {"layers": 3, "inner": 40, "heads": 2, "width": 24}
    rows = json.loads((tmp_path / "out" / "losses.json").read_text())
    assert rows[-1]["soft_targets"] < rows[0]["soft_targets"]


@pytest.mark.parametrize(
    ("student", "said"),
    [
        ({"keep_layers": "all"}, "keeps all layers and prunes nothing"),
        ({"config": "c.json", "prune": {"inner": 2}}, "does not start from the teacher's layers"),
        ({"keep_layers": "all", "prune": {}}, "keeps everything"),
    ],
)
def test_a_pruning_that_means_nothing_is_refused_where_it_is_declared(student, said):
    with pytest.raises(ValueError, match=said):
        StudentDeclaration.model_validate(student)
