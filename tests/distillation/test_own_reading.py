"""Teacher and student that read with tokenizers or processors of their own: their answers about the whole are compared."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn import functional

from kdgov.checkpoints.loading import freeze, load_model, load_tokenizer
from kdgov.checkpoints.text_pooling import pooling_of
from kdgov.declarations.distillation import Distillation, HeldOut
from kdgov.distillation.data.collation import prepare
from kdgov.distillation.data.examples import read_examples
from kdgov.distillation.data.two_tokenizers.paired_tokenizers import across_tokenizers
from kdgov.distillation.data.two_tokenizers.read_twice import read_twice
from kdgov.distillation.distillation_run import distill
from kdgov.distillation.learner import Learner
from kdgov.distillation.loop.held_out import split
from kdgov.distillation.students import StudentStart, build_student
from kdgov.errors import InputError
from kdgov.evaluation.backends.hugging_face.classifier import ClassifierModel
from kdgov.pipeline.check import check_step
from kdgov.pipeline.context import open_release
from kdgov.pipeline.inputs.load_inputs import load_release_inputs
from tests.distillation import worlds
from tests.distillation.conftest import WORDS, llama, sentences, write_tokenizer

SOFT, HARD = {"kind": "soft_targets", "temperature": 1.0}, {"kind": "hard_labels"}


def recipe(*terms, **further):
    return Distillation.model_validate({"terms": list(terms), "steps": 1, "batch_size": 4, "weighting": "example", **further})


def in_letters(folder, head):
    """The model of a folder with a tokenizer that writes words letter by letter."""
    letters = [*"abcdefghijklmnopqrstuvwxyz?.", *(f"##{one}" for one in "abcdefghijklmnopqrstuvwxyz")]
    words = {word: number for number, word in enumerate(["<pad>", "<unk>", "<eos>", *letters])}
    tokenizer = Tokenizer(models.WordPiece(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "<eos>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    model = head.from_pretrained(folder)
    model.resize_token_embeddings(len(words))
    worlds.lively(model, 2.0).save_pretrained(folder)
    return folder


def learner_and_batch(task, pair, data, said):
    examples = read_examples([data])
    mine = prepare(task, examples, pair[1], said)
    twice = read_twice(task, examples, mine, pair[1], pair[0], said)
    assert twice is not None
    assert twice.is_read_twice
    teacher, student = freeze(load_model(pair[0], task)), load_model(pair[1], task)
    pooling = (pooling_of(pair[1]), pooling_of(pair[0]))
    learner = Learner(student, teacher, said, task=task, problem=twice.problem, pooling=pooling).eval()
    return learner, twice.collate(list(enumerate(twice.items))), twice


def divergence(theirs, mine):
    return float((theirs.softmax(-1) * (theirs.log_softmax(-1) - mine.log_softmax(-1))).sum(-1))


@torch.no_grad()
def answers(folder, head, *read, **options):
    encoded = load_tokenizer(folder)(*read, return_tensors="pt", **options)
    return head.from_pretrained(folder).eval()(**encoded), encoded


def test_a_text_classifier_with_another_tokenizer_is_compared_by_its_answers(tmp_path):
    head = transformers.AutoModelForSequenceClassification
    pair = worlds.bert(tmp_path / "t"), in_letters(worlds.bert(tmp_path / "s", layers=1, width=16, seed=4), head)
    rows = [{"text": text, "label": n % 3} for n, text in enumerate(sentences(4))]
    data = worlds.write_rows(tmp_path / "rows.jsonl", rows)
    learner, batch, _ = learner_and_batch("text_classification", pair, data, recipe(SOFT, HARD))
    soft = hard = 0.0
    for row in rows:
        theirs, mine = (answers(folder, head, row["text"])[0].logits[0] for folder in pair)
        soft, hard = soft + divergence(theirs, mine), hard + float(functional.cross_entropy(mine, torch.tensor(row["label"])))
    assert learner(batch)[1].tolist() == pytest.approx([soft, hard], rel=1e-4)
    layers = recipe(SOFT, {"kind": "hidden_states"})
    with pytest.raises(InputError, match="leave out the terms that compare layers"):
        distill(layers, pair[0], StudentStart(model=pair[1]), [data], tmp_path / "out")


@pytest.mark.parametrize("longest", [pytest.param(64, marks=pytest.mark.nightly), 8])
def test_tagged_words_are_compared_whatever_tokens_they_have(longest, tmp_path):
    """Words behind the cut of one of the two, and words that do not count, are left out of both."""
    head = transformers.AutoModelForTokenClassification
    pair = worlds.encoder(tmp_path / "t", "TokenClassification"), worlds.encoder(tmp_path / "s", "TokenClassification", layers=1, seed=4)
    in_letters(pair[1], head)
    rows = [
        {"tokens": text.split(), "tags": [n % 3 if n % 4 else -100 for n, _ in enumerate(text.split())]} for text in sentences(4, seed=2)
    ]
    data = worlds.write_rows(tmp_path / "rows.jsonl", rows)
    learner, batch, _ = learner_and_batch("token_classification", pair, data, recipe(SOFT, HARD, max_length=longest))
    soft = hard = 0.0
    for row in rows:
        firsts = []
        for folder in pair:
            made, encoded = answers(folder, head, row["tokens"], is_split_into_words=True, truncation=True, max_length=longest)
            places = encoded.word_ids(0)
            firsts.append({word: made.logits[0, places.index(word)] for word in range(len(row["tokens"])) if word in places})
        words = [word for word in firsts[0].keys() & firsts[1].keys() if row["tags"][word] >= 0]
        for word in words:
            soft += divergence(firsts[0][word], firsts[1][word]) / len(words)
            hard += float(functional.cross_entropy(firsts[1][word], torch.tensor(row["tags"][word]))) / len(words)
    assert learner(batch)[1].tolist() == pytest.approx([soft, hard], rel=1e-4)


def test_embeddings_of_two_tokenizers_are_each_pooled_by_their_own_tokens(tmp_path):
    teacher = worlds.sentence_encoder(tmp_path / "t", mode="cls", layers=2)
    student = in_letters(worlds.sentence_encoder(tmp_path / "s", layers=1, normalised=False, seed=4), transformers.AutoModel)
    rows = [{"text": text} for text in sentences(3)]
    data = worlds.write_rows(tmp_path / "rows.jsonl", rows)
    learner, batch, _ = learner_and_batch("embedding", (teacher, student), data, recipe({"kind": "embeddings", "distance": "mse"}))
    total = 0.0
    for row in rows:
        theirs, mine = (answers(folder, transformers.AutoModel, row["text"])[0].last_hidden_state[0] for folder in (teacher, student))
        total += float((functional.normalize(theirs[0], dim=0) - mine.mean(0)).square().mean())
    assert float(learner(batch)[1][2]) == pytest.approx(total, rel=1e-4)


def test_margins_of_rerankers_with_two_tokenizers(tmp_path):
    head = transformers.AutoModelForSequenceClassification
    pair = worlds.bert(tmp_path / "t", labels=1), in_letters(worlds.bert(tmp_path / "s", labels=1, layers=1, seed=4), head)
    rows = worlds.triples(3)
    data = worlds.write_rows(tmp_path / "rows.jsonl", rows)
    learner, batch, _ = learner_and_batch("text_classification", pair, data, recipe({"kind": "margin_mse"}))
    total = 0.0
    for row in rows:
        scores = [[float(answers(f, head, row["query"], row[side])[0].logits) for side in ("positive", "negative")] for f in pair]
        total += ((scores[0][0] - scores[0][1]) - (scores[1][0] - scores[1][1])) ** 2
    assert float(learner(batch)[1][2]) == pytest.approx(total, rel=1e-3)


def test_image_classifiers_each_see_a_file_through_their_own_processor(tmp_path):
    pair = worlds.vit(tmp_path / "t", layers=1), worlds.vit(tmp_path / "s", layers=1, seed=3)
    config = transformers.ViTConfig.from_pretrained(pair[1])
    config.image_size = 24
    torch.manual_seed(5)
    worlds.lively(transformers.ViTForImageClassification(config)).save_pretrained(pair[1])
    transformers.ViTImageProcessor(size={"height": 24, "width": 24}, image_mean=[0.1, 0.2, 0.3]).save_pretrained(pair[1])
    data = worlds.labelled_images(tmp_path / "images", 3)
    learner, batch, _ = learner_and_batch("image_classification", pair, data, recipe(SOFT, HARD))
    soft = 0.0
    for n in range(3):
        seen = []
        for folder in pair:
            made = transformers.AutoImageProcessor.from_pretrained(folder)(images=Image.open(data.parent / f"{n}.png"), return_tensors="pt")
            with torch.no_grad():
                seen.append(transformers.AutoModelForImageClassification.from_pretrained(folder).eval()(**made).logits[0])
        soft += divergence(*seen)
    assert float(learner(batch)[1][0]) == pytest.approx(soft, rel=1e-4)
    # A configuration alone is read for by the teacher's processor, which makes other images.
    alone = tmp_path / "student.json"
    alone.write_text((pair[1] / "config.json").read_text())
    with pytest.raises(InputError, match=r"ViTForImageClassification cannot read a batch of the data: Input image size \(16\*16\)"):
        distill(recipe(SOFT), pair[0], StudentStart(config=alone), [data], tmp_path / "out")


def test_models_that_read_alike_are_given_one_reading(tmp_path):
    pair = worlds.bert(tmp_path / "t"), worlds.bert(tmp_path / "s", layers=1)
    data = worlds.labelled_texts(tmp_path / "rows.jsonl", 4)
    said, examples = recipe(SOFT), read_examples([data])
    mine = prepare("text_classification", examples, pair[1], said)
    assert read_twice("text_classification", examples, mine, pair[1], pair[0], said) is None
    # One token in another place is another reading, though plain texts become the same ids.
    write_tokenizer(pair[1], pad_token="?")
    mine = prepare("text_classification", examples, pair[1], said)
    assert read_twice("text_classification", examples, mine, pair[1], pair[0], said) is not None


def test_held_out_examples_keep_the_reading_of_their_teacher(tmp_path):
    """Rows are numbered anew where examples are held out; another text of the teacher's was compared until 0.2.0."""
    for name, words in (("t", WORDS), ("s", ["the", "cat", "dog", *"abcdefghijklm"])):
        (tmp_path / name).mkdir()
        llama(len(write_tokenizer(tmp_path / name, words=words)), layers=1, width=16, heads=2).save_pretrained(tmp_path / name)
    data = worlds.write_rows(tmp_path / "rows.jsonl", [{"id": f"n{n}", "text": text} for n, text in enumerate(sentences(30))])
    said, examples = recipe({"kind": "universal_logits"}), read_examples([data])
    made = across_tokenizers("causal_lm", examples, tmp_path / "s", tmp_path / "t", said)
    learnt, kept_out = split(made, HeldOut(share=0.3, every=1), seed=0)
    texts, teacher = {one.item_id: one.completion for one in examples}, load_tokenizer(tmp_path / "t")
    for items in (learnt.items, kept_out):
        batch = made.collate(list(enumerate(items)))
        read = [teacher.decode(ids, skip_special_tokens=True) for ids in batch["teacher"]["inputs"]["input_ids"]]
        assert read == [texts[item.item_id] for item in items]


