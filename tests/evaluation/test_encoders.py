"""Encoders: rankings and tags are those that the checkpoint's own numbers give, and another kind of checkpoint is refused by name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
import yaml

from kdgov.checks.cards.release_inputs import SuiteFile
from kdgov.checks.findings.rules import Stances
from kdgov.declarations.suite import load_suite
from kdgov.errors import InputError
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.results.comparability import compare_evidence
from kdgov.evaluation.results.evaluation_run import evaluate
from kdgov.evaluation.task_kinds.retrieval import ndcg
from kdgov.pipeline.context import open_release
from kdgov.pipeline.forecast.model_fit import model_fit_findings
from tests.evaluation.worlds import COLOURS, NAMES, make_tokenizer

TAGS = ["O", "B-WHO", "I-WHO"]
QUERIES = [{"id": f"q{n}", "query": f"What colour does {name} like?", "relevant": [f"d{n}"]} for n, name in enumerate(NAMES)]
DOCUMENTS = [{"id": f"d{n}", "text": f"{name} likes the colour {COLOURS[n % 4]}" + " indeed" * n} for n, name in enumerate(NAMES)]
SENTENCES = [{"id": f"s{n}", "tokens": [name, "likes", "red"], "tags": ["B-WHO", "O", "O"]} for n, name in enumerate(NAMES)]


def encoder(folder: Path, made: Any, *, seed: int = 0, **settings: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    make_tokenizer(folder)
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=320, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, initializer_range=0.2,
        max_position_embeddings=64, **settings,
    )  # fmt: skip
    made(config).save_pretrained(folder)
    return folder


@pytest.fixture
def searched(write_suite: Any) -> Path:
    metrics = [
        {"metric": name, "direction": "higher", "range": [0, 1]} for name in ("recall_at_1", "recall_at_5", "mrr_at_10", "ndcg_at_10")
    ]
    task = {"task": "search", "kind": "retrieval", "data": {"path": "search.jsonl"}, "metrics": metrics}
    return write_suite([task], {"search.jsonl": [*QUERIES, *DOCUMENTS]}, name="search")


@pytest.fixture
def tagged(write_suite: Any) -> Path:
    metrics = [{"metric": name, "direction": "higher", "range": [0, 1]} for name in ("right_tags", "span_f1", "all_right")]
    task = {"task": "names", "kind": "tagging", "data": {"path": "names.jsonl"}, "metrics": metrics}
    return write_suite([task], {"names.jsonl": SENTENCES}, name="tagged")


@pytest.mark.parametrize(
    ("said", "pooling"),
    [
        (None, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        # As sentence-transformers 6 writes it.
        ({"embedding_dimension": 16, "pooling_mode": "cls", "include_prompt": True}, "cls"),
    ],
)
def test_a_ranking_is_that_of_the_cosines(searched: Path, tmp_path: Path, said: dict[str, Any] | None, pooling: str) -> None:
    folder = encoder(tmp_path / "e", transformers.BertModel)
    if said is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(said))
    found = evaluate(build_plan(read_suites([str(searched)])), folder, tmp_path / "out", cache=tmp_path / "c")
    tokenizer, model = transformers.AutoTokenizer.from_pretrained(folder), transformers.AutoModel.from_pretrained(folder).eval()

    def vector(text: str) -> torch.Tensor:
        with torch.no_grad():
            hidden = model(torch.tensor([tokenizer(text)["input_ids"]])).last_hidden_state[0]
        return torch.nn.functional.normalize(hidden[0] if pooling == "cls" else hidden.mean(dim=0), dim=0)

    rows = {(r["item_id"], r["metric"]): r["score"] for r in found.table.to_rows()}
    documents = {row["id"]: vector(row["text"]) for row in DOCUMENTS}
    for query in QUERIES:
        asked = vector(query["query"])
        ranked = sorted(documents, key=lambda name, asked=asked: -float(asked @ documents[name]))  # type: ignore[misc]
        place = ranked.index(query["relevant"][0]) + 1
        assert rows[query["id"], "recall_at_1"] == float(place == 1)
        assert rows[query["id"], "recall_at_5"] == float(place <= 5)
        assert rows[query["id"], "mrr_at_10"] == pytest.approx(1 / place)
        assert rows[query["id"], "ndcg_at_10"] == pytest.approx(1 / math.log2(place + 1))


def test_graded_relevance_is_discounted_as_trec_eval_does() -> None:
    graded = ndcg(["a", "b", "c"], {"a": 1.0, "c": 3.0}, 10)
    assert graded == pytest.approx((1 + 3 / math.log2(4)) / (3 + 1 / math.log2(3)))


def test_tags_are_those_of_each_words_first_token(tagged: Path, tmp_path: Path) -> None:
    names = dict(enumerate(TAGS))
    folder = encoder(tmp_path / "t", transformers.BertForTokenClassification, num_labels=3, id2label=names)
    found = evaluate(build_plan(read_suites([str(tagged)])), folder, tmp_path / "out", cache=tmp_path / "c")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder).eval()
    said = {r["item_id"]: (r["prediction"], r["score"]) for r in found.table.to_rows() if r["metric"] == "right_tags"}
    for row in SENTENCES:
        encoded = tokenizer(row["tokens"], is_split_into_words=True)
        with torch.no_grad():
            best = model(torch.tensor([encoded["input_ids"]])).logits[0].argmax(dim=-1).tolist()
        tags = [TAGS[best[encoded.word_ids().index(word)]] for word in range(3)]
        assert said[row["id"]] == (json.dumps(tags), sum(a == b for a, b in zip(tags, row["tags"], strict=True)) / 3)


def test_two_encoders_are_compared_and_another_document_is_another_plan(searched: Path, write_suite: Any, tmp_path: Path) -> None:
    plan = build_plan(read_suites([str(searched)]))
    models = [encoder(tmp_path / str(seed), transformers.BertModel, seed=seed) for seed in (1, 2)]
    both = [evaluate(plan, model, tmp_path / f"o{n}", cache=tmp_path / "c") for n, model in enumerate(models)]
    found = compare_evidence(both[0].document, both[1].document, teacher_table=both[0].table, student_table=both[1].table)
    assert [finding.rule for finding in found] == ["evidence.identical"]
    low = evaluate(plan, models[0], tmp_path / "low", cache=tmp_path / "c", how=BackendSettings(dtype="bfloat16"))
    assert low.table.has("again")
    file = searched.parent / "search.jsonl"
    file.write_text(file.read_text().replace("likes the colour red", "likes the colour reddish"))
    assert build_plan(read_suites([str(searched)])).root != plan.root
    with pytest.raises(InputError, match="documents are not those of the plan"):
        evaluate(plan, models[1], tmp_path / "late", cache=tmp_path / "c2")


def test_another_checkpoint_and_other_layers_are_refused_by_name(searched: Path, teacher: Path, tmp_path: Path) -> None:
    plan = build_plan(read_suites([str(searched)]))
    with pytest.raises(InputError, match="is a model for causal_lm, and the suite asks for retrieval"):
        evaluate(plan, teacher, tmp_path / "a", cache=tmp_path / "c")
    dense = encoder(tmp_path / "d", transformers.BertModel)
    (dense / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Dense"}]))
    with pytest.raises(InputError, match="go through Dense, which is not computed here"):
        evaluate(plan, dense, tmp_path / "b", cache=tmp_path / "c")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([QUERIES[0]], "holds no document"),
        ([{**QUERIES[0], "relevant": ["d9"]}, DOCUMENTS[0]], "there is no document 'd9'"),
        ([{**QUERIES[0], "relevant": []}, DOCUMENTS[0]], "has no relevant document"),
        ([QUERIES[0], DOCUMENTS[0], DOCUMENTS[0]], "two documents have the id 'd0'"),
    ],
)
def test_faults_of_the_file_are_named(searched: Path, rows: list[dict[str, Any]], says: str) -> None:
    (searched.parent / "search.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError, match=says):
        build_plan(read_suites([str(searched)]))


def test_words_without_tags_are_named(tagged: Path) -> None:
    (tagged.parent / "names.jsonl").write_text(json.dumps({"id": "s", "tokens": ["a", "b"], "tags": ["O"]}))
    with pytest.raises(InputError, match="two lists of one length"):
        build_plan(read_suites([str(tagged)]))


def test_the_check_names_what_a_model_cannot_answer(tiny_suite: Path, tmp_path: Path) -> None:
    encoder(tmp_path / "e", transformers.BertModel)
    release = {"schema": "kdgov.release/1", "name": "e", "teacher": {"model": "e"}, "student": {"model": "e"}, "policy": "lm-eval"}
    (tmp_path / "release.yaml").write_text(yaml.safe_dump({**release, "suites": [str(tiny_suite)]}))
    context = open_release(tmp_path / "release.yaml", store=tmp_path / "store")
    materials: Any = SimpleNamespace(suites=[SuiteFile(path=tiny_suite, suite=load_suite(tiny_suite), name="tiny")])
    found = model_fit_findings(context, materials, Stances())
    assert [(one.rule, one.verdict, one.subject) for one in found] == [
        ("evidence.model-cannot-answer", "block", "teacher e"), ("evidence.model-cannot-answer", "block", "student e"),
    ]  # fmt: skip
    assert "It is a model for embedding, and cannot answer tiny/choice, tiny/write." in found[0].reason
    assert "kinds: retrieval" in found[0].mend
