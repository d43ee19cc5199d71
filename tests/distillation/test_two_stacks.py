"""Models that read with one stack of layers and write with another: each side is chosen and matched on its own."""

from __future__ import annotations

import copy
import json

import pytest
import torch
import transformers

from kdgov.checkpoints.layer_choice import depths_of
from kdgov.checkpoints.loading import freeze, load_model
from kdgov.checkpoints.tasks import refuse_unfit_terms
from kdgov.declarations.distillation import Distillation
from kdgov.distillation.data.collation import prepare
from kdgov.distillation.data.examples import read_examples
from kdgov.distillation.distillation_run import distill
from kdgov.distillation.learner import Learner
from kdgov.distillation.loop.longest_input import most_positions
from kdgov.distillation.losses.attending_layers import attending_layers, captured
from kdgov.distillation.starts.kept_stacks import keep_layers, model_depths
from kdgov.distillation.students import StudentStart, build_student
from kdgov.errors import InputError
from tests.distillation import worlds

SHAPE = {
    "vocab_size": 40,
    "d_model": 16,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 8,
    "decoder_ffn_dim": 8,
}
BERT = {"vocab_size": 40, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 8}


def t5(encoder, decoder):
    sizes = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 8, "num_heads": 2, "decoder_start_token_id": 0}
    return transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes, num_layers=encoder, num_decoder_layers=decoder))


def bart(encoder, decoder):
    return transformers.BartForConditionalGeneration(transformers.BartConfig(**SHAPE, encoder_layers=encoder, decoder_layers=decoder))


def marian(encoder, decoder):
    config = transformers.MarianConfig(**SHAPE, encoder_layers=encoder, decoder_layers=decoder, pad_token_id=0, decoder_start_token_id=0)
    return transformers.MarianMTModel(config)


def whisper(encoder, decoder):
    config = transformers.WhisperConfig(**SHAPE, encoder_layers=encoder, decoder_layers=decoder, num_mel_bins=8, pad_token_id=0)
    return transformers.WhisperForConditionalGeneration(config)


def moonshine(encoder, decoder):
    sizes = {
        "vocab_size": 40,
        "hidden_size": 16,
        "intermediate_size": 8,
        "encoder_num_attention_heads": 2,
        "decoder_num_attention_heads": 2,
    }
    config = transformers.MoonshineConfig(**sizes, encoder_num_hidden_layers=encoder, decoder_num_hidden_layers=decoder)
    return transformers.MoonshineForConditionalGeneration(config)


def two_berts(encoder, decoder):
    read = transformers.BertConfig(**BERT, num_hidden_layers=encoder)
    written = transformers.BertConfig(**BERT, num_hidden_layers=decoder, is_decoder=True, add_cross_attention=True)
    return transformers.EncoderDecoderModel(transformers.EncoderDecoderConfig.from_encoder_decoder_configs(read, written))


FAMILIES = [t5, bart, marian, whisper, moonshine, two_berts]
LISTS = ("layers", "block", "layer")


