"""The one line of serving code: a released model is loaded and answers; one that is not what was judged never reaches memory."""

from __future__ import annotations

import re
import shutil

import pytest
import torch
from mlflow.exceptions import MlflowException
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import kdgov
from kdgov.checkpoints import loading
from kdgov.errors import InputError
from kdgov.recording import verified_loading
from kdgov.recording.promotion import promote, revoke
from kdgov.recording.release_recording import record_release
from kdgov.recording.verified_loading import NotReleasedError
from kdgov.recording.verify import verify_version
from tests.recording.evidence_bundle import bundle

WORDS = ["[UNK]", "a", "rose", "is"]


@pytest.fixture
def served(embedded, tmp_path, monkeypatch):
    """A real, if tiny, language model, recorded and promoted; its weights' folder."""
    folder = tmp_path / "weights"
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(vocab_size=len(WORDS), n_positions=8, n_embd=8, n_layer=1, n_head=1)).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(folder)
    name = f"served-{tmp_path.name}"
    recorded = record_release(bundle(tmp_path / "bundle", name=name, weights=folder), embedded.target, weights=folder)
    assert promote(name, recorded.version, embedded.target).done
    monkeypatch.setenv("KDGOV_STORE", str(embedded.target.store))
    return name, folder


def test_one_line_loads_what_was_judged_and_nothing_else(served, embedded):
    name, folder = served
    loaded = kdgov.load_model(f"models:/{name}@champion")
    assert not loaded.model.training
    assert loaded.report.holds
    answer = loaded.model(**loaded.tokenizer("a rose is a rose", return_tensors="pt"))
    again = GPT2LMHeadModel.from_pretrained(folder)(input_ids=torch.tensor([[1, 2, 3, 1, 2]]))
    assert torch.equal(answer.logits, again.logits)

    file = folder / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(NotReleasedError, match="weights"):
        kdgov.load_model(f"models:/{name}@champion")
    file.write_bytes(whole)
    kdgov.load_model(f"models:/{name}/1")

    revoke(name, 1, embedded.target, reason="leaks")
    with pytest.raises(NotReleasedError, match="revoked: leaks"):
        kdgov.load_model(f"models:/{name}/1")


def test_what_changes_after_it_was_verified_is_not_loaded(served, monkeypatch):
    """Another model is swapped in between check and use: the copy that is loaded is the copy that was compared."""
    name, folder = served
    original = verified_loading.verify_version

    def swapped(*positional, **named):
        report = original(*positional, **named)
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-1] + b"\x55")
        return report

    monkeypatch.setattr(verified_loading, "verify_version", swapped)
    with pytest.raises(NotReleasedError, match=r"changed after it was verified: model\.safetensors was changed"):
        kdgov.load_model(f"models:/{name}@champion")


def test_a_swap_while_it_is_loaded_changes_nothing(served, monkeypatch):
    """What is loaded is a copy of one's own."""
    name, folder = served
    original = loading.load_model
    before = GPT2LMHeadModel.from_pretrained(folder)

    def swapped(path, *more, **named):
        for file in folder.iterdir():
            file.unlink()
        return original(path, *more, **named)

    monkeypatch.setattr(loading, "load_model", swapped)
    loaded = kdgov.load_model(f"models:/{name}@champion")
    words = torch.tensor([[1, 2, 3]])
    assert torch.equal(loaded.model(input_ids=words).logits, before(input_ids=words).logits)


STRAY = {
    "a stray pickle": ("pytorch_model.bin", b"\x80\x04.", "was not judged"),
    "code the configuration could name": ("modeling_x.py", b"import os", "was not judged"),
    "another temperature": ("generation_config.json", b'{"temperature": 50.0, "do_sample": true}', "was changed"),
    "a chat template": ("chat_template.jinja", b"{{ messages }}", "was not judged"),
    "a template in the tokenizer's settings": ("tokenizer_config.json", b'{"chat_template": "x"}', "was changed"),
    "an auto_map entry": ("config.json", b'{"auto_map": {"AutoModel": "x.Y"}}', "was changed"),
    "no tokenizer": ("tokenizer.json", None, "is gone"),
}


