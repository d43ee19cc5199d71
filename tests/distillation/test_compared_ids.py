"""Output matrices padded to different rows: only ids that both models know are compared; padding gets nothing."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers

from kdgov.checkpoints.tokenizer_mapping import KnownIds
from kdgov.declarations.distillation import Distillation
from kdgov.distillation import StudentStart, distill
from kdgov.distillation.data.compared_ids import Vocabulary
from kdgov.distillation.learner import Learner
from kdgov.distillation.losses.known_rows import head_logits, known_logits
from kdgov.errors import InputError
from tests.distillation.conftest import WORDS, llama, write_tokenizer

TOKENS = len(WORDS) + 3
SOFT, HARD = {"kind": "soft_targets", "temperature": 1.0}, {"kind": "hard_labels"}
WAYS = {
    "fused": {"terms": [SOFT, HARD]},
    "plain": {"terms": [SOFT, HARD], "fused_head": False},
    "cached": {"terms": [SOFT, HARD], "cache": {"kind": "top_k", "k": 8}},
    "drawn": {"terms": [SOFT, HARD], "cache": {"kind": "sampled", "k": 8}},
    "hidden": {"terms": [{"kind": "hidden_states"}, HARD]},
    "on_policy": {"terms": [{"kind": "on_policy", "fraction": 1.0, "max_new_tokens": 8}]},
    "reverse": {"terms": [{"kind": "soft_targets", "loss": "reverse_kl"}]},
    "jensen": {"terms": [{"kind": "soft_targets", "loss": "jensen_shannon"}]},
}


def padded_model(folder, rows, *, tied=True, words=WORDS, **shape):
    """A model whose padding rows shout: whoever looked at them would see it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = write_tokenizer(folder, words=words)
    model = llama(rows, tied=tied, **shape)
    with torch.no_grad():
        model.get_output_embeddings().weight[len(tokenizer) :] *= 30
    model.save_pretrained(folder)
    return folder


def recipe(**changes):
    return Distillation.model_validate({"steps": 3, "batch_size": 4, "learning_rate": 3e-3, "max_length": 16, **changes})


CASES = [("fused", True), ("cached", False), ("on_policy", False)]
SLOWER = [("fused", False), ("plain", True), ("plain", False), ("drawn", False), ("hidden", False), ("reverse", False), ("jensen", False)]


@pytest.mark.parametrize(("way", "tied"), [*CASES, *(pytest.param(*case, marks=pytest.mark.nightly) for case in SLOWER)])
def test_padding_rows_learn_nothing_and_are_learnt_from_by_nobody(way, tied, texts, tmp_path):
    teacher = padded_model(tmp_path / "teacher", 64, layers=2, width=16)
    student = padded_model(tmp_path / "student", 56, layers=1, width=16, seed=1, tied=tied)
    record = distill(recipe(**WAYS[way]), teacher, StudentStart(model=student), [texts], tmp_path / "out")
    start, end = (load_file(folder / "model.safetensors") for folder in (student, tmp_path / "out" / "student"))
    name = "model.embed_tokens.weight" if tied else "lm_head.weight"
    assert torch.equal(start[name][TOKENS:], end[name][TOKENS:])
    assert not torch.equal(start[name][:TOKENS], end[name][:TOKENS])
    assert {"ids": TOKENS, "student_rows": 56, "teacher_rows": 64, "basis": "files"}.items() <= record.vocabulary.items()


def test_a_padded_pair_has_the_loss_of_the_same_pair_without_padding(texts, tmp_path):
    """Cutting is exact: padding rows change neither loss nor gradient."""
    losses = []
    for extra in (0, 16):
        teacher, student = llama(TOKENS + extra, layers=2, width=16, tied=False), llama(TOKENS, layers=1, width=16, seed=1, tied=False)
        small = llama(TOKENS, layers=2, width=16, tied=False)
        with torch.no_grad():
            for (_, wide), (_, narrow) in zip(teacher.named_parameters(), small.named_parameters(), strict=True):
                wide[: narrow.shape[0]] = narrow
        known = Vocabulary(teacher=KnownIds(size=TOKENS) if extra else None)
        learner = Learner(student, teacher, recipe(terms=[SOFT, HARD]), task="causal_lm", vocabulary=known)
        ids = torch.randint(3, TOKENS, (2, 9), generator=torch.Generator().manual_seed(0))
        batch = {"inputs": {"input_ids": ids}, "labels": ids.roll(-1, 1), "weights": torch.ones(2, 9)}
        losses.append(learner(batch)[0].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_ids_that_are_no_token_have_no_probability_and_no_gradient():
    known = KnownIds(size=6, holes=(2,))
    head = torch.nn.Linear(4, 9)
    rows = torch.randn(3, 4)
    for logits in (known_logits(head(rows), known), head_logits(rows, head, known)):
        assert logits.shape == (3, 6)
        assert (logits.softmax(-1)[:, 2] == 0).all()
    head_logits(rows, head, known).softmax(-1)[:, 1].sum().backward()
    assert (head.weight.grad[[2, 6, 7, 8]] == 0).all()
    assert (head.weight.grad[[0, 1, 3, 4, 5]] != 0).all()


def test_an_item_with_an_id_of_one_side_alone_is_named(texts, tmp_path):
    teacher = padded_model(tmp_path / "teacher", 48, layers=2, width=16)
    student = padded_model(tmp_path / "student", 64, layers=1, width=16, words=[*WORDS, "tool"])
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"id": f"x{n}", "text": "the cat sat"}) + "\n" for n in range(4)))
    record = distill(recipe(terms=[SOFT]), teacher, StudentStart(model=student), [data], tmp_path / "out")
    assert record.vocabulary["ids"] == TOKENS
    with data.open("a") as lines:
        lines.write(json.dumps({"id": "odd", "text": "the tool sat"}) + "\n")
    with pytest.raises(InputError, match="item odd"):
        distill(recipe(terms=[SOFT]), teacher, StudentStart(model=student), [data], tmp_path / "out2")