@pytest.mark.parametrize("stated", [pytest.param(None, marks=pytest.mark.nightly), 5])
def test_a_decoder_that_classifies_answers_at_the_last_token_of_a_text(stated, tmp_path):
    """Its configuration may say nothing of padding, or another id than the tokenizer, whose id counts in training and evaluation."""
    folder = tmp_path / "t"
    tokenizer = write_tokenizer(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=len(tokenizer), pad_token_id=stated, num_labels=3, **shape)
    worlds.lively(transformers.LlamaForSequenceClassification(config), 3.0).save_pretrained(folder)
    data = worlds.labelled_texts(tmp_path / "rows.jsonl", 6)
    texts = [json.loads(line)["text"] for line in data.read_text().splitlines()]
    model = ClassifierModel(folder)
    together = [answer["probability"] for answer, _, _ in model.answers(texts)]
    assert together == pytest.approx([model.answers([text])[0][0]["probability"] for text in texts], rel=1e-5)
    distill(recipe(SOFT, HARD, learning_rate=1e-9, batch_size=6), folder, StudentStart(keep_layers=[0]), [data], tmp_path / "out")
    assert json.loads((tmp_path / "out/losses.json").read_text())[0]["soft_targets"] == pytest.approx(0.0, abs=1e-6)
    assert json.loads((tmp_path / "out/student/config.json").read_text())["pad_token_id"] == tokenizer.pad_token_id
    alone = freeze(load_model(folder, "text_classification"))
    with torch.no_grad():
        bare = [alone(**tokenizer(text, return_tensors="pt")).logits.softmax(-1).max().item() for text in texts]
    assert together == pytest.approx(bare, rel=1e-5)


