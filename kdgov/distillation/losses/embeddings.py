"""Matching embeddings of texts, and the margins by which a reranker prefers one passage to another."""

from __future__ import annotations

import torch
from torch import Tensor

from kdgov.checkpoints.text_pooling import Pooling


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
