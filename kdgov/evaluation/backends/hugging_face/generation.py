"""Greedy answers in batches: left-padded, with the key-value cache, each row ending at its own stop.

The settings come from the plan alone. A checkpoint's ``generation_config.json`` (repetition penalties, sampling) would make two
models answer under different rules without a word, so it is not read, except for the ids that end an answer.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers

from kdgov.errors import InputError
from kdgov.evaluation.backends.hugging_face.hf_model import HuggingFaceModel, ids_digest

_MARK_TOKENS = 64
"""Last tokens of a prompt among which the mark is that a chat template opens thoughts with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One context to be continued."""

    index: int
    """Position among the task's requests."""
    ids: tuple[int, ...]
    """Its tokens."""
    settings: Mapping[str, Any]
    """``until``, ``max_gen_toks``, ``do_sample``, ``temperature``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One answer."""

    index: int
    """To which prompt."""
    text: str | None
    """The answer up to its first stop; None where the model's numbers were not finite."""
    delivered: str
    """Digest of the prompt's ids as the model received them."""


def is_greedy(settings: Mapping[str, Any]) -> bool:
    """Whether settings ask for the likeliest token each time and nothing else."""
    known = {"until", "max_gen_toks", "max_new_tokens", "max_tokens", "do_sample", "temperature"}
    return not settings.get("do_sample", False) and not float(settings.get("temperature") or 0.0) and set(settings) <= known


def answer_length(settings: Mapping[str, Any]) -> int:
    """Most tokens of an answer; lm-eval's default is 256."""
    return int(next((settings[k] for k in ("max_gen_toks", "max_new_tokens", "max_tokens") if settings.get(k)), 256))


def prompt_batches(prompts: Sequence[Prompt], *, max_tokens: int) -> list[list[Prompt]]:
    """Batches of prompts with equal settings, longest first; they depend on the prompts alone."""
    ordered = sorted(prompts, key=lambda p: (repr(sorted(p.settings.items(), key=str)), -len(p.ids), p.index))
    batches: list[list[Prompt]] = []
    for prompt in ordered:
        last = batches[-1] if batches else None
        width = len(last[0].ids) + answer_length(last[0].settings) if last else 0
        if last and dict(last[0].settings) == dict(prompt.settings) and (len(last) + 1) * width <= max_tokens:
            last.append(prompt)
        else:
            batches.append([prompt])
    return batches


@torch.inference_mode()  # type: ignore[untyped-decorator]
def write_answers(asked: HuggingFaceModel, batch: Sequence[Prompt]) -> list[Written]:
    """Greedy answers to one batch.

    Raises:
        InputError: if an answer of the declared length does not fit the model.
    """
    settings = batch[0].settings
    most = answer_length(settings) + asked.thought_tokens
    if most >= asked.max_length:
        thinks = f", {asked.thought_tokens} of them for thoughts," if asked.thought_tokens else ""
        raise InputError(
            f"asks for answers of {most} tokens{thinks} and the model takes {asked.max_length} in all",
            where=str(asked.path),
            mend="Lower `evaluation.reasoning.budget_tokens`." if thinks else "Lower max_gen_toks in the task file.",
        )
    stops = [str(s) for s in _as_list(settings.get("until")) if s]
    if asked.stop_text and asked.stop_text not in stops:
        stops.append(asked.stop_text)
    asked.taken()
    written, seen = _decode(asked, batch, most, stops)
    return [
        Written(index=p.index, text=_text(asked, p, ids, stops), delivered=ids_digest(s))
        for p, ids, s in zip(batch, written, seen, strict=True)
    ]


def decodes_here(asked: HuggingFaceModel) -> bool:
    """Whether `write_answers` can decode the model: it reads on from a key-value cache. Encoder-decoders and state spaces do not.

    Nor do models that are state spaces in part (RecurrentGemma, Jamba, Falcon-H1): their states read a batch's padding.
    """
    is_stateful = bool(getattr(asked.model, "_is_stateful", False))
    return asked.is_causal and not is_stateful and "past_key_values" in inspect.signature(asked.model.forward).parameters