def numbered(model):
    """(side, layer) → its weights in order, and every other weight by its name."""
    found = {}
    for name, weight in model.state_dict().items():
        parts = name.split(".")
        side = next((part for part in parts if part in ("encoder", "decoder")), None)
        place = next((n for n, part in enumerate(parts[:-1]) if part in LISTS and parts[n + 1].isdigit()), None)
        key = name if side is None or place is None else (side, int(parts[place + 1]), ".".join(parts[place + 2 :]))
        found[key] = weight
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ({"encoder": [0, 3], "decoder": [1]}, {"encoder": [0, 3], "decoder": [1]}),
        ({"decoder": "first_and_last"}, {"encoder": [0, 1, 2, 3], "decoder": [0, 2]}),
        ({"encoder": "every_second"}, {"encoder": [0, 2], "decoder": [0, 1, 2]}),
        ("every_second", {"encoder": [0, 2], "decoder": [0, 2]}),
        ([1, 2], {"encoder": [1, 2], "decoder": [1, 2]}),
    ],
)
def test_each_side_keeps_the_layers_named_for_it_and_nothing_else_changes(family, keep, kept):
    torch.manual_seed(0)
    teacher = family(4, 3)
    student = keep_layers(teacher, keep)
    assert model_depths(student) == {side: len(layers) for side, layers in kept.items()}
    assert depths_of(json.loads(student.config.to_json_string(use_diff=False))) == model_depths(student)
    held, made = numbered(teacher), numbered(student)
    only_first = "relative_attention_bias"
    for key, weight in made.items():
        source = (key[0], kept[key[0]][key[1]], key[2]) if isinstance(key, tuple) and only_first not in key[2] else key
        torch.testing.assert_close(weight, held[source], rtol=0, atol=0)
    assert {key[:2] for key in made if isinstance(key, tuple)} == {(side, n) for side, layers in kept.items() for n in range(len(layers))}


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ([0, 3], "names layer 3; the teacher's decoder has layers 0 to 2"),
        ({"encoder": [4]}, "names layer 4; the teacher's encoder has layers 0 to 3"),
        ({"decoder": [2, 0]}, "not in rising order"),
        ({"decoder": []}, "is empty"),
    ],
)
def test_layers_that_a_side_does_not_have_are_refused(keep, said):
    with pytest.raises(InputError, match=said):
        keep_layers(bart(4, 3), keep)


def test_sides_of_a_model_of_one_stack_are_refused():
    with pytest.raises(InputError, match="the teacher has one stack of layers"):
        keep_layers(transformers.BertModel(transformers.BertConfig(**BERT, num_hidden_layers=2)), {"decoder": [0]})


HEADED = {"num_attention_heads": 2, "num_key_value_heads": 2}
SMALL = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 4, **HEADED}
EXPERTS = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 8, "head_dim": 8}
SEVERAL_KINDS = {
    "a dense layer among experts": (transformers.Qwen3MoeConfig(**SMALL, **EXPERTS, mlp_only_layers=[1]), [0, 3], [0, 1]),
    "layers with memory and layers that attend": (
        transformers.RecurrentGemmaConfig(**SMALL, lru_width=16, attention_window_size=4, block_types=["recurrent", "attention"]),
        [1, 3],
        [0, 3],
    ),
}


@pytest.mark.parametrize("case", SEVERAL_KINDS)
def test_a_layer_takes_nothing_from_a_layer_of_another_kind(case):
    """The configuration says by number which layers are of which kind: kept layers that do not fit their new places are refused."""
    config, wrong, right = SEVERAL_KINDS[case]
    teacher = transformers.AutoModelForCausalLM.from_config(config)
    with pytest.raises(InputError, match="has layers of several kinds"):
        keep_layers(teacher, wrong)
    assert keep_layers(teacher, right).config.num_hidden_layers == 2


MIXED = {
    "qwen2": transformers.Qwen2Config(**SMALL, use_sliding_window=True, sliding_window=4, max_window_layers=2),
    "gemma2": transformers.Gemma2Config(**SMALL, head_dim=8, sliding_window=4),
    "smollm3": transformers.SmolLM3Config(**SMALL, no_rope_layer_interval=2, pad_token_id=0),
    "gpt_oss": transformers.GptOssConfig(**SMALL, head_dim=8, sliding_window=4, num_local_experts=2, num_experts_per_tok=1),
    "qwen3_moe": transformers.Qwen3MoeConfig(**SMALL, **EXPERTS),
}


@pytest.mark.nightly
@pytest.mark.parametrize("keep", [[1, 3], [0, 3], [0, 1, 2]])
@pytest.mark.parametrize("family", MIXED)
def test_a_student_answers_as_its_teacher_with_the_other_layers_taken_out(family, keep):
    """Windows, positions and kinds of attention go with the layer that has them."""
    torch.manual_seed(0)
    teacher = transformers.AutoModelForCausalLM.from_config(copy.deepcopy(MIXED[family])).eval()
    student = keep_layers(teacher, keep).eval()
    kinds = getattr(teacher.config, "layer_types", None)
    teacher.model.layers = torch.nn.ModuleList([teacher.model.layers[layer] for layer in keep])
    teacher.config.num_hidden_layers = len(keep)
    if kinds is not None:
        teacher.config.layer_types = [kinds[layer] for layer in keep]
    ids = torch.randint(3, 40, (2, 14))
    with torch.no_grad():
        mine, theirs = (model(input_ids=ids, use_cache=False).logits for model in (student, teacher))
    torch.testing.assert_close(mine, theirs)


