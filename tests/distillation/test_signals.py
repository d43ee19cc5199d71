"""Every signal in a short runnable release: the term falls, and what it must not depend on makes no difference."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
import yaml
from safetensors.torch import load_file

from kdgov.declarations.distillation import Distillation
from kdgov.distillation import StudentStart, distill
from kdgov.distillation.data.collation import prepare
from kdgov.distillation.data.examples import read_examples
from kdgov.distillation.learner import Learner
from kdgov.distillation.starts.kept_stacks import keep_layers
from kdgov.errors import InputError
from kdgov.pipeline.context import open_release
from kdgov.pipeline.distill import distill_step
from tests.distillation import worlds
from tests.distillation.conftest import llama, write_tokenizer


def recipe(*terms, **changes):
    usual = {"terms": list(terms), "steps": 20, "batch_size": 8, "learning_rate": 3e-3, "checkpoint_every": 100}
    return Distillation.model_validate({**usual, **changes})


def curve(output, name):
    return [step[name] for step in json.loads((output / "losses.json").read_text())]


def falls(values, by=0.9):
    part = max(1, len(values) // 5)
    first, last = sum(values[:part]) / part, sum(values[-part:]) / part
    return last < by * first


@pytest.mark.parametrize("loss", ["forward_kl", "reverse_kl", "jensen_shannon", "total_variation", "adaptive_kl"])
def test_every_divergence_falls(loss, teacher, texts, tmp_path):
    said = recipe({"kind": "soft_targets", "loss": loss, "temperature": 1.5})
    distill(said, teacher, StudentStart(keep_layers=[0, 3]), [texts], tmp_path)
    assert falls(curve(tmp_path, "soft_targets"))


@pytest.mark.parametrize("distance", ["mse", "cosine"])
def test_hidden_states_are_matched_through_learned_projections_that_stay_behind(distance, teacher, texts, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(llama(42, layers=2, width=16, heads=2).config.to_dict()))
    vocabulary = json.loads((teacher / "config.json").read_text())["vocab_size"]
    config.write_text(config.read_text().replace('"vocab_size": 42', f'"vocab_size": {vocabulary}'))
    said = recipe({"kind": "hidden_states", "distance": distance, "layers": [[1, 0], [3, 1]]})
    distill(said, teacher, StudentStart(config=config), [texts], tmp_path / "out")
    assert falls(curve(tmp_path / "out", "hidden_states"))
    names = load_file(tmp_path / "out" / "student" / "model.safetensors").keys()
    assert not [name for name in names if "projection" in name]


def test_attention_maps_are_matched(texts, tmp_path):
    sharp = tmp_path / "sharp"
    model = llama(len(write_tokenizer(sharp)))
    with torch.no_grad():
        for layer in model.model.layers:
            # Attention that looks somewhere: an untrained one looks everywhere alike.
            layer.self_attn.q_proj.weight.mul_(5)
    model.save_pretrained(sharp)
    said = recipe({"kind": "attention", "layers": "last"}, steps=40, learning_rate=5e-3, length_bucketing=False)
    distill(said, sharp, StudentStart(keep_layers=[0, 3]), [texts], tmp_path / "out")
    assert falls(curve(tmp_path / "out", "attention"))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_attention_relations_are_matched_across_widths(kind, teacher, texts, tmp_path):
    if kind == "llama":
        config = llama(len(transformers.AutoTokenizer.from_pretrained(teacher)), layers=2, width=16, heads=2).config
        folder = teacher
    else:
        folder = worlds.gpt2(tmp_path / "gpt2")
        config = transformers.AutoConfig.from_pretrained(folder)
        config.n_embd, config.n_layer, config.n_head = 16, 2, 2
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config.to_dict()))
    said = recipe({"kind": "attention_relation", "relation_heads": 2, "layers": "last"})
    distill(said, folder, StudentStart(config=path), [texts], tmp_path / "out")
    assert falls(curve(tmp_path / "out", "attention_relation"), by=0.97)


def test_a_copy_of_the_teacher_has_nothing_to_learn_from_any_signal(teacher, texts, tmp_path):
    said = recipe(
        {"kind": "soft_targets"},
        {"kind": "hidden_states"},
        {"kind": "hidden_states", "distance": "cosine"},
        {"kind": "attention"},
        {"kind": "attention_relation"},
        steps=1,
    )
    distill(said, teacher, StudentStart(keep_layers=[0, 1, 2, 3]), [texts], tmp_path)
    first = json.loads((tmp_path / "losses.json").read_text())[0]
    assert first.pop("hard_labels") == 0
    assert first.keys() == {"soft_targets", "hidden_states", "hidden_states_2", "attention", "attention_relation"}
    assert max(abs(value) for value in first.values()) < 1e-6


def test_padding_and_company_change_no_examples_loss(teacher, texts):
    """The sum over a batch is the sum over its examples one by one, for every signal at once."""
    said = recipe(
        {"kind": "soft_targets"}, {"kind": "hard_labels"}, {"kind": "hidden_states"}, {"kind": "attention"}, {"kind": "attention_relation"}
    )
    prepared = prepare("causal_lm", read_examples([texts]), teacher, said)
    load = lambda: transformers.AutoModelForCausalLM.from_pretrained(teacher, attn_implementation="eager").eval()  # noqa: E731
    learner = Learner(keep_layers(load(), [0, 2]), load(), said, task="causal_lm").eval()
    items = [(row, prepared.items[row]) for row in range(6)]
    assert len({len(item.ids) for _, item in items}) > 2
    together, parts = learner(prepared.collate(items))
    alone = [learner(prepared.collate([item])) for item in items]
    torch.testing.assert_close(together, sum(loss for loss, _ in alone), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(parts, sum(part for _, part in alone), rtol=1e-5, atol=1e-5)


def test_hidden_targets_ask_for_a_layer_that_is_there(teacher, texts, tmp_path):
    said = recipe({"kind": "hidden_states", "layers": [[9, 0]]})
    with pytest.raises(InputError, match="the teacher has layers 0 to 3, the student 0 to 1"):
        distill(said, teacher, StudentStart(keep_layers=[0, 3]), [texts], tmp_path)


def test_self_distillation_from_an_earlier_self(teacher, texts, tmp_path):
    said = recipe({"kind": "soft_targets"}, {"kind": "hard_labels"}, steps=3)
    record = distill(said, teacher, StudentStart(model=teacher), [texts], tmp_path)
    assert any("not smaller" in warning for warning in record.warnings)
    assert record.student_start["model"]["weights"] == record.teacher["weights"]


def test_on_policy_steps_train_on_the_students_own_words(teacher, questions, tmp_path):
    said = recipe({"kind": "soft_targets"}, {"kind": "on_policy", "fraction": 0.5, "max_new_tokens": 6}, steps=20)
    distill(said, teacher, StudentStart(keep_layers=[0, 3]), [questions], tmp_path / "a")
    distill(said, teacher, StudentStart(keep_layers=[0, 3]), [questions], tmp_path / "b")
    first, second = (load_file(tmp_path / name / "student" / "model.safetensors") for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert falls(curve(tmp_path / "a", "soft_targets"), by=1.0)


def test_different_tokenizers_learn_by_universal_logits(teacher, texts, tmp_path):
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    tokenizer = write_tokenizer(stranger, words=["the", "cat", "dog", *"abcdefghijklm"])
    llama(len(tokenizer), layers=2, width=16, heads=2, seed=3).save_pretrained(stranger)
    said = recipe({"kind": "universal_logits"}, {"kind": "hard_labels", "weight": 0.1})
    record = distill(said, teacher, StudentStart(model=stranger), [texts], tmp_path / "out")
    assert falls(curve(tmp_path / "out", "universal_logits"))
    assert record.student["tokenizer"] != record.teacher["tokenizer"]


def test_an_adapter_learns_while_its_base_rests(teacher, texts, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    llama(len(write_tokenizer(base)), layers=2, seed=5).save_pretrained(base)
    options = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj"]}
    said = recipe({"kind": "soft_targets"}, {"kind": "hard_labels"}, steps=30, learning_rate=2e-2)
    distill(said, teacher, StudentStart(model=base, adapter=options), [texts], tmp_path / "out")
    assert falls(curve(tmp_path / "out", "hard_labels"), by=1.0)
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").is_file()
    before = load_file(base / "model.safetensors")
    after = load_file(tmp_path / "out" / "student" / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(any(part in name for part in options["target_modules"]) for name in changed)


def test_a_text_classifier_learns_its_teachers_answers(tmp_path):
    folder = worlds.bert(tmp_path / "teacher")
    data = worlds.labelled_texts(tmp_path / "data.jsonl")
    said = recipe({"kind": "soft_targets"}, {"kind": "hard_labels", "weight": 0.1}, {"kind": "hidden_states"}, {"kind": "attention"})
    record = distill(said, folder, StudentStart(keep_layers=[0, 2]), [data], tmp_path / "out")
    assert record.task == "text_classification"
    assert falls(curve(tmp_path / "out", "soft_targets"))
    student = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out" / "student")
    assert student.config.num_labels == 3


def test_an_image_classifier_learns_its_teachers_answers(tmp_path):
    folder = worlds.vit(tmp_path / "teacher")
    data = worlds.labelled_images(tmp_path / "images")
    said = recipe({"kind": "soft_targets"}, {"kind": "hidden_states", "layers": "last"}, steps=20)
    record = distill(said, folder, StudentStart(keep_layers=[0, 2]), [data], tmp_path / "out")
    assert record.task == "image_classification"
    assert falls(curve(tmp_path / "out", "soft_targets"))
    assert (tmp_path / "out" / "student" / "preprocessor_config.json").is_file()


def test_an_audio_classifier_learns_its_teachers_answers(tmp_path):
    folder = worlds.wav2vec2(tmp_path / "teacher")
    data = worlds.labelled_sounds(tmp_path / "sounds")
    said = recipe({"kind": "soft_targets"}, {"kind": "hard_labels"}, steps=20)
    record = distill(said, folder, StudentStart(keep_layers=[0]), [data], tmp_path / "out")
    assert record.task == "audio_classification"
    assert falls(curve(tmp_path / "out", "hard_labels"), by=1.0)


@pytest.mark.slow
def test_layers_are_matched_though_the_model_leaves_layers_out_at_random(tmp_path):
    """LayerDrop leaves half of the layers out here, and with them their outputs; without layers to match it stays as it is."""
    folder = worlds.wav2vec2(tmp_path / "teacher", layers=3, layerdrop=0.5)
    data = worlds.labelled_sounds(tmp_path / "sounds")
    layers = [{"kind": "hidden_states", "distance": "cosine", "layers": [[0, 0], [2, 1]]}, {"kind": "attention", "layers": "last"}]
    distill(recipe({"kind": "soft_targets"}, *layers, steps=20), folder, StudentStart(keep_layers=[0, 2]), [data], tmp_path / "out")
    assert falls(curve(tmp_path / "out", "hidden_states"))
    distill(recipe({"kind": "soft_targets"}, steps=1), folder, StudentStart(keep_layers=[0, 2]), [data], tmp_path / "plain")
    kept = json.loads((tmp_path / "plain" / "student" / "config.json").read_text())
    assert kept["layerdrop"] == 0.5


def test_a_sequence_to_sequence_model_learns_its_teachers_answers_and_its_decoders_layers(questions, tmp_path):
    folder = worlds.t5(tmp_path / "teacher")
    layers = {"kind": "hidden_states", "distance": "cosine", "layers": [[0, 0], [2, 1]]}
    said = recipe({"kind": "soft_targets"}, {"kind": "hard_labels", "weight": 0.2}, layers, {"kind": "attention"})
    record = distill(said, folder, StudentStart(keep_layers=[0, 2]), [questions], tmp_path / "out")
    assert record.task == "seq2seq_lm"
    assert falls(curve(tmp_path / "out", "soft_targets"))
    assert falls(curve(tmp_path / "out", "hidden_states"))


def test_padding_changes_no_sequence_to_sequence_loss(tmp_path):
    folder = worlds.t5(tmp_path / "teacher")
    data = tmp_path / "pairs.jsonl"
    rows = [{"prompt": "the cat " * n + "sat", "completion": " a b c d e"[: 2 * n]} for n in (1, 2, 4)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = recipe({"kind": "soft_targets"}, {"kind": "hidden_states"}, {"kind": "attention"})
    prepared = prepare("seq2seq_lm", read_examples([data]), folder, said)
    load = lambda: transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, attn_implementation="eager").eval()  # noqa: E731
    learner = Learner(keep_layers(load(), [0, 2]), load(), said, task="seq2seq_lm").eval()
    items = [(row, prepared.items[row]) for row in range(3)]
    together, _ = learner(prepared.collate(items))
    alone = [learner(prepared.collate([item]))[0] for item in items]
    torch.testing.assert_close(together, sum(alone), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["on_policy", "universal_logits", "teacher_text"])
def test_what_a_sequence_to_sequence_model_cannot_learn_is_refused_by_name(kind, questions, tmp_path):
    folder = worlds.t5(tmp_path / "teacher", layers=1)
    with pytest.raises(InputError, match=f"cannot use {kind} for seq2seq_lm"):
        distill(recipe({"kind": kind}), folder, StudentStart(keep_layers=[0]), [questions], tmp_path / "out")


def test_a_label_that_is_no_class_is_named(tmp_path):
    folder = worlds.bert(tmp_path / "teacher")
    data = worlds.labelled_texts(tmp_path / "data.jsonl", labels=5)
    with pytest.raises(InputError, match=r"c\d+: has label [34]"):
        distill(recipe({"kind": "hard_labels"}), folder, StudentStart(keep_layers=[0]), [data], tmp_path / "out")


def test_the_step_makes_reuses_and_remakes(teacher, texts, tmp_path):
    release = {
        "schema": "kdgov.release/1",
        "name": "small",
        "teacher": {"model": str(teacher)},
        "student": {"keep_layers": "first_and_last"},
        "data": [str(texts)],
        "distillation": {"steps": 3, "batch_size": 4},
    }
    path = tmp_path / "release.yaml"
    path.write_text(yaml.safe_dump(release))
    first = distill_step(open_release(path, store=tmp_path / "store"))
    again = distill_step(open_release(path, store=tmp_path / "store"))
    assert (first.reused, again.reused) == (False, True)
    assert (first.folder / "student" / "model.safetensors").is_file()
    assert json.loads((first.folder / "distillation.json").read_text())["student"] == first.facts["identity"]
    release["distillation"]["seed"] = 1
    path.write_text(yaml.safe_dump(release))
    assert distill_step(open_release(path, store=tmp_path / "store")).key != first.key


def test_a_student_trained_elsewhere_is_identified(teacher, tmp_path):
    release = {"schema": "kdgov.release/1", "name": "given", "teacher": {"model": str(teacher)}, "student": {"model": str(teacher)}}
    path = tmp_path / "release.yaml"
    path.write_text(yaml.safe_dump(release))
    finished = distill_step(open_release(path, store=tmp_path / "store"))
    assert finished.facts["trained"] is False
    assert finished.facts["student"] == str(teacher.resolve())
    assert finished.facts["identity"]["weights"] == finished.facts["teacher"]["weights"]
