"""The teacher's word on disk: found by content, refused when foreign, small, unbiased where declared."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from kdgov.checkpoints.identity import model_identity
from kdgov.checkpoints.loading import load_model, load_tokenizer
from kdgov.declarations.distillation import Distillation, TeacherCache
from kdgov.distillation import StudentStart, distill
from kdgov.distillation.data.examples import read_examples
from kdgov.distillation.data.tokenization import TokenCollator, tokenized
from kdgov.distillation.teacher_cache.cache import LogitCache, header_of
from kdgov.errors import InputError
from kdgov.progress import silent
from tests.distillation.conftest import llama, write_tokenizer


def recipe(**changes):
    terms = [
        {"kind": "soft_targets", "temperature": changes.pop("temperature", 1.0), "weight": 0.5},
        {"kind": "hard_labels", "weight": 0.5},
    ]
    usual = {"terms": terms, "steps": 8, "batch_size": 8, "learning_rate": 3e-3, "cache": {"kind": "top_k", "k": 40}}
    return Distillation.model_validate({**usual, **changes})


def filled(folder, teacher, texts, **changes):
    said = recipe(**changes)
    examples = tokenized(read_examples([texts]), load_tokenizer(teacher), said).examples
    cache = LogitCache(folder, header_of(said, said.cache, model_identity(teacher)))
    model = load_model(teacher, "causal_lm", dtype=torch.float32)
    asked = cache.fill(examples, model, TokenCollator(pad_id=0, by_example=False), silent)
    return cache, examples, model, asked


def test_what_is_read_back_is_the_teachers_word(teacher, texts, tmp_path):
    cache, examples, model, _ = filled(tmp_path, teacher, texts, temperature=2.0)
    for example in examples[:5]:
        ids = torch.tensor(example.ids.astype(np.int64))[None]
        with torch.no_grad():
            p = (model(ids).logits[0, example.first_target - 1 : -1] / 2.0).softmax(-1)
        kept, values = cache.word_on(example.content)
        assert kept.shape == (len(example.ids) - example.first_target, 40)
        expected = p.gather(-1, torch.from_numpy(kept)).numpy()
        np.testing.assert_allclose(values, expected, rtol=0.01, atol=1e-4)
        np.testing.assert_allclose(1 - values.sum(-1), 1 - expected.sum(-1), atol=1e-6)


def test_training_from_a_cache_that_keeps_every_token_follows_the_live_teacher(teacher, texts, tmp_path):
    start = StudentStart(keep_layers=[0, 3])
    everything = model_identity(teacher).vocab_size
    distill(recipe(cache={"k": everything}, temperature=2.0), teacher, start, [texts], tmp_path / "cached", cache_root=tmp_path / "c")
    distill(recipe(cache=None, temperature=2.0), teacher, start, [texts], tmp_path / "live")
    curves = [json.loads((tmp_path / name / "losses.json").read_text()) for name in ("cached", "live")]
    for cached, live in zip(*curves, strict=True):
        assert cached["soft_targets"] == pytest.approx(live["soft_targets"], rel=2e-3, abs=1e-4)
        assert cached["hard_labels"] == pytest.approx(live["hard_labels"], rel=1e-3)


def test_a_second_student_asks_the_teacher_nothing(teacher, texts, tmp_path):
    _, _, _, asked = filled(tmp_path, teacher, texts)
    _, _, _, again = filled(tmp_path, teacher, texts)
    assert (asked, again) == (60, 0)


def test_mass_and_size_are_told(teacher, texts, tmp_path):
    cache, *_ = filled(tmp_path, teacher, texts, cache={"k": 8})
    facts = cache.facts()
    assert 0.3 < facts["mass_kept"] < 1
    # 8 ids of 2 bytes, 8 values of 2, a tail of 4, and the array headers spread over a few hundred tokens.
    assert facts["bytes_per_token"] < 8 * 4 + 4 + 2


def test_the_default_fits_into_300_bytes_for_any_vocabulary():
    k = TeacherCache().k
    assert k * (2 + 2) + 4 <= 300
    assert k * (2 + 1 + 2) + 4 <= 300


@pytest.mark.parametrize("changes", [{"temperature": 2.0}, {"cache": {"k": 7}}, {"cache": {"kind": "sampled", "k": 40}}])
def test_a_cache_made_otherwise_is_refused_with_the_difference(teacher, texts, tmp_path, changes):
    filled(tmp_path, teacher, texts)
    with pytest.raises(InputError, match="holds another cache: .*needed"):
        filled(tmp_path, teacher, texts, **changes)


def test_another_teachers_cache_is_refused(teacher, texts, tmp_path):
    filled(tmp_path / "cache", teacher, texts)
    other = tmp_path / "other"
    other.mkdir()
    llama(len(write_tokenizer(other)), seed=9).save_pretrained(other)
    with pytest.raises(InputError, match="teacher is 'sha256:"):
        filled(tmp_path / "cache", other, texts)


def test_a_changed_byte_is_noticed(teacher, texts, tmp_path):
    filled(tmp_path, teacher, texts)
    values = next(tmp_path.glob("part-*/values.npy"))
    data = bytearray(values.read_bytes())
    data[-1] ^= 1
    values.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"values\.npy is not what was written"):
        filled(tmp_path, teacher, texts)


def test_a_part_cut_short_by_a_kill_is_made_again(teacher, texts, tmp_path):
    filled(tmp_path, teacher, texts)
    part = next(tmp_path.glob("part-*"))
    part.rename(part.with_suffix(".partial"))
    _, _, _, asked = filled(tmp_path, teacher, texts)
    assert asked == 60


def test_examples_are_found_by_content_whatever_their_order_and_truncation(teacher, texts, tmp_path):
    cache, examples, *_ = filled(tmp_path, teacher, texts)
    reversed_file = tmp_path / "reversed.jsonl"
    reversed_file.write_text("\n".join(reversed(texts.read_text().splitlines())))
    again = tokenized(read_examples([reversed_file]), load_tokenizer(teacher), recipe()).examples
    assert not cache.missing(again)
    cut = tokenized(read_examples([texts]), load_tokenizer(teacher), recipe(max_length=5)).examples
    assert {len(e.ids) for e in cache.missing(cut)} == {5}


def test_a_large_vocabulary_keeps_its_high_ids(tmp_path):
    folder = tmp_path / "teacher"
    folder.mkdir()
    write_tokenizer(folder)
    llama(70_000, layers=1, width=8, heads=2).save_pretrained(folder)
    data = tmp_path / "d.jsonl"
    data.write_text('{"text": "the cat sat"}\n')
    cache, examples, model, _ = filled(tmp_path / "cache", folder, data, cache={"k": 30})
    ids, _ = cache.word_on(examples[0].content)
    with torch.no_grad():
        logits = model(torch.tensor(examples[0].ids.astype(np.int64))[None]).logits[0, :-1]
    assert int(ids.max()) > 0x10000
    assert set(ids[0]) == set(logits[0].topk(30).indices.tolist())


def test_sampled_probabilities_are_shares_of_draws_and_repeatable(teacher, texts, tmp_path):
    first, examples, *_ = filled(tmp_path / "a", teacher, texts, cache={"kind": "sampled", "k": 50})
    second, *_ = filled(tmp_path / "b", teacher, texts, cache={"kind": "sampled", "k": 50})
    for example in examples:
        ids, values = first.word_on(example.content)
        np.testing.assert_allclose(values.sum(-1), 1, atol=1e-6)
        np.testing.assert_allclose(values * 50, np.round(values * 50), atol=1e-4)
        assert np.array_equal(ids, second.word_on(example.content)[0])


def test_the_record_says_which_cache_was_used(teacher, texts, tmp_path):
    record = distill(recipe(), teacher, StudentStart(keep_layers=[0]), [texts], tmp_path / "out", cache_root=tmp_path / "c")
    assert record.cache["teacher"] == model_identity(teacher).weights
    assert 0 < record.cache["mass_kept"] <= 1


def test_divergences_a_cache_cannot_serve_are_refused_when_declared():
    with pytest.raises(ValueError, match="which cannot serve reverse_kl"):
        recipe(terms=[{"kind": "soft_targets", "loss": "reverse_kl"}])
    with pytest.raises(ValueError, match="a temperature other than 1"):
        recipe(temperature=2.0, cache={"kind": "sampled", "k": 50})