def named(folder, names):
    config = json.loads((folder / "config.json").read_text())
    said = {"id2label": dict(enumerate(names)), "label2id": {name: n for n, name in enumerate(names)}}
    (folder / "config.json").write_text(json.dumps({**config, **said}))
    return folder


def test_a_student_without_a_head_gets_one_for_its_teachers_classes(tmp_path):
    teacher = named(worlds.bert(tmp_path / "t"), ["bad", "fair", "good"])
    body = worlds.encoder(tmp_path / "body", "MaskedLM", layers=1, width=16, seed=4)
    rows = [{"text": text, "label": ["good", "bad"][n % 2]} for n, text in enumerate(sentences(4))]
    data = worlds.write_rows(tmp_path / "rows.jsonl", rows)
    record = distill(recipe(SOFT, HARD, learning_rate=1e-2), teacher, StudentStart(model=body), [data], tmp_path / "out")
    assert "body has no head for text_classification: the student's is new" in record.warnings[0]
    made = json.loads((tmp_path / "out/student/config.json").read_text())
    assert (made["architectures"], made["id2label"]) == (["BertForSequenceClassification"], {"0": "bad", "1": "fair", "2": "good"})
    assert ClassifierModel(tmp_path / "out/student").class_names == ("bad", "fair", "good")
    adapter = {"r": 2, "target_modules": ["query"]}
    with pytest.raises(InputError, match="body has no head for text_classification, and an adapter leaves a new one random"):
        build_student(StudentStart(model=body, adapter=adapter), load_model(teacher, "text_classification"), "text_classification", seed=0)
    start = StudentStart(model=body, adapter={**adapter, "task_type": "SEQ_CLS"})
    student = build_student(start, load_model(teacher, "text_classification"), "text_classification", seed=0)
    assert any("classifier" in name and weight.requires_grad for name, weight in student.named_parameters())