def recipe(*terms, **further):
    return Distillation.model_validate({"terms": list(terms), "steps": 2, "batch_size": 3, **further})


def term(kind, side, **further):
    return {"kind": kind, "side": side, "layers": "last", **further}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    rows = [{"prompt": "the cat " * n + "sat", "completion": " a b c d e"[: 2 * n]} for n in (1, 2, 4)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    worlds.t5(folder / "t5")
    return folder


def test_each_decoder_starts_as_it_was_trained_to(pairs, tmp_path):
    """A student of another family starts from another id than its teacher, which was given the student's until 0.2.0."""
    folder = worlds.t5(tmp_path / "other", layers=1, seed=4)
    own = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**own, "decoder_start_token_id": 5, "dropout_rate": 0.0}))
    said = recipe({"kind": "soft_targets", "temperature": 1.0}, learning_rate=1e-9, steps=1)
    distill(said, pairs / "t5", StudentStart(model=folder), [pairs / "pairs.jsonl"], tmp_path / "out")
    models = [load_model(one, "seq2seq_lm") for one in (pairs / "t5", folder)]
    prepared = prepare("seq2seq_lm", read_examples([pairs / "pairs.jsonl"]), folder, said)
    total, tokens = 0.0, 0
    for item in prepared.items:
        read, written = (torch.tensor(ids[None], dtype=torch.long) for ids in (item.ids, item.target))
        rows = []
        for model, start in zip(models, (0, 5), strict=True):
            with torch.no_grad():
                begun = torch.cat([torch.tensor([[start]]), written[:, :-1]], dim=1)
                rows.append(model(input_ids=read, decoder_input_ids=begun).logits[0].log_softmax(-1))
        total += float((rows[0].exp() * (rows[0] - rows[1])).sum())
        tokens += len(item.target)
    assert json.loads((tmp_path / "out/losses.json").read_text())[0]["soft_targets"] == pytest.approx(total / tokens, rel=1e-4)
    mixed = recipe({"kind": "soft_targets"}, further_teachers=[{"model": "other", "license": "MIT"}])
    start, data = StudentStart(keep_layers=[0]), [pairs / "pairs.jsonl"]
    with pytest.raises(InputError, match="decoder starts from the id 0, and that of another teacher from 5"):
        distill(mixed, pairs / "t5", start, data, tmp_path / "mixed", further_teachers=[folder])
    # A configuration from elsewhere takes the ids of the tokenizer that it gets, its teacher's.
    odd = tmp_path / "odd.json"
    odd.write_text(json.dumps({**own, "decoder_start_token_id": 5, "eos_token_id": 7, "pad_token_id": 3}))
    student = build_student(StudentStart(config=odd), models[0], "seq2seq_lm", seed=0)
    assert [student.config.decoder_start_token_id, student.config.eos_token_id, student.config.pad_token_id] == [0, 2, 0]


PARTS = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "image_size": 16, "patch_size": 8}
WORDS = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2, "vocab_size": 20}


