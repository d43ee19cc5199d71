"""How long a text a model can read: where positions are learnt, a longer one has none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from kdgov.declarations.distillation import Distillation, OnPolicy
from kdgov.errors import InputError

_TABLES = ("wpe", "position_embeddings", "embed_positions", "position_embedding")
_BESIDE = ("vision", "visual", "audio_tower")
"""Parts of the names of an eye or an ear beside a decoder of text, whose positions are not of tokens."""


def most_positions(model: Any) -> int | None:
    """Tokens a model with learnt positions can read; None where positions are computed, and any number can be."""
    found = []
    for name, module in model.named_modules():
        is_text = not any(part in name for part in _BESIDE)
        if is_text and name.rpartition(".")[2] in _TABLES and isinstance(module, nn.Embedding):
            # RoBERTa counts from behind the padding id, OPT and BART from 2.
            offset = int(getattr(module, "offset", 0) or 0) or (0 if module.padding_idx is None else module.padding_idx + 1)
            found.append(module.num_embeddings - offset)
    return min(found, default=None)


def refuse_too_long(items: Sequence[Any], teacher: Any | None, student: Any, recipe: Distillation) -> None:
    """Refuse examples longer than a model has positions for.

    Raises:
        InputError: naming the longest item and how many there are.
    """
    grown = max((term.max_new_tokens for term in recipe.terms if isinstance(term, OnPolicy)), default=0)
    for who, model in (("teacher", teacher), ("student", student)):
        limit = None if model is None else most_positions(model)
        if limit is None:
            continue
        read = [getattr(item, "theirs", item) if who == "teacher" else item for item in items]
        long = [item for item in read if max(len(item.ids), len(getattr(item, "target", ()))) > limit - grown]
        if long:
            longest = max(long, key=lambda item: len(item.ids))
            behind = f" with {grown} sampled tokens behind it" if grown else ""
            raise InputError(
                f"item {longest.item_id} has {len(longest.ids):,} tokens{behind}, and {len(long):,} in all are too long: the {who} has "
                f"learnt positions for {limit:,} tokens",
                where="distillation.max_length",
                mend=f"Set `max_length: {limit - grown}` or less.",
            )
