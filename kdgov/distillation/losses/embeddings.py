"""Matching embeddings of texts, and the margins by which a reranker prefers one passage to another."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from kdgov.errors import InputError

_MODES = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """How a text's hidden states become one embedding."""

    mode: Literal["mean", "cls", "max"] = "mean"
    """Mean or maximum over tokens, or the first token's."""
    is_normalised: bool = False
    """Whether embeddings have length one."""


def pooling_of(folder: Path) -> Pooling:
    """What a folder in the layout of sentence-transformers declares; without that, the mean over tokens.

    Raises:
        InputError: if it declares a way that is not known here.
    """
    modules = folder / "modules.json"
    if not modules.is_file():
        return Pooling()
    listed = json.loads(modules.read_text(encoding="utf-8"))
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in listed]
    where = next((str(module.get("path", "")) for module, kind in zip(listed, kinds, strict=True) if kind == "Pooling"), None)
    if unknown := sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"}):
        raise InputError(
            f"has a module {unknown[0]}", where=str(modules), mend="Distil a model of Transformer, Pooling and Normalize alone."
        )
    if where is None:
        return Pooling(is_normalised="Normalize" in kinds)
    stated: dict[str, Any] = json.loads((folder / where / "config.json").read_text(encoding="utf-8"))
    on = [key for key, value in stated.items() if key.startswith("pooling_mode") and value is True]
    named = str(stated.get("pooling_mode"))
    modes = [_MODES[key] for key in on if key in _MODES] or [mode for mode in _MODES.values() if mode == named]
    if len(modes) != 1 or len(on) > 1:
        raise InputError(f"pools by {on or named}", where=str(folder / where), mend="Use mean, cls or max pooling.")
    return Pooling(mode=modes[0], is_normalised="Normalize" in kinds)  # type: ignore[arg-type]


def pooled(hidden: Tensor, attended: Tensor, pooling: Pooling) -> Tensor:
    """(batch, width) embeddings.

    Args:
        hidden: (batch, time, width).
        attended: (batch, time), 1 where a token is real.
        pooling: how.
    """
    hidden = hidden.float()
    real = attended[:, :, None].to(hidden.dtype)
    if pooling.mode == "cls":
        made = hidden[:, 0]
    elif pooling.mode == "max":
        made = hidden.masked_fill(real == 0, -torch.inf).amax(1)
    else:
        made = (hidden * real).sum(1) / real.sum(1).clamp(min=1e-9)
    return torch.nn.functional.normalize(made, dim=-1) if pooling.is_normalised else made


def embedding_distance(student: Tensor, teacher: Tensor, *, distance: str) -> Tensor:
    """(batch,) one minus cosine similarity, or the mean squared error, of embeddings (batch, width); none flows into the teacher's."""
    teacher = teacher.detach()
    if distance == "mse":
        return (student - teacher).square().mean(-1)
    return 1 - torch.cosine_similarity(student, teacher, dim=-1)


def margin_error(student: Tensor, teacher: Tensor) -> Tensor:
    """(pairs,) squared difference of margins; scores (2 x pairs, 1), the preferred passages first.

    Source: Hofstätter et al. 2020, arXiv:2010.02666.
    """
    mine, theirs = ((scores[: len(scores) // 2] - scores[len(scores) // 2 :]).squeeze(-1).float() for scores in (student, teacher.detach()))
    return (mine - theirs).square()
