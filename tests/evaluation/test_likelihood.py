"""The shared-prefix scorer gives the model's own answers, or steps aside and says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from kdgov.evaluation.backends.hugging_face.generation import Prompt, prompt_batches, write_answers
from kdgov.evaluation.backends.hugging_face.hf_model import HuggingFaceModel, ids_digest, load_asked_model, wrap_model
from kdgov.evaluation.backends.hugging_face.likelihood import Scorable, allows_packing, packed, score_packs


@pytest.fixture(scope="module")
def asked(teacher: Path) -> HuggingFaceModel:
    return load_asked_model(teacher)


def _scores(
    asked: HuggingFaceModel, requests: list[Scorable], *, max_tokens: int = 4096, longest: int = 256
) -> dict[int, tuple[float, bool]]:
    with asked.boundary():
        found = [s for b in packed(requests, max_tokens=max_tokens, longest=longest) for s in score_packs(asked, b)]
    return {s.index: (s.log_likelihood, s.is_greedy) for s in found}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pairs=st.lists(
        st.tuples(st.lists(st.integers(3, 319), min_size=1, max_size=30), st.lists(st.integers(3, 319), min_size=1, max_size=6)),
        min_size=1,
        max_size=12,
    ),
    budget=st.sampled_from([40, 200, 4096]),
)
def test_log_likelihoods_equal_a_plain_forward_pass_whatever_is_packed_together(
    asked: HuggingFaceModel, pairs: list[tuple[list[int], list[int]]], budget: int
) -> None:
    requests = [Scorable(index=i, context=tuple(c), continuation=tuple(t)) for i, (c, t) in enumerate(pairs)]
    found = _scores(asked, requests, max_tokens=budget, longest=64)
    for request in requests:
        ids = torch.tensor([[*request.context, *request.continuation]])
        with torch.no_grad():
            log_probs = torch.log_softmax(asked.model(ids).logits[0].float(), dim=-1)
        at = range(len(request.context) - 1, ids.shape[1] - 1)
        plain = sum(float(log_probs[p, t]) for p, t in zip(at, request.continuation, strict=True))
        greedy = all(int(log_probs[p].argmax()) == t for p, t in zip(at, request.continuation, strict=True))
        assert found[request.index][0] == pytest.approx(plain, abs=1e-4)
        assert found[request.index][1] == greedy


def test_every_choice_equals_what_lm_eval_computes_for_it(asked: HuggingFaceModel) -> None:
    contexts = ["Ada likes the colour", "", "Question: what? Answer: ", "Bela (7) likes the colour red. Question: what? Answer:"]
    continuations = [" red", " green and blue", "grey", " Cleo likes the colour"]
    pairs = [(c, t) for c in contexts for t in continuations]
    lm = HFLM(pretrained=asked.model, tokenizer=asked.tokenizer, batch_size=4)
    theirs = lm.loglikelihood([Instance("loglikelihood", {}, p, 0) for p in pairs], disable_tqdm=True)
    requests = [Scorable(index=i, context=tuple(c), continuation=tuple(t)) for i, (c, t) in enumerate(asked.pair(*p) for p in pairs)]
    ours = _scores(asked, requests)
    for index, (value, is_greedy) in enumerate(theirs):
        assert ours[index][0] == pytest.approx(value, abs=1e-4)
        assert ours[index][1] == is_greedy


def test_the_boundary_records_the_ids_that_entered_and_not_those_that_were_meant(asked: HuggingFaceModel) -> None:
    request = Scorable(index=0, context=(5, 6, 7), continuation=(8, 9))
    with asked.boundary():
        honest = score_packs(asked, packed([request], max_tokens=100, longest=100)[0])[0]
    assert honest.delivered == ids_digest([5, 6, 7, 8, 9])

    def meddle(module: object, arguments: tuple, options: dict) -> tuple[tuple, dict]:
        return arguments, {**options, "input_ids": options["input_ids"] + 1}

    # A wrapper that changes prompts on their way to the model: the harness itself never sees it do so.
    handle = asked.model.model.register_forward_pre_hook(meddle, with_kwargs=True)
    try:
        with asked.boundary():
            meddled = score_packs(asked, packed([request], max_tokens=100, longest=100)[0])[0]
    finally:
        handle.remove()
    assert meddled.delivered != honest.delivered


def test_one_pass_over_a_context_serves_all_its_continuations(asked: HuggingFaceModel) -> None:
    context = tuple(range(10, 60))
    requests = [Scorable(index=i, context=context, continuation=(100 + i, 7)) for i in range(4)]
    batches = packed(requests, max_tokens=4096, longest=256)
    assert len(batches) == 1
    assert len(batches[0]) == 1
    assert batches[0][0].length == 50 + 4


def test_packing_is_allowed_for_llama_and_refused_where_attention_has_a_window(asked: HuggingFaceModel) -> None:
    assert allows_packing(asked) == (True, "")
    config = transformers.MistralConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=256, sliding_window=16,
    )  # fmt: skip
    windowed = wrap_model(transformers.MistralForCausalLM(config).eval(), asked.tokenizer, path=Path("m"), device=torch.device("cpu"))
    may, why = allows_packing(windowed)
    assert not may
    assert "16 tokens" in why


@pytest.mark.parametrize(
    ("family", "extra"),
    [
        ("GPT2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}),
        ("GPTNeoX", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}),
        ("Qwen2", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}),
        ("Bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
        ("Gemma2", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64,
                    "head_dim": 8, "final_logit_softcapping": 0.5}),
    ],
)  # fmt: skip
def test_an_architecture_is_either_scored_exactly_or_handed_to_lm_eval(asked: HuggingFaceModel, family: str, extra: dict) -> None:
    """The decision is tried on the model itself; ALiBi positions and soft-capped logits must not slip through."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(vocab_size=320, bos_token_id=0, eos_token_id=1, **extra)
    model = getattr(transformers, f"{family}ForCausalLM" if family != "GPT2" else "GPT2LMHeadModel")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    made = wrap_model(model, asked.tokenizer, path=Path(family), device=torch.device("cpu"))
    may, why = allows_packing(made)
    if not may:
        assert why
        return
    request = Scorable(index=0, context=(5, 6, 7, 8), continuation=(9, 10, 11))
    other = Scorable(index=1, context=(5, 6, 7, 8), continuation=(30, 31))
    ids = torch.tensor([[5, 6, 7, 8, 9, 10, 11]])
    with torch.no_grad():
        log_probs = torch.log_softmax(model(ids).logits[0].float(), dim=-1)
    plain = sum(float(log_probs[3 + k, t]) for k, t in enumerate((9, 10, 11)))
    assert _scores(made, [request, other])[0][0] == pytest.approx(plain, abs=3e-4)


