"""The one line of serving code: a released model is loaded and answers; one that is not what was judged never reaches memory."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import kdgov
from kdgov.recording.promotion import promote, revoke
from kdgov.recording.release_recording import record_release
from kdgov.recording.verified_loading import NotReleasedError
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


def test_weights_that_change_while_they_are_loaded_are_not_served(served, monkeypatch):
    """The bytes that were verified need not be the bytes that were read: they are hashed again afterwards."""
    name, folder = served
    from kdgov.checkpoints import loading

    original = loading.load_model

    def swapped(path, *more, **named):
        model = original(path, *more, **named)
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-1] + b"\x55")
        return model

    monkeypatch.setattr(loading, "load_model", swapped)
    with pytest.raises(NotReleasedError, match="changed while"):
        kdgov.load_model(f"models:/{name}@champion")
