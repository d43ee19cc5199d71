"""Masked language models, token classifiers, readers, embeddings and rerankers: what is asked of which token, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from kdgov.checkpoints.loading import load_model, load_tokenizer, task_of
from kdgov.checkpoints.text_pooling import Pooling, pooled, pooling_of
from kdgov.checkpoints.tokenizer_mapping import KnownIds
from kdgov.declarations.distillation import Distillation
from kdgov.distillation import StudentStart, distill
from kdgov.distillation.data.examples import Example, read_examples
from kdgov.distillation.data.labelled.class_labels import Labels
from kdgov.distillation.data.labelled.encoder_tasks import (
    EncoderCollator,
    MaskingCollator,
    masked_examples,
    reader_examples,
    token_examples,
)
from kdgov.distillation.learner import Learner
from kdgov.distillation.losses.embeddings import margin_error
from kdgov.distillation.students import copy_companions
from kdgov.errors import DeclarationError, InputError
from tests.distillation import worlds
from tests.distillation.conftest import sentences

HARD, SOFT = {"kind": "hard_labels"}, {"kind": "soft_targets", "temperature": 1.0}


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    return worlds.encoder(tmp_path_factory.mktemp("masked"), "MaskedLM", layers=2)


def recipe(*terms, **changes):
    usual = {"terms": list(terms), "steps": 3, "batch_size": 4, "learning_rate": 3e-3, "max_length": 24}
    return Distillation.model_validate({**usual, **changes})


def collator(tokenizer, seed=0):
    return MaskingCollator(pad_id=0, mask_id=tokenizer.mask_token_id, tokens=len(tokenizer), seed=seed, by_example=False)


def test_fifteen_in_a_hundred_tokens_are_hidden_and_only_they_count(masked):
    tokenizer = load_tokenizer(masked)
    texts = [" ".join(sentences(3, seed=n)) for n in range(200)]
    items = masked_examples([Example(item_id=str(n), completion=text) for n, text in enumerate(texts)], tokenizer, 64)
    pairs = list(enumerate(items))
    batch = collator(tokenizer)(pairs)
    counted, lengths = batch["weights"] > 0, batch["lengths"]
    assert counted.sum(1).tolist() == [max(1, round(0.15 * int(n))) for n in lengths]
    ids, labels = batch["inputs"]["input_ids"], batch["labels"]
    assert torch.equal(ids[~counted], labels[~counted])
    shown = ids[counted]
    assert 0.75 < (shown == tokenizer.mask_token_id).float().mean() < 0.85
    assert 0.05 < (shown == labels[counted]).float().mean() < 0.16
    again, other, shuffled = collator(tokenizer)(pairs), collator(tokenizer, seed=1)(pairs), collator(tokenizer)(pairs[::-1])
    assert torch.equal(again["weights"], batch["weights"])
    assert not torch.equal(other["weights"], batch["weights"])
    assert not torch.equal(shuffled["weights"].flip(0), batch["weights"])


def test_a_student_that_is_its_teacher_has_no_divergence_at_hidden_tokens(masked):
    tokenizer, model = load_tokenizer(masked), load_model(masked, "masked_lm")
    learner = Learner(model, load_model(masked, "masked_lm"), recipe(SOFT, HARD), task="masked_lm").eval()
    items = masked_examples([Example(item_id=text, completion=text) for text in sentences(4)], tokenizer, 24)
    batch = collator(tokenizer)(list(enumerate(items)))
    _, (soft, hard) = learner(batch)
    kept = batch["weights"] > 0
    with torch.no_grad():
        logits = model(**batch["inputs"]).logits[kept]
    assert soft == 0
    assert hard == pytest.approx(torch.nn.functional.cross_entropy(logits, batch["labels"][kept], reduction="sum"), rel=1e-5)


LABELS = Labels(problem="single_label", names=("O", "B", "I"))


def test_the_first_token_of_a_word_carries_its_class_and_tags_below_nought_do_not_count(tmp_path):
    folder = worlds.encoder(tmp_path, "TokenClassification", layers=1)
    example = Example(item_id="w", words=("cat", "a.b", "sat"), tags=("B", 2, -100))
    (item,) = token_examples([example], load_tokenizer(folder), LABELS, needs_labels=True, max_length=24)
    # "a.b" is three tokens, of which the first carries the tag.
    assert item.asked.tolist() == [True, True, False, False, False]
    assert item.labels[item.asked].tolist() == [1, 2]
    batch = EncoderCollator(pad_id=0, by_example=True)([(0, item)])
    assert batch["weights"].tolist() == [[0.5, 0.5, 0, 0, 0]]


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (Example(item_id="x", completion="no words"), "has no words"),
        (Example(item_id="x", words=("a", "b")), "has no tags"),
        (Example(item_id="x", words=("a", "b"), tags=(1,)), "has 1 tags for 2 words"),
        (Example(item_id="x", words=("a",), tags=(3,)), "has the tag 3"),
        (Example(item_id="x", words=("a",), tags=("PER",)), "has the tag 'PER'"),
    ],
)
def test_words_without_their_classes_are_refused_by_item(example, said, tmp_path):
    folder = worlds.encoder(tmp_path, "TokenClassification", layers=1)
    with pytest.raises(DeclarationError, match=said) as caught:
        token_examples([example], load_tokenizer(folder), LABELS, needs_labels=True, max_length=24)
    assert "x" in str(caught.value)


def test_a_readers_targets_are_the_tokens_of_the_answer(tmp_path):
    folder = worlds.encoder(tmp_path, "QuestionAnswering", layers=1)
    tokenizer = load_tokenizer(folder)
    context = "the cat sat and a dog ran"
    found = Example(item_id="q", prompt="who ran ?", second=context, span=(context.index("a dog"), context.index("a dog") + 5))
    nothing = Example(item_id="n", prompt="who ?", second=context, span=(0, 0))
    far = Example(item_id="f", prompt="who ran ?", second=" ".join(["the cat"] * 20) + " ran", span=(160, 163))
    items = reader_examples([found, nothing, far], tokenizer, needs_labels=True, max_length=24)
    assert [item.item_id for item in items] == ["q", "n"]
    start, end = items[0].labels
    assert tokenizer.decode(items[0].ids[start : end + 1]) == "a dog"
    assert items[1].labels.tolist() == [0, 0]
    assert not items[0].asked[1:3].any()


def test_no_answer_stands_in_the_question_or_in_padding(tmp_path):
    folder = worlds.encoder(tmp_path / "reader", "QuestionAnswering", layers=2)
    data = worlds.write_rows(tmp_path / "squad.jsonl", worlds.questions(12))
    record = distill(recipe(SOFT, HARD), folder, StudentStart(keep_layers=[0]), [data], tmp_path / "out")
    assert record.task == "question_answering"
    losses = [json.loads(line) for line in (tmp_path / "out" / "losses.jsonl").read_text().splitlines()]
    assert all(0 < row["soft_targets"] < 50 and row["hard_labels"] < 100 for row in losses)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "who ?", "context": "the cat", "answers": {"text": ["dog"], "answer_start": [4]}}, "does not stand at character 4"),
        ({"question": "who ?", "context": "the cat", "answers": "cat"}, "answer_start"),
        ({"question": "who ?", "context": "the cat", "answers": {"text": ["cat"], "answer_start": [4]}, "is_impossible": True}, "is true"),
        ({"question": "who ?", "context": "a", "answers": {"text": [], "answer_start": []}, "is_impossible": False}, "is false beside 0"),
        ({"tokens": ["a", ""]}, "not a list of words"),
        ({"tokens": ["a"], "tags": "B"}, "not a list of class numbers"),
        ({"query": "a", "positive": "b"}, "negative"),
    ],
)
def test_rows_of_these_shapes_are_read_strictly(row, said, tmp_path):
    with pytest.raises(DeclarationError, match=said):
        read_examples([worlds.write_rows(tmp_path / "rows.jsonl", [row])])


def test_embeddings_are_pooled_as_the_folder_says(tmp_path):
    for mode in ("mean", "cls"):
        assert pooling_of(worlds.sentence_encoder(tmp_path / mode, mode=mode, layers=1)) == Pooling(mode=mode, is_normalised=True)
    hidden, attended = torch.randn(2, 3, 4), torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert torch.allclose(pooled(hidden, attended, Pooling())[0], hidden[0, :2].mean(0))
    assert torch.allclose(pooled(hidden, attended, Pooling(mode="cls", is_normalised=True)).norm(dim=-1), torch.ones(2))
    last = pooled(hidden, torch.tensor([[1, 1, 0], [0, 1, 1]]), Pooling(mode="last"))
    assert torch.equal(last, torch.stack([hidden[0, 1], hidden[1, 2]]))
    for said in ({"pooling_mode_lasttoken": True}, {"pooling_mode": "lasttoken"}):
        (tmp_path / "cls" / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 24, **said}))
        assert pooling_of(tmp_path / "cls").mode == "last"
    (tmp_path / "mean" / "modules.json").write_text(json.dumps([{"type": "x.Dense", "path": "2_Dense"}]))
    with pytest.raises(InputError, match="has a module Dense"):
        pooling_of(tmp_path / "mean")


def test_a_smaller_encoder_learns_embeddings_and_keeps_the_layout(tmp_path):
    teacher = worlds.sentence_encoder(tmp_path / "teacher", layers=2)
    small = worlds.encoder(tmp_path / "small", None, layers=1, width=16, heads=2)
    data = worlds.write_rows(tmp_path / "texts.jsonl", [{"text": text} for text in sentences(24)])
    term = {"kind": "embeddings"}
    record = distill(recipe(term, steps=30), teacher, StudentStart(config=small / "config.json"), [data], tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "losses.json").read_text())
    assert np.mean([row["embeddings"] for row in rows[-5:]]) < 0.7 * rows[0]["embeddings"]
    student = tmp_path / "out" / "student"
    assert (record.task, task_of(student)) == ("embedding", "embedding")
    assert pooling_of(student) == pooling_of(teacher)
    assert json.loads((student / "1_Pooling" / "config.json").read_text())["word_embedding_dimension"] == 16


def test_hidden_tokens_are_replaced_by_tokens_of_both_models(masked):
    """A token that only the student's tokenizer has would be no row of the teacher's."""
    tokenizer = load_tokenizer(masked)
    items = masked_examples([Example(item_id=str(n), completion=text) for n, text in enumerate(sentences(300))], tokenizer, 24)
    shown = set()
    holes = tuple(range(5, tokenizer.mask_token_id - 1, 2))
    both = collator(tokenizer).among(None, KnownIds(size=tokenizer.mask_token_id + 1, holes=holes))
    bare = dataclasses.replace(both, seed=0)
    for start in range(0, 300, 50):
        batch = bare(list(enumerate(items[start : start + 50])))
        changed = (batch["weights"] > 0) & (batch["inputs"]["input_ids"] != batch["labels"])
        shown |= set(batch["inputs"]["input_ids"][changed].tolist())
    assert len(shown) > 10
    assert not shown & {*holes}
    with pytest.raises(InputError, match="is no token of both models"):
        collator(tokenizer).among(KnownIds(size=tokenizer.mask_token_id))


def test_a_folder_of_pooling_goes_with_the_student_wherever_it_lies(tmp_path):
    source = worlds.sentence_encoder(tmp_path / "teacher", mode="cls", layers=1)
    (source / "1_Pooling").rename(source / "pool")
    (source / "modules.json").write_text((source / "modules.json").read_text().replace("1_Pooling", "pool"))
    (tmp_path / "student").mkdir()
    copy_companions(source, tmp_path / "student")
    assert pooling_of(tmp_path / "student") == Pooling(mode="cls", is_normalised=True)


def test_words_that_are_put_before_every_text_are_refused(tmp_path):
    """sentence-transformers adds them when the model is used; training would compare texts without them."""
    folder = worlds.sentence_encoder(tmp_path / "teacher", layers=1)
    config = {"prompts": {"query": "query: ", "none": ""}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="puts 'query: ' before every text"):
        pooling_of(folder)
    (folder / "config_sentence_transformers.json").write_text(json.dumps({**config, "default_prompt_name": None}))
    assert pooling_of(folder).mode == "mean"


def test_margins_compare_preferred_and_other_passages():
    mine, theirs = torch.tensor([[3.0], [1.0], [1.0], [2.0]]), torch.tensor([[2.0], [1.0], [1.5], [0.5]])
    assert margin_error(mine, theirs).tolist() == [(2.0 - 0.5) ** 2, (-1.0 - 0.5) ** 2]


@pytest.mark.parametrize(
    ("kind", "term", "said"),
    [
        ("encoder", SOFT, "cannot use soft_targets for embedding"),
        ("encoder", HARD, "cannot use hard_labels for embedding"),
        ("classifier", {"kind": "embeddings"}, "cannot use embeddings for text_classification"),
        ("classifier", {"kind": "margin_mse"}, "compares one score per pair"),
        ("scores", {"kind": "margin_mse"}, "has no `query`, `positive` and `negative`"),
    ],
)
def test_what_no_term_can_carry_is_refused_before_anything_runs(kind, term, said, tmp_path):
    folder = {
        "encoder": lambda: worlds.sentence_encoder(tmp_path / "m", layers=2),
        "classifier": lambda: worlds.bert(tmp_path / "m"),
        "scores": lambda: worlds.bert(tmp_path / "m", labels=1),
    }[kind]()
    data = worlds.write_rows(tmp_path / "texts.jsonl", [{"text": text, "label": 1} for text in sentences(8)])
    with pytest.raises(InputError, match=said):
        distill(recipe(term), folder, StudentStart(keep_layers=[0]), [data], tmp_path / "out")