def test_a_new_student_with_fewer_rows_than_tokens_is_refused(teacher, texts, tmp_path):
    config = llama(TOKENS - 8, layers=1, width=16).config.to_dict()
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="has 32 rows for tokens; the tokenizer has 40 ids"):
        distill(recipe(terms=[SOFT]), teacher, StudentStart(config=tmp_path / "config.json"), [texts], tmp_path / "out")


def test_conversations_with_several_learnt_turns_read_the_cache_at_their_own_tokens(tmp_path):
    """The cache holds a word on every token from the first learnt one on; only those of learnt turns are compared."""
    template = "{% for m in messages %}{{ m['role'][0] + ' ' + m['content'] + ' ' }}{% endfor %}"
    folder = padded_model(tmp_path / "teacher", TOKENS, layers=2, width=16)
    (folder / "chat_template.jinja").write_text(template)
    turns = [("user", "the cat"), ("assistant", "sat and ran"), ("user", "dog to"), ("assistant", "is a b")]
    row = {"messages": [{"role": role, "content": said} for role, said in turns]}
    data = tmp_path / "chat.jsonl"
    data.write_text("".join(json.dumps({**row, "id": f"c{n}"}) + "\n" for n in range(4)))
    curves = []
    for cache in (None, {"kind": "top_k", "k": TOKENS}):
        out = tmp_path / f"out-{cache is None}"
        changes = {"terms": [SOFT], "loss_on": "assistant_turns", "cache": cache}
        distill(recipe(**changes), folder, StudentStart(keep_layers=[0]), [data], out)
        curves.append([step["soft_targets"] for step in json.loads((out / "losses.json").read_text())])
    assert curves[0] == pytest.approx(curves[1], rel=2e-3)


@pytest.fixture(scope="module")
def qwen_like(tmp_path_factory):
    """Models with the vocabulary of Qwen2.5: 151,665 ids over 151,936 and 152,064 rows."""
    folder = tmp_path_factory.mktemp("qwen")
    words = {word: number for number, word in enumerate(["<pad>", "<eos>", *(f"w{n}" for n in range(2, 151_665))])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")
    for name, rows, layers, width in (("teacher", 152_064, 2, 16), ("student", 151_936, 1, 8)):
        torch.manual_seed(layers)
        config = transformers.LlamaConfig(
            vocab_size=rows,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=64,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=1,
        )
        transformers.LlamaForCausalLM(config).save_pretrained(folder / name)
        wrapped.save_pretrained(folder / name)
    rows = [{"id": f"t{n}", "text": " ".join(f"w{2 + (n * 7919 + k * 104_729) % 151_663}" for k in range(8))} for n in range(8)]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.nightly
@pytest.mark.parametrize("way", ["fused", "cached", "hidden", "on_policy"])
def test_qwen_like_shapes_go_every_way(way, qwen_like, tmp_path):
    start = StudentStart(model=qwen_like / "student")
    changes = WAYS[way] | {"steps": 2, "batch_size": 2}
    record = distill(recipe(**changes), qwen_like / "teacher", start, [qwen_like / "texts.jsonl"], tmp_path / "out")
    assert (record.vocabulary["ids"], record.vocabulary["student_rows"], record.vocabulary["teacher_rows"]) == (151_665, 151_936, 152_064)
    before, after = (load_file(folder / "model.safetensors") for folder in (qwen_like / "student", tmp_path / "out" / "student"))
    name = "model.embed_tokens.weight"
    assert torch.equal(before[name][151_665:], after[name][151_665:])
    assert not torch.equal(before[name][:151_665], after[name][:151_665])
