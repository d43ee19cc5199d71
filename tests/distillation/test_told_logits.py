"""A teacher elsewhere tells its likeliest tokens: an engine on loopback, or files; the student learns as from the weights' own cache."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transformers
import yaml
from safetensors.torch import load_file

from kdgov.checkpoints.tokenizer_mapping import KnownIds
from kdgov.declarations.distillation import Distillation
from kdgov.declarations.effects.release_file import load_release
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.distillation import StudentStart, distill
from kdgov.distillation.data.collation import prepare
from kdgov.distillation.data.examples import read_examples
from kdgov.distillation.teacher_cache.told_tables import NEVER, ranked
from kdgov.errors import DeclarationError, InputError
from kdgov.pipeline.check import check_step
from kdgov.pipeline.context import open_release
from tests.distillation.conftest import llama, write_tokenizer
from tests.endpoints.scripted_server import Scripted, scripted_server

K = 8


def recipe(**cache):
    terms = [{"kind": "soft_targets", "temperature": 1.0}]
    return Distillation.model_validate(
        {"terms": terms, "steps": 6, "batch_size": 8, "learning_rate": 3e-3, "cache": {"k": K, **cache}, "dtype": "float32"}
    )


@pytest.fixture
def base(tmp_path):
    folder = tmp_path / "base"
    folder.mkdir()
    llama(len(write_tokenizer(folder)), layers=2, seed=5).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(teacher):
    """Loaded once: loading in several threads of a server is not safe."""
    return transformers.AutoModelForCausalLM.from_pretrained(teacher).float().eval()


def top(model, ids):
    """What vLLM says: nothing of the first token, then id → logprob of the likeliest and of the token itself."""
    with torch.no_grad():
        log_p = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    said = [None]
    for place, token in enumerate(ids[1:]):
        best = log_p[place].topk(K)
        table = dict(zip(best.indices.tolist(), best.values.tolist(), strict=True)) | {token: log_p[place, token].item()}
        said.append({str(i): {"logprob": p, "rank": 1, "decoded_token": "x"} for i, p in table.items()})
    return said


class Engine(Scripted):
    """Tells `prompt_logprobs` of the token ids it is sent."""

    def _answer(self, step, body):
        choice = {"text": "x", "finish_reason": "length", "prompt_logprobs": top(self.server.model, body["prompt"])}
        super()._answer({"answer": {"choices": [choice]}, **step}, body)


@pytest.fixture
def engine(model, monkeypatch):
    monkeypatch.setattr("tests.endpoints.scripted_server.Scripted", Engine)
    with scripted_server() as server:
        server.model = model
        yield server


def told(server, **changes):
    return {"base_url": server.url, "model": "big", "terms": "MIT", "api": "completions", "retries": 0, **changes}


def weights(folder):
    return load_file(folder / "student" / "model.safetensors")


def test_an_engine_teaches_what_the_weights_teach_and_is_asked_once(engine, teacher, base, questions, tmp_path):
    own = distill(recipe(), teacher, StudentStart(model=base), [questions], tmp_path / "own" / "x")
    asked = Endpoint.model_validate(told(engine))
    record = distill(recipe(source="endpoint"), asked, StudentStart(model=base), [questions], tmp_path / "told" / "x")
    assert len(engine.asked) == 20
    assert record.cache["tokens"] == own.cache["tokens"]
    assert record.cache["mass_kept"] == pytest.approx(own.cache["mass_kept"], abs=1e-3)
    mine, theirs = weights(tmp_path / "told" / "x"), weights(tmp_path / "own" / "x")
    assert all(torch.allclose(mine[name], theirs[name], atol=2e-3) for name in mine)
    distill(recipe(source="endpoint"), asked, StudentStart(model=base), [questions], tmp_path / "told" / "y")
    assert len(engine.asked) == 20


def test_what_an_engine_told_before_it_failed_is_kept(engine, base, questions, tmp_path):
    asked = Endpoint.model_validate(told(engine, concurrency=1))
    engine.script = [{} for _ in range(12)] + [{"status": 500}]
    with pytest.raises(Exception, match="answers 500"):
        distill(recipe(source="endpoint"), asked, StudentStart(model=base), [questions], tmp_path / "x")
    distill(recipe(source="endpoint"), asked, StudentStart(model=base), [questions], tmp_path / "x")
    assert len(engine.asked) == 20 + 1


@pytest.fixture
def rows(model, base, questions):
    items = prepare("causal_lm", read_examples([questions]), base, recipe()).items
    return [{"token_ids": item.ids.tolist(), "prompt_logprobs": top(model, item.ids.tolist())} for item in items]


def as_arrays(row):
    tables = [[(int(i), value["logprob"]) for i, value in (entry or {}).items()] for entry in row["prompt_logprobs"]]
    best = [sorted(table, key=lambda pair: -pair[1]) for table in tables]
    return {
        "token_ids": row["token_ids"],
        "top_ids": [[i for i, _ in table][:K] for table in best],
        "top_logprobs": [[p for _, p in table][:K] for table in best],
    }


@pytest.mark.parametrize("kind", ["vllm.jsonl", "arrays.jsonl", "arrays.parquet"])
def test_files_written_elsewhere_teach_the_same(rows, teacher, base, questions, tmp_path, kind):
    file = tmp_path / kind
    written = rows if kind.startswith("vllm") else [as_arrays(row) for row in rows]
    if kind.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(written), file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in written))
    own = distill(recipe(), teacher, StudentStart(model=base), [questions], tmp_path / "own" / "x")
    found = distill(recipe(source="files", files=[str(file)]), teacher, StudentStart(model=base), [questions], tmp_path / "told" / "x")
    assert found.cache["mass_kept"] == pytest.approx(own.cache["mass_kept"], abs=1e-3)
    mine, theirs = weights(tmp_path / "told" / "x"), weights(tmp_path / "own" / "x")
    assert all(torch.allclose(mine[name], theirs[name], atol=2e-3) for name in mine)


def changed(rows, key, entry):
    """Rows of arrays of which the first says something odd of its last token but one, which is learnt."""
    first = as_arrays(rows[0])
    first[key][-4:] = [entry] * 4
    return [first, *map(as_arrays, rows[1:])]


def certain(row):
    """A row of a teacher that is sure of every token of the text."""
    others = {str(other): -9.0 for other in range(40) if other not in row["token_ids"]}
    tables = [{**others, str(token): -0.01} for token in row["token_ids"]]
    return {**row, "prompt_logprobs": tables}


def test_tables_are_put_in_order_and_cut_to_tokens_of_both_models():
    """Likeliest first whatever the order; next to nothing on padding rows of a larger matrix is left to the rest."""
    known = KnownIds(size=10, holes=(4,))
    assert ranked([[(3, -2.0), (7, -0.2), (5, -5.0)]], 2, known, where="x") == [[(7, -0.2), (3, -2.0)]]
    assert ranked([[(12, -6.0), (4, -7.0), (7, -0.1)]], 3, known, where="x") == [[(7, -0.1), (0, NEVER), (1, NEVER)]]
    with pytest.raises(InputError, match="gives the id 12 a probability"):
        ranked([[(12, -1.0), (7, -0.5)]], 2, known, where="x")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[1:], "says nothing of 1 of 20 examples"),
        (lambda rows: [{"token_ids": rows[0]["token_ids"]}], "needs token_ids, and top_ids"),
        (lambda rows: [{**rows[0], "prompt_logprobs": rows[0]["prompt_logprobs"][:2]}, *rows[1:]], "tells log-probabilities of 2 tokens"),
        (lambda rows: [{**rows[0], "prompt_logprobs": [None, *[{"1": {"logprob": -1}}] * 20]}, *rows[1:]], "Set `cache.k: 1`"),
        (lambda rows: [{**rows[0], "prompt_logprobs": [None, *[{str(i): 0.5 for i in range(9)}] * 20]}, *rows[1:]], "no log-probabilities"),
        (lambda rows: changed(rows, "top_ids", None), "has no ids with their log-probabilities at learnt token 0"),
        (lambda rows: changed(rows, "top_ids", [1] * K), "names one id twice at learnt token 0"),
        (lambda rows: changed(rows, "top_ids", [*range(1, K), 9999]), "gives the id 9999 a probability, which is no token of the student"),
        (lambda rows: changed(rows, "top_ids", [*range(1, K), 0.5]), "has no ids with their log-probabilities"),
        (lambda rows: changed(rows, "top_logprobs", ["low"] * K), "has no ids with their log-probabilities"),
        (lambda rows: [{**as_arrays(rows[0]), "top_ids": 5}], "holds no lists of ids and numbers"),
        (lambda rows: [{**as_arrays(rows[0]), "token_ids": "abc"}], "holds no lists of ids and numbers"),
        (
            lambda rows: [
                {**row, "prompt_logprobs": row["prompt_logprobs"][1:] + row["prompt_logprobs"][:1]} for row in map(certain, rows)
            ],
            "is one token early",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(rows, base, questions, tmp_path, change, said):
    file = tmp_path / "told.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in change(rows)))
    with pytest.raises(InputError) as caught:
        distill(recipe(source="files", files=[str(file)]), base, StudentStart(model=base), [questions], tmp_path / "x")
    assert said in str(caught.value)


def test_what_cannot_be_told_is_refused_where_it_is_declared(engine, base, questions, tmp_path):
    said = {
        "schema": "kdgov.release/1",
        "name": "told",
        "teacher": {"endpoint": told(engine)},
        "student": {"model": "base"},
        "data": [str(questions)],
        "distillation": {"terms": [{"kind": "soft_targets", "temperature": 1}], "steps": 4, "cache": {"k": K, "source": "endpoint"}},
    }
    path = tmp_path / "release.yaml"
    path.write_text(yaml.safe_dump(said))
    found = json.loads((check_step(open_release(path, store=tmp_path / "store")).folder / "findings.json").read_text())
    assert any(one["rule"].startswith("licence.") and "big" in one["subject"] for one in found)
    assert any("→ 127.0.0.1" in one["subject"] for one in found)
    for cache, why in (
        ({"source": "files"}, "exactly where"),
        ({"source": "endpoint", "kind": "sampled"}, "likeliest tokens only"),
        ({}, "learns from soft_targets"),
    ):
        said["distillation"]["cache"] = {"k": K, **cache}
        path.write_text(yaml.safe_dump(said))
        with pytest.raises(DeclarationError, match=why):
            load_release(path)
    hot = recipe(source="endpoint").model_copy(update={"terms": [recipe().terms[0].model_copy(update={"temperature": 2.0})]})
    with pytest.raises(InputError, match="at temperature 1"):
        distill(hot, Endpoint.model_validate(told(engine)), StudentStart(model=base), [questions], tmp_path / "hot" / "x")
