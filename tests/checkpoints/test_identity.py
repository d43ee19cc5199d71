"""Who a model is, read from headers and JSON alone."""

from __future__ import annotations

import dataclasses
import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from kdgov.checkpoints.digests import remembered_digest
from kdgov.checkpoints.identity import model_identity, resolve_model, safetensors_header, template_digest, tokenizer_digest
from kdgov.digest import digest_file
from kdgov.errors import InputError, UnavailableError
from tests.conftest import real_folder


@pytest.fixture(autouse=True)
def memory(tmp_path, monkeypatch):
    monkeypatch.setenv("KDGOV_CACHE", str(tmp_path / "memory"))


@pytest.fixture
def model(tmp_path):
    """A folder that looks like a checkpoint: two tensors, a configuration, a tokenizer."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"a": np.zeros((3, 4), dtype=np.float32), "b": np.ones(5, dtype=np.float32)}, folder / "model.safetensors")
    config = {"architectures": ["LlamaForCausalLM"], "vocab_size": 7, "num_hidden_layers": 2, "transformers_version": "5.0"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"x": 0}}, "truncation": None, "padding": None}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "x", "chat_template": "{{ messages }}"}))
    return folder


def change(file, **values):
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_an_identity_counts_and_digests(model):
    identity = model_identity(model)
    assert identity.parameters == 3 * 4 + 5
    assert identity.size_bytes == (model / "model.safetensors").stat().st_size
    assert identity.weights == digest_file(model / "model.safetensors")
    assert (identity.vocab_size, identity.layers, identity.architecture, identity.dtype) == (7, 2, "LlamaForCausalLM", "F32")


def test_who_saved_it_and_how_it_pads_do_not_change_who_it_is(model):
    before = model_identity(model)
    change(model / "config.json", transformers_version="9.9", _name_or_path="elsewhere")
    change(model / "tokenizer.json", padding={"strategy": "BatchLongest"}, truncation={"max_length": 3})
    change(model / "tokenizer_config.json", eos_token={"content": "x", "special": True})
    now = model_identity(model)
    assert dataclasses.replace(now, model=before.model, files=before.files) == before
    assert now.model != before.model, "the whole model is every byte"


def test_what_maps_text_to_ids_does(model):
    before = tokenizer_digest(model), template_digest(model)
    change(model / "tokenizer.json", model={"vocab": {"x": 1}})
    assert tokenizer_digest(model) != before[0]
    change(model / "tokenizer_config.json", chat_template="{{ other }}")
    assert template_digest(model) != before[1]


def test_one_changed_byte_changes_the_weights_digest_even_with_a_remembered_one(model):
    file = model / "model.safetensors"
    before = model_identity(model).weights
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    stamp = file.stat()
    file.write_bytes(bytes(data))
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert model_identity(model, verify=True).weights != before
    assert model_identity(model).weights != before


def test_a_remembered_digest_is_not_read_again_and_is_kept_only_once_settled(tmp_path, monkeypatch):
    file = tmp_path / "large"
    file.write_bytes(b"x" * 1000)
    reads = []

    def counting(path):
        reads.append(path)
        return digest_file(path)

    monkeypatch.setattr("kdgov.checkpoints.digests.digest_file", counting)
    for _ in range(2):
        remembered_digest(file)
    assert len(reads) == 2  # Too young: its next change could keep its time stamp.
    os.utime(file, (1_000_000_000, 1_000_000_000))
    for _ in range(3):
        remembered_digest(file)
    assert len(reads) == 3
    remembered_digest(file, verify=True)
    assert len(reads) == 4


def test_several_files_are_digested_by_name(model):
    whole = model_identity(model).weights
    save_file({"c": np.zeros(2, dtype=np.float32)}, model / "model-00002.safetensors")
    (model / "model.safetensors").rename(model / "model-00001.safetensors")
    index = {"weight_map": {"a": "model-00001.safetensors", "c": "model-00002.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    sharded = model_identity(model)
    assert sharded.weights != whole
    assert sharded.parameters == 19
    (model / "model-00002.safetensors").unlink()
    with pytest.raises(InputError, match="lacks model-00002"):
        model_identity(model)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: data[:-1], "where its header promises"),
        (lambda data: data[:6], "not a whole safetensors file"),
        (lambda data: struct.pack("<Q", 2**60) + data[8:], "not a whole safetensors file"),
        (lambda data: data[:8] + b"!" * (len(data) - 8), "broken safetensors header"),
    ],
)
def test_a_damaged_file_is_named_not_loaded(model, damage, says):
    file = model / "model.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match=says) as caught:
        safetensors_header(file)
    assert "model.safetensors" in str(caught.value)


def test_pickled_weights_are_refused(model):
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(InputError, match="which can run code"):
        model_identity(model)


def test_a_path_is_found_beside_the_file_that_names_it(model, tmp_path):
    assert resolve_model("model", beside=tmp_path / "release.yaml") == tmp_path / "model"


def test_a_hub_id_must_be_pinned_and_a_typing_error_is_told_as_one(tmp_path):
    with pytest.raises(InputError, match="needs a pinned revision: has no revision"):
        resolve_model("org/name", beside=tmp_path / "r.yaml")
    with pytest.raises(InputError, match="'main' is a name that can move"):
        resolve_model("org/name", beside=tmp_path / "r.yaml", revision="main")
    with pytest.raises(InputError, match="does not exist"):
        resolve_model("../nowhere", beside=tmp_path / "r.yaml")


def test_a_hub_that_cannot_be_reached_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        resolve_model("org/name", beside=tmp_path / "r.yaml", revision="0" * 40)


def test_a_pinned_snapshot_in_the_hub_cache_needs_no_network(tmp_path, monkeypatch):
    commit = "a" * 40
    snapshot = tmp_path / "hub" / "models--org--name" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert resolve_model("org/name", beside=tmp_path / "r.yaml", revision=commit) == snapshot


def test_identity_loads_neither_torch_nor_transformers():
    code = "import sys, kdgov.checkpoints.identity; print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.real
def test_a_real_model_is_identified():
    identity = model_identity(real_folder("models") / "stories260k")
    assert identity.parameters == 260_032
    assert (identity.layers, identity.vocab_size) == (5, 512)
