"""Matching what happens inside: hidden states, attention maps and attention relations, one value per example."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kdgov.declarations.distillation import LayerMap
from kdgov.distillation.losses.divergence import divergence
from kdgov.errors import InputError

_NEVER = -1e4
"""Logit of a pair that may not attend; finite, so that nought times it is nought."""


def layer_pairs(layers: LayerMap, *, teacher: int, student: int, where: str) -> list[tuple[int, int]]:
    """Pairs (teacher layer, student layer), counted from 0.

    ``uniform`` pairs every student layer with the teacher layer at the same relative height, the last with the last.

    Raises:
        InputError: if a pair names a layer that is not there.
    """
    if layers == "last":
        return [(teacher - 1, student - 1)]
    if layers == "uniform":
        return [(round((layer + 1) * teacher / student) - 1, layer) for layer in range(student)]
    wrong = [pair for pair in layers if not (0 <= pair[0] < teacher and 0 <= pair[1] < student)]
    if wrong:
        raise InputError(
            f"names {list(wrong[0])}; the teacher has layers 0 to {teacher - 1}, the student 0 to {student - 1}",
            where=where,
            mend="Write pairs [teacher, student] of layers they have.",
        )
    return [(int(pair[0]), int(pair[1])) for pair in layers]


def mean_over(values: Tensor, attended: Tensor) -> Tensor:
    """Mean of (batch, time) values over each example's own positions: (batch,)."""
    return (values * attended).sum(-1) / attended.sum(-1)


def hidden_distance(student: Tensor, teacher: Tensor, attended: Tensor, *, distance: str) -> Tensor:
    """Distance between matched hidden states, averaged over each example's positions: (batch,).

    Args:
        student: (batch, time, width), projected to the teacher's width.
        teacher: same shape; no gradient flows into it.
        attended: (batch, time), 1 where a position is real.
        distance: ``mse`` (mean over features), or ``cosine`` (one minus similarity).
    """
    student, teacher = student.float(), teacher.float()
    if distance == "mse":
        return mean_over((student - teacher).square().mean(-1), attended)
    return mean_over(1 - torch.cosine_similarity(student, teacher, dim=-1), attended)


def attention_distance(student: Tensor, teacher: Tensor, attended: Tensor) -> Tensor:
    """KL(teacher || student) between attention maps averaged over heads, per query, averaged over queries: (batch,).

    Args:
        student: (batch, heads, time, time) probabilities.
        teacher: (batch, heads of its own, time, time).
        attended: (batch, time).
    """
    tiny = 1e-9
    rows = [maps.float().mean(1).clamp_min(tiny).log() for maps in (student, teacher)]
    return mean_over(_rowwise(rows[0], rows[1]), attended)


def relation_distance(student: Tensor, teacher: Tensor, attended: Tensor, *, heads: int, is_causal: bool) -> Tensor:
    """KL(teacher || student) between scaled dot-product relations of one kind of vectors, averaged: (batch,).

    Args:
        student: (batch, time, width) queries, keys or values of all heads side by side.
        teacher: (batch, time, width of its own).
        attended: (batch, time).
        heads: relation heads both are split into.
        is_causal: whether a position relates only to itself and earlier ones.

    Source: Wang et al. 2021, arXiv:2012.15828, section 3.
    """
    rows = [_relations(vectors, attended, heads, is_causal) for vectors in (student, teacher)]
    return mean_over(_rowwise(rows[0], rows[1]).mean(1), attended)


def _relations(vectors: Tensor, attended: Tensor, heads: int, is_causal: bool) -> Tensor:
    batch, time, width = vectors.shape
    if width % heads:
        raise InputError(
            f"does not divide the width {width} of a model's vectors",
            where="distillation.terms: relation_heads",
            mend=f"Choose a divisor of {width} that divides the other model's width too.",
        )
    split = vectors.reshape(batch, time, heads, width // heads).transpose(1, 2)
    logits = split @ split.transpose(-1, -2) / (width // heads) ** 0.5
    hidden = (attended == 0)[:, None, None, :].expand_as(logits)
    if is_causal:
        later = torch.ones(time, time, dtype=torch.bool, device=vectors.device).triu(1)
        hidden = hidden | later
    return logits.masked_fill(hidden, _NEVER)


def _rowwise(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    classes = student_logits.shape[-1]
    values = _Divergence.apply(student_logits.reshape(-1, classes), teacher_logits.reshape(-1, classes))
    result: Tensor = values.reshape(student_logits.shape[:-1])
    return result


class _Divergence(torch.autograd.Function):
    """The one divergence as a differentiable value per row."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        values, gradient = divergence(student_logits.detach().float(), teacher_logits.detach().float())
        ctx.save_for_backward(gradient.to(student_logits.dtype))
        return values

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, by_values: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (gradient,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient * by_values[:, None].to(gradient.dtype), None


def widths(states: Sequence[Tensor]) -> list[int]:
    """Width of each hidden state, feature maps (batch, channels, height, width) counted by channel."""
    return [state.shape[1] if state.dim() == 4 else state.shape[-1] for state in states]


def as_positions(state: Tensor) -> Tensor:
    """A hidden state as (batch, positions, width), feature maps unrolled."""
    return state.flatten(2).transpose(1, 2) if state.dim() == 4 else state
