"""Classifiers go through the same plan, tables and refusals as language models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from kdgov.errors import InputError
from kdgov.evaluate.classifier import ClassifierModel, classify_texts
from kdgov.evaluate.disaggregation import disaggregate
from kdgov.evaluate.evidence import evaluate
from kdgov.evaluate.plan import build_plan, read_suites
from tests.evaluate.worlds import make_tokenizer

TEXTS = [f"Ada likes the colour {'red' if n % 3 else 'blue and grey'} number {n}" for n in range(24)]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    make_tokenizer(folder)
    torch.manual_seed(5)
    config = transformers.DistilBertConfig(
        vocab_size=320, dim=32, hidden_dim=64, n_layers=2, n_heads=4, max_position_embeddings=64, num_labels=2, pad_token_id=2,
        initializer_range=0.5,
    )  # fmt: skip
    transformers.DistilBertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture
def suite(write_suite) -> Path:
    rows = [{"id": f"r{n}", "text": t, "label": n % 2, "region": "north" if n < 12 else "south"} for n, t in enumerate(TEXTS)]
    metrics = [{"metric": m, "direction": d} for m, d in (("correct", "higher"), ("selected", "higher"), ("false_positive", "lower"))]
    task = {"task": "toxic", "kind": "classification", "data": {"path": "rows.jsonl"}, "groups": ["region"], "metrics": metrics}
    return write_suite([task], {"rows.jsonl": rows})


def test_scores_equal_the_models_own_argmax_whatever_the_batch(classifier: Path, suite: Path, tmp_path: Path) -> None:
    found = evaluate(build_plan(read_suites([str(suite)])), classifier, tmp_path / "o", cache=tmp_path / "c")
    rows = {(r["item_id"], r["metric"]): r for r in found.table.to_rows()}
    model = transformers.AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(classifier)
    for number, text in enumerate(TEXTS):
        with torch.no_grad():
            best = int(model(**{k: v for k, v in tokenizer(text, return_tensors="pt").items() if k != "token_type_ids"}).logits.argmax())
        assert rows[f"r{number}", "selected"]["score"] == best
        assert rows[f"r{number}", "correct"]["score"] == float(best == number % 2)
    negatives = [r for (_, m), r in rows.items() if m == "false_positive"]
    assert len(negatives) == 12
    assert {r["label"] for r in negatives} == {"0"}


def test_groups_are_disaggregated_with_their_sizes_and_guards(classifier: Path, suite: Path, tmp_path: Path) -> None:
    found = evaluate(build_plan(read_suites([str(suite)])), classifier, tmp_path / "o", cache=tmp_path / "c")
    shown = {row["metric"]: row for row in disaggregate(found.table)}
    groups = shown["selected"]["groups"]
    assert {name: group["n"] for name, group in groups.items()} == {"north": 12, "south": 12}
    assert shown["selected"]["difference"] == pytest.approx(abs(groups["north"]["mean"] - groups["south"]["mean"]))
    # Six negatives per region: fairlearn would answer with a number, we say why there is none.
    assert shown["false_positive"]["difference"] is None
    assert "fewer than 10" in shown["false_positive"]["because"]


def test_a_text_that_does_not_fit_is_marked_and_not_silently_cut(classifier: Path) -> None:
    model = ClassifierModel(classifier)
    (short, _, is_cut), (_, _, long_is_cut) = model.answers(["red", "blue " * 200])
    assert short is not None
    assert (is_cut, long_is_cut) == (False, True)


def test_a_local_classifier_can_judge_texts(classifier: Path) -> None:
    assert set(classify_texts(classifier, TEXTS)) <= {"0", "1"}


def test_a_language_model_is_refused_where_labels_are_asked_for(teacher: Path, suite: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no text classifier"):
        evaluate(build_plan(read_suites([str(suite)])), teacher, tmp_path / "a", cache=tmp_path / "c")


def test_a_classifier_is_refused_where_text_is_asked_for(classifier: Path, tiny_suite: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the suite asks a language model"):
        evaluate(build_plan(read_suites([str(tiny_suite)])), classifier, tmp_path / "b", cache=tmp_path / "c")
