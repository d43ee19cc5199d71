"""Teacher-written text: from a local teacher and from an endpoint, each shard with its provenance."""

from __future__ import annotations

import json

import pytest
import torch
import transformers

from kdgov.checkpoints.identity import model_identity
from kdgov.declarations.distillation import Distillation, TeacherText
from kdgov.digest import digest_file
from kdgov.distillation import StudentStart, distill
from kdgov.distillation.data.examples import read_examples
from kdgov.distillation.data.teacher_text import written_examples
from kdgov.errors import InputError, UnavailableError
from kdgov.progress import silent


def term(server=None, **changes):
    usual = {"kind": "teacher_text", "max_new_tokens": 5}
    if server is not None:
        usual["endpoint"] = {
            "base_url": f"http://127.0.0.1:{server.server_port}/v1",
            "model": "gpt-x",
            "terms": "LicenseRef-OpenAI-Services-Agreement-2026-01-01",
            "key_variable": "TEST_API_KEY",
            "retries": 2,
            "timeout_s": 20,
            "concurrency": 1,
        }
    return TeacherText.model_validate({**usual, **changes})


def write(said, questions, teacher, folder):
    return written_examples(said, read_examples([questions]), teacher, folder, seed=3, progress=silent)


def test_an_endpoint_is_asked_with_the_declared_parameters_and_key(server, questions, teacher, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", "secret-1")
    said = term(server, temperature=0.7, top_p=0.9, system="Be brief.", prompt_template="Q: {prompt}")
    examples, _ = write(said, questions, teacher, tmp_path)
    path, headers, body = server.asked[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret-1"
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Q: the a adds to"}]
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["model"]) == (0.7, 0.9, 5, "gpt-x")
    assert len(examples) == len(server.asked) == 20
    assert examples[0].prompt == "the a adds to"
    assert examples[0].completion == " to and the cat"
    assert not [file for file in tmp_path.rglob("*") if b"secret-1" in file.read_bytes()]


def test_every_shard_says_who_wrote_it_how_and_under_which_terms(server, questions, teacher, tmp_path):
    _, records = write(term(server, shard_size=8), questions, teacher, tmp_path)
    assert [record["rows"] for record in records] == [8, 8, 4]
    for number, record in enumerate(records):
        assert record["generator"] == "gpt-x"
        assert record["access"] == "api"
        assert record["terms"] == "LicenseRef-OpenAI-Services-Agreement-2026-01-01"
        assert record["prompt_template"].startswith("sha256:")
        assert record["sampling"]["max_new_tokens"] == 5
        assert len(record["date"]) == 10
        assert record["digest"] == digest_file(tmp_path / f"shard-{number:04d}.jsonl")


def test_what_was_paid_for_is_not_asked_again(server, questions, teacher, tmp_path):
    said = term(server, shard_size=8)
    first, _ = write(said, questions, teacher, tmp_path)
    (tmp_path / "shard-0001.jsonl").unlink()
    server.asked.clear()
    again, _ = write(said, questions, teacher, tmp_path)
    assert not server.asked
    assert again == first


def test_an_overloaded_endpoint_is_asked_again_and_then_given_up(server, questions, teacher, tmp_path):
    server.codes = [429, 503]
    examples, _ = write(term(server), questions, teacher, tmp_path / "a")
    assert len(examples) == 20
    server.codes = [503, 503, 503]
    with pytest.raises(UnavailableError, match="answers 503"):
        write(term(server), questions, teacher, tmp_path / "b")


@pytest.mark.parametrize(("code", "mend"), [(401, "TEST_API_KEY"), (404, "endpoint.model"), (400, "parameters")])
def test_a_refusal_is_the_users_to_mend(server, questions, teacher, tmp_path, code, mend):
    server.codes = [code]
    with pytest.raises(InputError, match=f"refuses with {code}") as caught:
        write(term(server), questions, teacher, tmp_path)
    assert mend in str(caught.value)
    assert len(server.asked) == 1


def test_an_endpoint_that_is_not_there_is_unavailable(server, questions, teacher, tmp_path):
    said = term(server)
    gone = said.model_copy(update={"endpoint": said.endpoint.model_copy(update={"base_url": "http://127.0.0.1:9/v1", "retries": 0})})
    with pytest.raises(UnavailableError, match="gives no answer"):
        write(gone, questions, teacher, tmp_path)


def test_a_local_teacher_writes_what_it_finds_likeliest(questions, teacher, tmp_path):
    examples, records = write(term(), questions, teacher, tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(teacher)
    tokenizer = transformers.AutoTokenizer.from_pretrained(teacher)
    ids = tokenizer(examples[0].prompt, return_tensors="pt")["input_ids"]
    for _ in range(5):
        best = model(ids).logits[0, -1].argmax()
        ids = torch.cat([ids, best[None, None]], dim=1)
        if int(best) == tokenizer.eos_token_id:
            break
    assert (examples[0].prompt + examples[0].completion).split() == tokenizer.decode(ids[0], skip_special_tokens=True).split()
    assert records[0]["weights"] == model_identity(teacher).weights
    assert records[0]["access"] == "weights"


def test_a_student_learns_the_teachers_text_and_its_record_says_so(server, questions, teacher, tmp_path):
    said = Distillation.model_validate(
        {"terms": [term(server).model_dump(mode="json")], "steps": 20, "batch_size": 8, "learning_rate": 3e-3, "seed": 1}
    )
    record = distill(said, teacher, StudentStart(keep_layers=[0, 3]), [questions], tmp_path)
    assert record.examples["learnt_from"] == 40
    assert record.teacher_text[0]["terms"] == "LicenseRef-OpenAI-Services-Agreement-2026-01-01"
    losses = json.loads((tmp_path / "losses.json").read_text())
    assert losses[-1]["hard_labels"] < 0.8 * losses[0]["hard_labels"]
    repeat = distill(said, teacher, StudentStart(keep_layers=[0, 3]), [questions], tmp_path)
    assert repeat == record
