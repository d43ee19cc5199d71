"""Families that keep no key-value cache: an encoder-decoder and a state space answer as their own greedy decoding does."""

from __future__ import annotations

import json
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
from kdgov.evaluation.backends.hugging_face.hf_model import load_asked_model
from kdgov.evaluation.backends.hugging_face.model_faults import named_fault
from kdgov.evaluation.backends.runner import RequestRunner, batches_of
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.plan.request import Request
from kdgov.evaluation.results.evaluation_run import evaluate
from kdgov.pipeline.context import open_release
from kdgov.pipeline.forecast.model_fit import model_fit_findings
from tests.evaluation.worlds import make_tokenizer

_TEXT = {
    "vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip
_EYE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "image_size": 28, "patch_size": 14}
FAMILIES: dict[str, tuple[Any, Any]] = {
    "mamba": (
        transformers.MambaForCausalLM,
        transformers.MambaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, state_size=8, bos_token_id=0, eos_token_id=1,
                                 pad_token_id=2),
    ),
    "t5": (
        transformers.T5ForConditionalGeneration,
        transformers.T5Config(vocab_size=320, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=2,
                              eos_token_id=1, pad_token_id=2),
    ),
    # Decoders with an eye beside them, asked in text alone; LLaVA is none of transformers' own language models.
    "gemma3": (
        transformers.Gemma3ForConditionalGeneration,
        transformers.Gemma3Config(text_config=_TEXT, vision_config=_EYE, mm_tokens_per_image=4),
    ),
    "llava": (
        transformers.LlavaForConditionalGeneration,
        transformers.LlavaConfig(text_config=transformers.LlamaConfig(**_TEXT), vision_config=transformers.CLIPVisionConfig(**_EYE),
                                 image_token_index=5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_both_kinds_of_question_are_answered_and_texts_have_their_length(tiny_suite: Path, tmp_path: Path, family: str) -> None:
    made, config = FAMILIES[family]
    folder = tmp_path / family
    folder.mkdir()
    make_tokenizer(folder)
    torch.manual_seed(0)
    model = made(config).eval()
    # Weights of this size say more than one token.
    for parameter in model.parameters():
        parameter.data.mul_(3)
    model.save_pretrained(folder)
    plan = build_plan(read_suites([str(tiny_suite)]), limit=4)
    found = evaluate(plan, folder, tmp_path / "out", cache=tmp_path / "c")
    assert all(task["truncated"] == task["not_finite"] == 0 for task in found.document["tasks"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    task = next(task for task in plan.tasks if task.task == "write")
    said = {r["item_id"]: r["prediction"] for r in found.table.to_rows() if r["task"] == "write"}
    for item in task.items:
        ids = tokenizer(item.requests[0].context, return_tensors="pt", return_token_type_ids=False)["input_ids"]
        with torch.no_grad():
            out = model.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=1, pad_token_id=2)[0]
        wrote = out[1:] if family == "t5" else out[ids.shape[1] :]
        text = tokenizer.decode(wrote, skip_special_tokens=True)
        assert said[item.item_id] == text.split("\n")[0].split(".")[0]
        assert len(wrote) <= 12


def _bert(folder: Path, **keys: Any) -> Path:
    folder.mkdir()
    make_tokenizer(folder)
    config = transformers.BertConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, initializer_range=0.2, **keys
    )
    transformers.BertLMHeadModel(config).save_pretrained(folder)
    return folder


def test_a_model_that_looks_ahead_is_refused_by_name_where_it_is_loaded_and_at_the_check(tiny_suite: Path, tmp_path: Path) -> None:
    ahead = _bert(tmp_path / "ahead")
    with pytest.raises(InputError, match="BertLMHeadModel looks ahead"):
        load_asked_model(ahead)
    assert load_asked_model(_bert(tmp_path / "causal", is_decoder=True)).is_causal
    odd = tmp_path / "odd"
    odd.mkdir()
    named = {"architectures": ["LLaDAModelLM"], "model_type": "llada", "auto_map": {"AutoModelForCausalLM": "modeling.LLaDAModelLM"}}
    (odd / "config.json").write_text(json.dumps(named))
    release = tmp_path / "release.yaml"
    document = {"schema": "kdgov.release/1", "name": "r", "teacher": {"model": str(ahead)}, "student": {"model": str(odd)}}
    release.write_text(yaml.safe_dump({**document, "suites": [str(tiny_suite.parent)]}))
    materials: Any = SimpleNamespace(suites=[SuiteFile(path=tiny_suite, suite=load_suite(tiny_suite), name="tiny")])
    found = model_fit_findings(open_release(release, store=tmp_path / "s"), materials, Stances())
    assert {(f.rule, f.verdict) for f in found} == {("evidence.model-cannot-answer", "block")}
    assert [f.subject.split()[0] for f in found] == ["teacher", "student"]
    assert "looks ahead" in found[0].reason
    assert "transformers does not have (LLaDAModelLM)" in found[1].reason


@pytest.mark.parametrize(("kind", "name"), [("prophetnet", "ProphetNetForConditionalGeneration"), ("fsmt", "FSMTForConditionalGeneration")])
def test_a_family_whose_own_code_fails_is_named_at_the_check_also_where_only_a_log_is_asked(tmp_path: Path, kind: str, name: str) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": [name], "model_type": kind}))
    (tmp_path / "log.jsonl").write_text('{"input": "q"}\n')
    release = tmp_path / "release.yaml"
    both = {"teacher": {"model": str(folder)}, "student": {"model": str(folder)}, "production_inputs": {"path": "log.jsonl"}}
    release.write_text(yaml.safe_dump({"schema": "kdgov.release/1", "name": "r", "suites": [], **both}))
    materials: Any = SimpleNamespace(suites=[])
    found = model_fit_findings(open_release(release, store=tmp_path / "s"), materials, Stances())
    assert [f.verdict for f in found] == ["block", "block"]
    assert f"own code fails on {'written answers' if kind == 'prophetnet' else 'likelihoods'} ({name})" in found[0].reason
    assert "production-replay/answers" in found[0].reason


_HALVES: dict[str, tuple[Any, Any, bool]] = {
    "decoder half of bart": (transformers.BartForCausalLM, transformers.BartConfig, True),
    "marian, whose class is called a model": (transformers.MarianMTModel, transformers.MarianConfig, False),
}


@pytest.mark.parametrize("family", _HALVES)
def test_a_model_is_asked_as_its_class_says_and_not_as_its_family(tiny_suite: Path, tmp_path: Path, family: str) -> None:
    made, config, is_causal = _HALVES[family]
    sides = {f"{side}_{key}": value for side in ("encoder", "decoder")
             for key, value in {"layers": 1, "attention_heads": 4, "ffn_dim": 32}.items()}  # fmt: skip
    told = config(vocab_size=320, d_model=16, max_position_embeddings=256, pad_token_id=2, bos_token_id=0, eos_token_id=1,
                  forced_eos_token_id=None, decoder_start_token_id=2, **sides)  # fmt: skip
    folder = tmp_path / "m"
    folder.mkdir()
    make_tokenizer(folder)
    made(told).save_pretrained(folder)
    assert load_asked_model(folder).is_causal is is_causal
    found = evaluate(build_plan(read_suites([str(tiny_suite)]), limit=3), folder, tmp_path / "out", cache=tmp_path / "c")
    assert all(task["not_finite"] == 0 for task in found.document["tasks"])


def test_what_a_pair_that_is_shown_its_answer_cannot_say_is_named_at_the_check(tiny_suite: Path, tmp_path: Path) -> None:
    for name, kind in (("mbart", "MBartForConditionalGeneration"), ("bart", "BartForConditionalGeneration")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"architectures": [kind], "model_type": name}))
    release = tmp_path / "release.yaml"
    models = {"teacher": {"model": str(tmp_path / "mbart")}, "student": {"model": str(tmp_path / "bart")}}
    release.write_text(yaml.safe_dump({"schema": "kdgov.release/1", "name": "r", **models, "suites": [str(tiny_suite.parent)]}))
    materials: Any = SimpleNamespace(suites=[SuiteFile(path=tiny_suite, suite=load_suite(tiny_suite), name="tiny")])
    (found,) = model_fit_findings(open_release(release, store=tmp_path / "s"), materials, Stances())
    assert found.subject.startswith("teacher")
    assert "shown the end of an answer" in found.reason
    assert "tiny/choice" in found.reason
    assert "tiny/write" not in found.reason


