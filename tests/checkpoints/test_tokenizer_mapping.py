"""Two tokenizers are compared by what text becomes, not by the bytes of their files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from kdgov.checkpoints.loading import load_tokenizer
from kdgov.checkpoints.tokenizer_mapping import KnownIds, agreement, known_ids
from kdgov.errors import InputError

TEXTS = [("t1", "the cat sat on the mat"), ("t2", "and the dog ran")]
DIGESTS = ("sha256:one", "sha256:two")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A byte-level BPE with three special tokens."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["the cat sat on the mat and the dog ran to the cat"] * 20, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "TokenizersBackend", "eos_token": "<|endoftext|>"}))
    return folder


def changed(base, folder, *, config=(), **parts):
    """The tokenizer of ``base`` with some parts of its files changed."""
    folder.mkdir(exist_ok=True)
    whole = json.loads((base / "tokenizer.json").read_text())
    for name, change in parts.items():
        whole[name] = change(whole[name]) if callable(change) else change
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    said = json.loads((base / "tokenizer_config.json").read_text()) | dict(config)
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return load_tokenizer(folder)


def compared(a, b, texts=TEXTS):
    return agreement(a, b, texts, digests=DIGESTS, where="student.model")


def test_merges_written_as_strings_or_lists_are_the_same(base, tmp_path):
    def as_strings(model):
        return {**model, "merges": [" ".join(pair) for pair in model["merges"]]}

    other = changed(base, tmp_path / "strings", model=as_strings)
    found = compared(load_tokenizer(base), other)
    assert (found.basis, found.differences) == ("mapping", ())
    assert found.known == known_ids(other)


def test_a_tokenizer_saved_again_is_the_same(base, tmp_path):
    load_tokenizer(base).save_pretrained(tmp_path / "again")
    found = compared(load_tokenizer(base), load_tokenizer(tmp_path / "again"))
    assert (found.basis, found.differences) == ("mapping", ())


def test_another_end_token_is_told_and_compared(base, tmp_path):
    other = changed(base, tmp_path / "chat", config={"eos_token": "<|im_end|>"})
    found = compared(load_tokenizer(base), other)
    assert found.basis == "mapping"
    assert found.differences == ("eos_token: the teacher's is '<|endoftext|>', the student's '<|im_end|>'",)


def test_added_tokens_of_one_side_are_not_compared(base, tmp_path):
    load_tokenizer(base).save_pretrained(tmp_path / "more")
    more = transformers.AutoTokenizer.from_pretrained(tmp_path / "more")
    more.add_tokens(["<tool>"])
    found = compared(more, load_tokenizer(base))
    assert found.basis == "texts"
    assert found.known == known_ids(load_tokenizer(base))
    with pytest.raises(InputError, match=r"item t9 is .* sha256:one|sha256:one.*item t9"):
        compared(more, load_tokenizer(base), [*TEXTS, ("t9", "the <tool> ran")])


def test_a_normaliser_that_leaves_the_texts_alone_passes_and_one_that_does_not_is_refused(base, tmp_path):
    plain = load_tokenizer(base)
    nfc = json.loads(Tokenizer(models.BPE()).to_str())
    assert nfc["normalizer"] is None
    composed = changed(base, tmp_path / "nfc", normalizer={"type": "NFC"})
    assert compared(plain, composed).basis == "texts"
    lower = changed(base, tmp_path / "lower", normalizer={"type": "Lowercase"})
    assert normalizers.Lowercase().normalize_str("T") == "t"
    with pytest.raises(InputError, match="item t3 is"):
        compared(plain, lower, [*TEXTS, ("t3", "The Cat")])


def test_swapped_tokens_are_holes_of_what_is_compared(base, tmp_path):
    def swap(model):
        a, b = sorted(token for token, number in model["vocab"].items() if number in (10, 11))
        vocab = dict(model["vocab"])
        vocab[a], vocab[b] = vocab[b], vocab[a]
        return {**model, "vocab": vocab}

    other = changed(base, tmp_path / "swapped", model=swap)
    found = compared(load_tokenizer(base), other)
    assert found.known.holes == (10, 11)
    assert found.known.unknown(np.array([9, 10, 10_000])).tolist() == [False, True, True]


def test_ids_are_cut_to_the_rows_of_a_matrix():
    assert KnownIds(size=10, holes=(3, 8)).within(5) == KnownIds(size=5, holes=(3,))
    assert KnownIds(size=10, holes=(3, 8)).count == 8
