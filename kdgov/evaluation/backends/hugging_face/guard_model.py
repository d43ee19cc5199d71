"""A generative guard model on this machine: greedy words of a checkpoint about a prompt and an answer, one at a time."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kdgov.checkpoints.bounded_templates import chat_text
from kdgov.checkpoints.loading import load_model, load_tokenizer
from kdgov.errors import InputError
from kdgov.evaluation.scoring.guards.guard_families import template_in
from kdgov.evaluation.scoring.guards.guard_forms import GuardForm, GuardText


@functools.lru_cache(maxsize=1)
def _loaded(path: Path) -> tuple[Any, Any]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = load_tokenizer(path)
    if not tokenizer.chat_template:
        # Guards that read images too (Llama Guard 3 vision, 4) may keep it beside their processor, which no text needs.
        tokenizer.chat_template = template_in(path) or None
    return load_model(path, "causal_lm").to(device), tokenizer


@torch.inference_mode()  # type: ignore[untyped-decorator]
def guard_says(path: Path, asked: Sequence[tuple[str, str]], form: GuardForm, words: GuardText) -> list[str]:
    """What a guard model says of each prompt and answer.

    Args:
        path: checkpoint folder.
        asked: prompts and answers.
        form: the family it is of.
        words: what it is asked with.

    Raises:
        InputError: if the checkpoint has no chat template where the family needs one, or one that does not show prompt and answer; or
            if it cannot be loaded.
    """
    model, tokenizer = _loaded(path)
    said, marks = [], _marks(tokenizer)
    for question, answer in ((_as_text(q, marks), _as_text(a, marks)) for q, a in asked):
        text = words.filled(question, answer)
        if text is None:
            text = _by_template(tokenizer, question, answer, words.guideline, path, form.options)
        # A text that begins with the mark of a beginning has it already, as templates and WildGuard's form do.
        begun = text.startswith(tokenizer.bos_token) if tokenizer.bos_token else False
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=not begun)["input_ids"].to(model.device)
        longest = int(getattr(model.config, "max_position_embeddings", 1 << 20) or 1 << 20)
        if ids.shape[1] + form.max_new_tokens > longest:
            # Cut in the middle of an exchange, a guard judges another exchange: no label is better.
            said.append("")
            continue
        made = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=form.max_new_tokens,
                              pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id or 0)  # fmt: skip
        said.append(str(tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)))
    return said


def _marks(tokenizer: Any) -> list[str]:
    """What stands for a token of its own, such as the end of a turn, the longest first."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    return sorted({*tokenizer.all_special_tokens, *(str(one) for one in added if one.special)}, key=len, reverse=True)


def _as_text(text: str, marks: Sequence[str]) -> str:
    """A text in which such marks are letters: an answer that writes the end of its turn and a verdict behind it is no verdict."""
    for mark in marks:
        if len(mark) > 1 and mark in text:
            text = text.replace(mark, f"{mark[0]} {mark[1:]}")
    return text


def _by_template(
    tokenizer: Any, question: str, answer: str, guideline: str | None, path: Path, further: Mapping[str, Any] | None = None
) -> str:
    """User and assistant turn as the checkpoint's chat template writes them; some templates read text, others lists of parts."""
    if not tokenizer.chat_template:
        raise InputError("a guard model has no chat template", where=str(path), mend="Give its published format as the judge's `prompt`.")
    options = {**(further or {}), **({} if guideline is None else {"guideline": guideline})}
    wanted = [part.strip() for part in (question, answer, guideline or "")]
    for shown in (str, lambda text: [{"type": "text", "text": text}]):
        turns = [{"role": role, "content": shown(text)} for role, text in (("user", question), ("assistant", answer))]
        try:
            text = chat_text(tokenizer, turns, where=str(path), add_generation_prompt=True, **options)
        except InputError:
            if shown is str:
                continue
            raise
        if all(part in text for part in wanted):
            return text
    raise InputError(
        "the chat template of a guard model does not show the prompt and the answer that it judges",
        where=str(path),
        mend="Check that the folder is this family's checkpoint, or give its published format as the judge's `prompt`.",
    )
