"""Matching embeddings of texts, and the margins by which a reranker prefers one passage to another."""

from __future__ import annotations

import torch
from torch import Tensor


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