@pytest.mark.parametrize("what", STRAY)
def test_the_whole_model_is_what_was_judged(served, embedded, what):
    """Any file that a loader may read: added, changed or gone, it is refused by promotion, verify and load, with its name."""
    name, folder = served
    file, data, word = STRAY[what]
    if data is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(data)
    act = promote(name, 1, embedded.target, alias="production")
    assert [r["criterion"] for r in act.refusals] == ["weights"]
    assert f"{file} {word}" in act.sentence
    with embedded.client() as client, pytest.raises(MlflowException, match=re.escape(f"{file} {word}")):
        client.set_registered_model_alias(name, "production", "1")
    assert [c.what for c in verify_version(name, 1, embedded.target).violations] == ["weights"]
    with pytest.raises(NotReleasedError, match=re.escape(file)):
        kdgov.load_model(f"models:/{name}@champion")


def test_papers_beside_the_model_are_no_part_of_it(served, embedded):
    name, folder = served
    (folder / "README.md").write_text("# read me")
    (folder / "LICENSE").write_text("Apache-2.0")
    assert verify_version(name, 1, embedded.target).holds


def test_mlflow_loads_serves_and_refuses_by_both_flavours(served, embedded, monkeypatch):
    """What MLflow people type: pyfunc and transformers, at the champion; a changed and a revoked version are refused with the reason."""
    import mlflow

    name, folder = served
    monkeypatch.setenv("MLFLOW_TRACKING_URI", embedded.target.tracking_uri)
    mlflow.set_tracking_uri(embedded.target.tracking_uri)
    try:
        uri = f"models:/{name}@champion"
        predictor = mlflow.pyfunc.load_model(uri)
        answer = predictor.predict(["a rose is"], params={"max_new_tokens": 2})
        direct = GPT2LMHeadModel.from_pretrained(folder).generate(
            torch.tensor([[1, 2, 3]]), max_new_tokens=2, do_sample=False, pad_token_id=0
        )
        assert answer == [" ".join(WORDS[i] for i in direct[0, 3:])]
        assert predictor.metadata.signature.inputs.to_dict() == [{"type": "string", "required": True}]
        assert predictor.input_example == ["The capital of France is"]
        parts = mlflow.transformers.load_model(uri, return_type="components")
        assert type(parts["model"]) is GPT2LMHeadModel
        assert parts["tokenizer"]("a rose")["input_ids"] == [1, 2]

        file = folder / "model.safetensors"
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        for load in (mlflow.pyfunc.load_model, mlflow.transformers.load_model):
            with pytest.raises(NotReleasedError, match=r"model\.safetensors was changed"):
                load(uri)
        file.write_bytes(whole)
        revoke(name, 1, embedded.target, reason="leaks")
        with pytest.raises(NotReleasedError, match="revoked: leaks"):
            mlflow.pyfunc.load_model(f"models:/{name}/1")
        with pytest.raises(NotReleasedError, match="revoked: leaks"):
            mlflow.transformers.load_model(f"models:/{name}/1", return_type="components")
    finally:
        mlflow.set_tracking_uri(None)


def test_weights_are_uploaded_or_refused(served, embedded, tmp_path):
    """A version that was decided without its weights takes none later; what was uploaded is loaded where the folder is gone."""
    name, folder = served
    evidence = tmp_path / "bundle"
    with pytest.raises(InputError, match="was recorded without its weights"):
        record_release(evidence, embedded.target, weights=folder, upload_weights=True)
    assert record_release(evidence, embedded.target, weights=folder).version == 1

    other = f"uploaded-{tmp_path.name}"
    again = bundle(tmp_path / "other", name=other, weights=folder)
    assert record_release(again, embedded.target, weights=folder, upload_weights=True).version == 1
    assert record_release(again, embedded.target, weights=folder, upload_weights=True).version == 1
    shutil.move(folder, tmp_path / "elsewhere")
    assert kdgov.load_model(f"models:/{other}/1").report.holds
    with pytest.raises(InputError, match="not at hand"):
        kdgov.load_model(f"models:/{name}/1")