def test_several_labels_are_not_compared_as_one_class_of_several(tmp_path):
    teacher = named(worlds.bert(tmp_path / "t", problem_type="multi_label_classification"), ["rude", "false", "odd"])
    single = worlds.bert(tmp_path / "s", layers=1, problem_type="single_label_classification")
    data = worlds.write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in sentences(4)])
    with pytest.raises(InputError, match=r"the teacher answers any of several labels \(.*\), and one class of several is learnt"):
        distill(recipe(SOFT), teacher, StudentStart(model=single), [data], tmp_path / "out")
    silent = tmp_path / "silent.json"
    plain = json.loads((single / "config.json").read_text())
    silent.write_text(json.dumps({key: value for key, value in plain.items() if key != "problem_type"}))
    distill(recipe(SOFT), teacher, StudentStart(config=silent), [data], tmp_path / "out")
    made = json.loads((tmp_path / "out/student/config.json").read_text())
    assert (made["problem_type"], made["id2label"]["0"]) == ("multi_label_classification", "rude")


def release(folder, teacher, student, *terms, **recipe_keys):
    models = {"teacher": {"model": str(teacher)}, "student": student, "data": [str(worlds.labelled_texts(folder / "rows.jsonl"))]}
    recipe = {"steps": 1, **({"terms": list(terms)} if terms else {}), **recipe_keys}
    (folder / "r.yaml").write_text(json.dumps({"schema": "kdgov.release/1", "name": "r", **models, "distillation": recipe}))
    return open_release(folder / "r.yaml", store=folder / "store")


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_an_adapter_alone_is_refused_by_the_check(role, tmp_path):
    base = worlds.gpt2(tmp_path / "base", layers=1)
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "org/base"}')
    save_file({"base_model.model.a.lora_A.weight": torch.ones(1, 2)}, tmp_path / "adapter" / "adapter_model.safetensors")
    models = {"teacher": base, "student": base} | {role: tmp_path / "adapter"}
    with pytest.raises(InputError, match="holds an adapter for org/base, and no model"):
        check_step(release(tmp_path, models["teacher"], {"model": str(models["student"])}))


def test_the_check_says_that_two_models_answer_otherwise(tmp_path):
    """By their configurations alone: nothing is loaded, and no data are read for it."""
    teacher = named(worlds.bert(tmp_path / "t", layers=1), ["bad", "fair", "good"])
    other = named(worlds.bert(tmp_path / "o", layers=1), ["good", "fair", "bad"])
    two = worlds.bert(tmp_path / "two", layers=1, labels=2)
    several = worlds.bert(tmp_path / "several", layers=1, problem_type="multi_label_classification")
    single = worlds.bert(tmp_path / "single", layers=1, problem_type="single_label_classification")
    config = str(two / "config.json")
    further = {"further_teachers": [{"model": str(two), "license": "MIT"}]}
    odd = [
        (teacher, {"model": str(other)}, {}, "class 0 is 'bad' to the teacher and 'good' to the student"),
        (teacher, {"model": str(two)}, {}, "over 3 classes, the student over 2"),
        (teacher, {"config": config}, {}, "over 3 classes, the student over 2"),
        (several, {"model": str(single)}, {}, "the teacher answers any of several labels, the student one class of several"),
        (teacher, {"keep_layers": [0]}, further, "over 3 classes, the student over 2"),
    ]
    for taught, student, keys, said in odd:
        with pytest.raises(InputError, match=said):
            load_release_inputs(release(tmp_path, taught, student, **keys))
    dense = worlds.sentence_encoder(tmp_path / "dense", layers=1)
    (dense / "modules.json").write_text(json.dumps([{"type": "x.Transformer", "path": ""}, {"type": "x.Dense", "path": "2_Dense"}]))
    with pytest.raises(InputError, match="has a module Dense"):
        load_release_inputs(release(tmp_path, dense, {"keep_layers": [0]}, {"kind": "embeddings"}))
    # A body without a head gets its teacher's, and is none of these.
    load_release_inputs(release(tmp_path, teacher, {"model": str(worlds.encoder(tmp_path / "body", "MaskedLM", layers=1))}))