def test_an_error_of_the_models_own_code_names_model_and_task() -> None:
    model, path = torch.nn.Linear(2, 2), Path("m")
    with pytest.raises(InputError, match="Linear cannot answer write: RuntimeError: mat1 and mat2"), named_fault(model, path, "write"):
        model(torch.zeros(1, 3))
    with pytest.raises(RuntimeError, match="out of memory"), named_fault(model, path, "write"):
        raise RuntimeError("CUDA out of memory")


def test_an_encoder_decoder_that_is_shown_its_answer_has_no_likelihoods_and_one_by_another_name_has(tmp_path: Path) -> None:
    """MBART begins to write with the last label; Marian's class bears no ending that says what it does."""
    small = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    common = {**small, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "vocab_size": 320, "max_position_embeddings": 64, "init_std": 0.2}
    made: dict[str, tuple[Any, Any]] = {
        "mbart": (transformers.MBartForConditionalGeneration, transformers.MBartConfig(**common, pad_token_id=2)),
        "marian": (transformers.MarianMTModel, transformers.MarianConfig(**common, pad_token_id=2, decoder_start_token_id=2)),
    }
    requests = [
        Request(kind="loglikelihood", context="Ada", continuation=" red"),
        Request(kind="generate", context="Ada", generation={"max_gen_toks": 4}),
    ]
    for name, (model, config) in made.items():
        folder = tmp_path / name
        folder.mkdir()
        make_tokenizer(folder)
        model(config).save_pretrained(folder)
        asker = RequestRunner.of(load_asked_model(folder), batch_tokens=512)
        ((_, write),) = batches_of(requests[1:], asker)
        asker.asked.model.generation_config.forced_bos_token_id = 40
        with asker.asked.boundary():
            (written,) = write()
        assert written.answer.startswith(asker.asked.tokenizer.decode([40]))
        sampled = Request(kind="generate", context="Ada " * 6, generation={"max_gen_toks": 4, "do_sample": True, "temperature": 2.0})
        ((_, sample),) = batches_of([sampled], asker)
        torch.manual_seed(0)
        with asker.asked.boundary():
            (drawn,) = sample()
        assert 0 < len(asker.asked.tokenizer(drawn.answer, add_special_tokens=False)["input_ids"]) <= 8
        if name == "marian":
            assert batches_of(requests, asker)
            continue
        with pytest.raises(InputError, match="MBartForConditionalGeneration is shown the end of an answer"):
            batches_of(requests, asker)