@torch.inference_mode()  # type: ignore[untyped-decorator]
def write_one(asked: HuggingFaceModel, prompt: Prompt) -> Written:
    """The greedy answer to one prompt, alone, through the model's own ``generate``: for families that keep no key-value cache.

    A state space has read the padding of a batch before it reads the prompt, so nothing is padded. What ``generation_config.json`` says
    does not count here either, apart from the tokens that start and end an answer.

    Raises:
        InputError: if the model cannot write at all.
    """
    if not asked.model.can_generate():
        raise InputError(
            f"{type(asked.model).__name__} writes no text", where=str(asked.path), mend="Name suites whose tasks it can answer."
        )
    own = asked.model.generation_config
    settings = transformers.GenerationConfig(
        max_new_tokens=answer_length(prompt.settings) + asked.thought_tokens,
        do_sample=False,
        num_beams=1,
        eos_token_id=list(asked.stop_ids) or None,
        pad_token_id=asked.tokenizer.pad_token_id if asked.tokenizer.pad_token_id is not None else asked.prefix_id,
        decoder_start_token_id=own.decoder_start_token_id,
        bos_token_id=own.bos_token_id,
        # Of M2M100 and NLLB the language that is written.
        forced_bos_token_id=own.forced_bos_token_id,
    )
    ids = torch.tensor([list(prompt.ids)], device=asked.device)
    asked.taken()
    out = asked.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings)[0].tolist()
    asked.taken()
    # A decoder gives its prompt back before the answer; a pair gives its start token.
    wrote = out[len(prompt.ids) :] if asked.is_causal else out[1:]
    stops = [str(s) for s in _as_list(prompt.settings.get("until")) if s]
    return Written(index=prompt.index, text=_text(asked, prompt, wrote, stops), delivered=ids_digest(prompt.ids))


def _text(asked: HuggingFaceModel, prompt: Prompt, ids: Sequence[int] | None, stops: Sequence[str]) -> str | None:
    """The answer up to its first stop; of a model that thinks, all it wrote: thoughts are cut off where answers are scored."""
    if ids is None:
        return None
    if asked.reasoning is None:
        return _until(asked.tokenizer.decode(ids, skip_special_tokens=True), stops)
    # The marks of thoughts may be special tokens; of those, only what ends a text is taken away.
    ends = {asked.tokenizer.pad_token_id, *asked.stop_ids}
    opened = asked.opened_by(asked.tokenizer.decode(prompt.ids[-_MARK_TOKENS:], skip_special_tokens=False))
    return opened + str(asked.tokenizer.decode([i for i in ids if i not in ends], skip_special_tokens=False))


def room_for_thoughts(asked: HuggingFaceModel, generation: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a request with room for thoughts, and no stop inside them: stops are applied where the answer is cut out."""
    if asked.reasoning is None:
        return dict(generation)
    return {**generation, "until": [], "max_gen_toks": answer_length(generation) + asked.thought_tokens}


def _decode(
    asked: HuggingFaceModel, batch: Sequence[Prompt], most: int, stops: Sequence[str]
) -> tuple[list[list[int] | None], list[list[int]]]:
    width = max(len(p.ids) for p in batch)
    ids = torch.full((len(batch), width), asked.tokenizer.pad_token_id or 0, dtype=torch.long)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    for row, prompt in enumerate(batch):
        ids[row, width - len(prompt.ids) :] = torch.tensor(prompt.ids)
        mask[row, width - len(prompt.ids) :] = 1
    ids, mask = ids.to(asked.device), mask.to(asked.device)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    written: list[list[int]] = [[] for _ in batch]
    is_done = [False] * len(batch)
    cache, fed, seen = None, ids, []
    has_failed = torch.zeros(len(batch), dtype=torch.bool)
    for step in range(most):
        # Only the last position is needed: the prompt's other logits would cost the whole vocabulary each.
        output = asked.model(
            input_ids=fed, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        if step == 0:
            received = asked.taken()
            rows = received[0].tolist() if received else ids.cpu().tolist()
            seen = [row[width - len(p.ids) :] for row, p in zip(rows, batch, strict=True)]
        cache = output.past_key_values
        last = output.logits[:, -1]
        # Some vocabularies are padded with -inf; NaN and +inf mean that the computation failed.
        has_failed |= (torch.isnan(last) | (last == float("inf"))).any(dim=-1).cpu()
        chosen = last.argmax(dim=-1)
        for row, token in enumerate(chosen.tolist()):
            if not is_done[row]:
                written[row].append(token)
                is_done[row] = token in asked.stop_ids or _has_stop(asked, written[row], stops)
        if all(is_done):
            break
        fed, positions = chosen[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones((len(batch), 1))], dim=1)
    asked.taken()
    return [None if failed else ids for ids, failed in zip(written, has_failed.tolist(), strict=True)], seen


def _has_stop(asked: HuggingFaceModel, ids: Sequence[int], stops: Sequence[str]) -> bool:
    # The stop may straddle tokens: look at as many of the last ones as it can have characters.
    if not stops or asked.reasoning is not None:
        # A stop inside thoughts ends no answer; where there may be any, stops are applied when the answer is cut out.
        return False
    tail = asked.tokenizer.decode(ids[-(max(len(s) for s in stops) + 2) :])
    return any(s in tail for s in stops)


def _until(text: str, stops: Sequence[str]) -> str:
    for stop in stops:
        text = text.split(stop)[0]
    return text


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