@pytest.mark.parametrize("family", ["Siglip", "CLIP"])
def test_layers_of_a_model_whose_configuration_counts_them_inside_are_kept(family):
    """A model of text and images counts the layers of each in a part of its configuration (a traceback until 0.2.0)."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(text_config=WORDS, vision_config={**PARTS, "num_hidden_layers": 3})
    teacher = getattr(transformers, f"{family}ForImageClassification")(config).eval()
    student = keep_layers(teacher, [0, 2]).eval()
    assert (model_depths(teacher), model_depths(student)) == ({"": 3}, {"": 2})
    assert len(attending_layers(student)["decoder"]) == 2
    pixels = torch.rand(1, 3, 16, 16)
    states = [one(pixel_values=pixels, output_hidden_states=True).hidden_states for one in (teacher, student)]
    torch.testing.assert_close(states[1][1], states[0][1])


def test_an_eye_beside_a_decoder_bounds_no_text():
    """Positions of patches were taken for those of tokens, and every text of Gemma 3 for too long."""
    text = {**HEADED, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 3, "head_dim": 8, "vocab_size": 40}
    vision = {**PARTS, "num_hidden_layers": 2}
    marks = {"boi_token_index": 30, "eoi_token_index": 31, "image_token_index": 32}
    config = transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4, **marks)
    model = transformers.Gemma3ForConditionalGeneration(config)
    assert most_positions(model) is None
    assert model_depths(student := keep_layers(model, [0, 2])) == {"": 2}
    assert len(attending_layers(student)["decoder"]) == 2


def learner_and_batch(pairs, *terms):
    said = recipe(*terms)
    prepared = prepare("seq2seq_lm", read_examples([pairs / "pairs.jsonl"]), pairs / "t5", said)
    teacher = freeze(load_model(pairs / "t5", "seq2seq_lm", attention="eager"))
    student = keep_layers(load_model(pairs / "t5", "seq2seq_lm", attention="eager"), {"encoder": [0, 2], "decoder": [1]}).eval()
    return Learner(student, teacher, said, task="seq2seq_lm").eval(), prepared


TERMS = [
    term("hidden_states", "encoder", distance="mse"),
    term("hidden_states", "decoder", distance="cosine"),
    term("attention", "encoder"),
    term("attention", "decoder"),
    term("attention", "cross"),
    term("attention_relation", "encoder", relation_heads=2, relations=["query", "value"]),
    term("attention_relation", "decoder", relation_heads=3),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_self_attention_is_told_from_the_decoders_look_at_what_was_read(family):
    model = family(4, 3).eval()
    found = attending_layers(model)
    assert {side: len(layers) for side, layers in found.items()} == {"encoder": 4, "decoder": 3}
    if family in (whisper, moonshine):
        return
    with torch.no_grad(), captured(found, [("encoder", 3), ("decoder", 2)]) as caught:
        model(input_ids=torch.ones(1, 7, dtype=torch.long), decoder_input_ids=torch.ones(1, 3, dtype=torch.long), use_cache=False)
    assert {(side, layer): vectors.shape[1] for (side, layer, _), vectors in caught.items()} == {("encoder", 3): 7, ("decoder", 2): 3}
    assert len(caught) == 6


def relations_by_definition(which, models, batch):
    """MiniLMv2's loss of T5's last layer, from the weights of its attention and the states that go into it."""
    side, heads = which["side"], which["relation_heads"]
    reads, writes = batch["inputs"]["attention_mask"].sum(1), batch["lengths"]
    kept = []
    for model in models:
        block = getattr(model, side).block[-1].layer[0]
        given = {}
        block.SelfAttention.register_forward_pre_hook(lambda _module, inputs, given=given: given.update(states=inputs[0]))
        with torch.no_grad():
            model(**batch["inputs"])
        names = {"query": "q", "key": "k", "value": "v"}
        kept.append(
            {kind: given["states"].double() @ getattr(block.SelfAttention, names[kind]).weight.detach().double().T for kind in names}
        )
    total = 0.0
    for row in range(len(reads)):
        length = int(reads[row] if side == "encoder" else writes[row])
        values = []
        for kind in which.get("relations", ["query", "key", "value"]):
            for part in range(heads):
                logs = []
                for one in kept:
                    width = one[kind].shape[-1] // heads
                    vectors = one[kind][row, :length, part * width : (part + 1) * width]
                    scores = vectors @ vectors.T / width**0.5
                    if side == "decoder":
                        scores = scores.masked_fill(torch.ones(length, length).triu(1).bool(), -torch.inf)
                    logs.append(scores.log_softmax(-1))
                rows = torch.where(logs[1].isinf(), 0.0, logs[1].exp() * (logs[1] - logs[0])).sum(-1)
                values.append(float(rows.mean()))
        total += sum(values) / len(values) * int(writes[row])
    return total


def by_definition(which, models, batch):
    """The sum of one term over a batch, position by position."""
    if which["kind"] == "attention_relation":
        return relations_by_definition(which, models, batch)
    with torch.no_grad():
        mine, theirs = (one(**batch["inputs"], output_hidden_states=True, output_attentions=True) for one in models)
    reads, writes = batch["inputs"]["attention_mask"].sum(1), batch["lengths"]
    kind, side = which["kind"], which["side"]
    shown = {("hidden_states", side): f"{side}_hidden_states", ("attention", "cross"): "cross_attentions"}.get(
        (kind, side), f"{side}_attentions"
    )
    a, b = (getattr(one, shown)[-1].double() for one in (mine, theirs))
    total = 0.0
    for row in range(len(reads)):
        positions = int(reads[row] if side == "encoder" else writes[row])
        x, y = a[row], b[row]
        if kind == "attention":
            x, y = (one.mean(0).clamp_min(1e-9) for one in (x, y))
            x, y = (one / one.sum(-1, keepdim=True) for one in (x, y))
            values = (y * (y.log() - x.log())).sum(-1)
        elif which["distance"] == "mse":
            values = (x - y).square().mean(-1)
        else:
            values = 1 - torch.cosine_similarity(x, y, dim=-1)
        total += float(values[:positions].mean()) * int(writes[row])
    return total


@pytest.mark.parametrize("which", TERMS, ids=lambda one: f"{one['kind']}-{one['side']}")
def test_a_term_compares_the_side_it_names_over_real_positions(which, pairs):
    learner, prepared = learner_and_batch(pairs, which)
    items = list(enumerate(prepared.items))
    batch = prepared.collate(items)
    loss, parts = learner(batch)
    assert float(parts[2]) == pytest.approx(by_definition(which, (learner.student, learner.teacher), batch), rel=1e-4)
    alone = sum(float(learner(prepared.collate([item]))[1][2]) for item in items)
    assert float(parts[2]) == pytest.approx(alone, rel=1e-5)
    loss.backward()
    taught = {
        name.split(".")[0] for name, one in learner.student.named_parameters() if one.grad is not None and float(one.grad.abs().sum())
    }
    # The decoder's first layer looks at itself before it looks at what was read.
    looks_at_itself = which["kind"] in ("attention", "attention_relation") and which["side"] == "decoder"
    beside = set() if which["side"] == "encoder" else {"decoder"} if looks_at_itself else {"encoder", "decoder"}
    assert taught == {"shared"} | (beside or {"encoder"})


LOSSES = ("hidden_states", "hidden_states_2", "attention", "attention_2", "attention_3", "attention_relation", "attention_relation_2")


def test_both_sides_of_a_whisper_are_trained_and_what_was_kept_is_recorded(tmp_path):
    worlds.whisper(tmp_path / "whisper", layers=3)
    worlds.spoken(tmp_path / "words", 4, separator=" ")
    said = recipe({"kind": "soft_targets"}, *TERMS[:-1], {**TERMS[-1], "relation_heads": 2})
    keep = {"encoder": [0, 2], "decoder": "first_and_last"}
    record = distill(said, tmp_path / "whisper", StudentStart(keep_layers=keep), [tmp_path / "words/spoken.jsonl"], tmp_path / "out")
    assert record.student_start["keep_layers"] == keep
    steps = json.loads((tmp_path / "out/losses.json").read_text())
    assert all(step[name] > 0 for step in steps for name in LOSSES)
    config = json.loads((tmp_path / "out/student/config.json").read_text())
    assert (config["encoder_layers"], config["decoder_layers"]) == (2, 2)


@pytest.mark.parametrize("task", ["causal_lm", "masked_lm", "ctc", "text_classification"])
@pytest.mark.parametrize(("kind", "side"), [("hidden_states", "encoder"), ("attention", "cross"), ("attention_relation", "encoder")])
def test_a_side_that_a_task_does_not_have_is_refused(task, kind, side):
    with pytest.raises(InputError, match=f"{kind}: `side: {side}` is for models of an encoder and a decoder, not for {task}"):
        refuse_unfit_terms(recipe({"kind": kind, "side": side}), task)