def test_greedy_answers_equal_lm_evals_and_batches_change_none(asked: HuggingFaceModel) -> None:
    texts = ["Ada likes", "Question: what? Answer:", "Bela (7) likes the colour red. Question:", "x"]
    settings_ = {"until": ["\n", "."], "max_gen_toks": 16, "do_sample": False}
    lm = HFLM(pretrained=asked.model, tokenizer=asked.tokenizer, batch_size=4)
    theirs = lm.generate_until([Instance("generate_until", {}, (t, dict(settings_)), 0) for t in texts], disable_tqdm=True)
    prompts = [Prompt(index=i, ids=tuple(asked.encode(t)), settings=settings_) for i, t in enumerate(texts)]
    together = {w.index: w.text for b in prompt_batches(prompts, max_tokens=4096) for w in write_answers(asked, b)}
    alone = {w.index: w.text for p in prompts for w in write_answers(asked, [p])}
    assert [together[i] for i in range(4)] == theirs
    assert together == alone


def test_a_checkpoints_own_generation_settings_do_not_reach_the_answers(asked: HuggingFaceModel) -> None:
    prompt = Prompt(index=0, ids=tuple(asked.encode("Ada likes the colour")), settings={"until": [], "max_gen_toks": 12})
    before = write_answers(asked, [prompt])[0].text
    kept = asked.model.generation_config
    asked.model.generation_config = transformers.GenerationConfig(repetition_penalty=5.0, do_sample=True, temperature=3.0, eos_token_id=1)
    try:
        assert write_answers(asked, [prompt])[0].text == before
    finally:
        asked.model.generation_config = kept
