"""From hidden states or logits to a loss: one reduction, with the output head fused in where that is allowed.

Every kept row (a token, or an example of a classifier) has a weight; a loss is the weighted sum over rows. Callers divide by
the weights of the whole batch, over all its parts and processes, which makes the result independent of how it was split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from kdgov.checkpoints.tokenizer_mapping import KnownIds
from kdgov.declarations.distillation import Divergence
from kdgov.distillation.losses.divergence import divergence
from kdgov.distillation.losses.known_rows import LogitBlock, known_logits
from kdgov.distillation.memory import give_back


@dataclass(frozen=True, slots=True, kw_only=True)
class LogitTerms:
    """What is asked of the logits: a divergence from the teacher, cross-entropy on labels, or both."""

    soft_weight: float = 0.0
    """Factor of the divergence, the squared temperature included; 0: no teacher is needed."""
    hard_weight: float = 0.0
    """Factor of the cross-entropy; 0: no labels are needed."""
    kind: Divergence = "forward_kl"
    """Which divergence."""
    temperature: float = 1.0
    """Softening of both distributions in the divergence."""
    beta: float = 0.5
    """The teacher's weight in ``jensen_shannon``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTargets:
    """A cached teacher's word on some rows: the tokens it kept, and their probabilities at the terms' temperature."""

    ids: Tensor
    """(rows, k) token ids; with ``has_tail`` no id occurs twice in a row, without it repeated ids add up."""
    probabilities: Tensor
    """(rows, k) float32; zero marks an unused place."""
    has_tail: bool
    """Whether the mass missing to one is a bucket for all other tokens; otherwise the rows sum to one."""


Targets: TypeAlias = Tensor | KeptTargets | None
"""Teacher logits (rows, classes), a cached teacher's word, or nothing where no divergence is asked for."""
TargetsOf: TypeAlias = Callable[[slice], Targets]
"""Makes the targets of a run of rows when they are needed, so that the teacher's logits exist for one chunk only.

What it gives need not outlive its next call."""
_BLOCK_BYTES = 2 * 2**20
"""Logits of the rows between which a divergence is taken at a time on a CPU: its eight passes over them then find them in the cache."""


def loss_of_logits(logits: Tensor, labels: Tensor, weights: Tensor, targets: Targets, terms: LogitTerms) -> tuple[Tensor, Tensor]:
    """Weighted sum over rows of the terms, and its parts.

    Args:
        logits: (rows, classes); computed in float32 at least.
        labels: (rows,) class ids.
        weights: (rows,) float32.
        targets: the teacher's word on these rows.
        terms: what is added up.

    Returns:
        Scalar loss with a gradient into ``logits``, and detached (2,): weighted sums of the divergence and of the
        cross-entropy, both without their factors.
    """
    loss, parts = _LogitLoss.apply(logits, labels, weights, targets, terms)
    return loss, parts


def loss_of_hidden(
    hidden: Tensor,
    head: nn.Linear,
    labels: Tensor,
    weights: Tensor,
    targets: TargetsOf,
    terms: LogitTerms,
    *,
    chunk_rows: int,
    known: KnownIds | None = None,
) -> tuple[Tensor, Tensor]:
    """As `loss_of_logits` for ``head(hidden)``, without ever holding the logits of more than ``chunk_rows`` rows.

    The gradient is made in the forward, while a chunk's logits are at hand; nothing is recomputed in the backward.

    Args:
        hidden: (rows, width).
        head: the output embedding.
        labels: (rows,).
        weights: (rows,).
        targets: makes the teacher's word on a run of rows.
        terms: what is added up.
        chunk_rows: rows at a time.
        known: rows of the head that stand for tokens, and over which the targets are; None: all. The others get no gradient.
    """
    loss, parts = _HiddenLoss.apply(hidden, head.weight, head.bias, labels, weights, targets, terms, chunk_rows, known)
    return loss, parts


def rows_loss(logits: Tensor, labels: Tensor, weights: Tensor, targets: Targets, terms: LogitTerms) -> tuple[Tensor, Tensor, Tensor]:
    """Scalar loss, its two parts and its gradient by the logits; ``logits`` (float32 or float64) may be overwritten."""
    with torch.autocast(logits.device.type, enabled=False):
        return _rows_loss(logits, labels, weights, targets, terms)


def _rows_loss(logits: Tensor, labels: Tensor, weights: Tensor, targets: Targets, terms: LogitTerms) -> tuple[Tensor, Tensor, Tensor]:
    parts = logits.new_zeros(2)
    if isinstance(targets, KeptTargets):
        return _kept_loss(logits, labels, weights, targets, terms)
    gradient: Tensor | None = None
    if terms.soft_weight:
        if targets is None:
            raise TypeError("a divergence needs the teacher's word on every row")
        values, gradient = divergence(logits, targets.to(logits.dtype), kind=terms.kind, temperature=terms.temperature, beta=terms.beta)
        parts[0] = torch.dot(values, weights)
        gradient.mul_((terms.soft_weight * weights)[:, None])
    if terms.hard_weight:
        parts[1], hard = _cross_entropy(logits, labels, weights, terms.hard_weight)
        gradient = hard if gradient is None else gradient.add_(hard)
    if gradient is None:
        raise TypeError("neither a divergence nor cross-entropy was asked for")
    return terms.soft_weight * parts[0] + terms.hard_weight * parts[1], parts, gradient


def _cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    log_q = torch.log_softmax(logits, dim=-1)
    value = -torch.dot(log_q.gather(-1, labels[:, None]).squeeze(-1), weights)
    scale = (factor * weights)[:, None]
    gradient = log_q.exp_().mul_(scale)
    gradient.scatter_add_(-1, labels[:, None], -scale)
    return value, gradient


def _kept_loss(logits: Tensor, labels: Tensor, weights: Tensor, targets: KeptTargets, terms: LogitTerms) -> tuple[Tensor, Tensor, Tensor]:
    # Forward KL only (the declaration sees to it). One softmax serves both terms when the temperature is 1.
    parts = logits.new_zeros(2)
    soft_scale, hard_scale = terms.soft_weight * weights, terms.hard_weight * weights
    is_shared = terms.temperature == 1.0
    log_q = torch.log_softmax(logits if is_shared else logits / terms.temperature, dim=-1)
    p = targets.probabilities
    log_q_kept = log_q.gather(-1, targets.ids)
    values = (torch.xlogy(p, p) - p * log_q_kept).sum(-1)
    soft_step = soft_scale / terms.temperature
    dense, at_kept = soft_step, -p * soft_step[:, None]
    if targets.has_tail:
        q_kept = log_q_kept.exp()
        p_tail = (1 - p.sum(-1)).clamp_min(0.0)
        q_tail = (1 - q_kept.sum(-1)).clamp_min(torch.finfo(p.dtype).eps)
        values += torch.xlogy(p_tail, p_tail) - p_tail * q_tail.log()
        # Outside the kept tokens the gradient is q (1 - p_tail / q_tail); at a kept token it is q - p, written there outright.
        dense, at_kept = soft_step * (1 - p_tail / q_tail), (q_kept - p) * soft_step[:, None]
    parts[0] = torch.dot(values, weights)
    if terms.hard_weight and is_shared:
        parts[1] = -torch.dot(log_q.gather(-1, labels[:, None]).squeeze(-1), weights)
        dense = dense + hard_scale
        at_kept = at_kept + log_q_kept.exp() * hard_scale[:, None] if targets.has_tail else at_kept
    gradient = log_q.exp_().mul_(dense[:, None])
    gradient = gradient.scatter_(-1, targets.ids, at_kept) if targets.has_tail else gradient.scatter_add_(-1, targets.ids, at_kept)
    if terms.hard_weight and is_shared:
        gradient.scatter_add_(-1, labels[:, None], -hard_scale[:, None])
    elif terms.hard_weight:
        parts[1], hard = _cross_entropy(logits, labels, weights, terms.hard_weight)
        gradient.add_(hard)
    return terms.soft_weight * parts[0] + terms.hard_weight * parts[1], parts, gradient


class _LogitLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, weights: Tensor, targets: Targets, terms: LogitTerms) -> tuple[Tensor, Tensor]:
        wide = logits.detach().to(_wide(logits.dtype))
        loss, parts, gradient = rows_loss(wide, labels, weights.to(wide.dtype), targets, terms)
        ctx.gradient = gradient.to(logits.dtype) if ctx.needs_input_grad[0] else None
        ctx.mark_non_differentiable(parts)
        return loss, parts

    @staticmethod
    def backward(ctx: Any, by_loss: Tensor, _by_parts: Tensor) -> tuple[Tensor | None, ...]:
        gradient, ctx.gradient = ctx.gradient, None
        return (None if gradient is None else gradient.mul_(by_loss), None, None, None, None)


class _HiddenLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        weights: Tensor,
        targets: TargetsOf,
        terms: LogitTerms,
        chunk_rows: int,
        known: KnownIds | None,
    ) -> tuple[Tensor, Tensor]:
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        kind = _compute_dtype(hidden)
        size = weight.shape[0] if known is None else known.size
        rows, matrix = hidden.detach().to(kind), weight.detach()[:size].to(kind)
        by_hidden = torch.empty_like(hidden) if wants_hidden else None
        give_back(weight)
        by_weight = torch.zeros_like(weight) if wants_weight else None
        by_bias = torch.zeros_like(bias) if wants_bias and bias is not None else None
        loss, parts = weights.new_zeros(()), weights.new_zeros(2)
        block = LogitBlock()
        for start in range(0, rows.shape[0], chunk_rows):
            here = slice(start, min(start + chunk_rows, rows.shape[0]))
            logits = block.rows(here.stop - start, size, rows)
            torch.mm(rows[here], matrix.T, out=logits)
            if bias is not None:
                logits += bias.detach()[:size]
            chunk_loss, chunk_parts = _to_gradient(logits, labels[here], weights[here], targets(here), terms, known)
            gradient, loss, parts = logits, loss + chunk_loss, parts + chunk_parts
            if by_hidden is not None:
                by_hidden[here] = gradient @ matrix
            if by_weight is not None:
                _add_outer(by_weight[:size], gradient, rows[here])
            if by_bias is not None:
                by_bias[:size] += gradient.sum(0)
        ctx.gradients = (by_hidden, by_weight, by_bias)
        ctx.mark_non_differentiable(parts)
        return loss, parts

    @staticmethod
    def backward(ctx: Any, by_loss: Tensor, _by_parts: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        scaled = tuple(None if gradient is None else gradient.mul_(by_loss) for gradient in gradients)
        return (*scaled, None, None, None, None, None, None)


def _to_gradient(
    logits: Tensor, labels: Tensor, weights: Tensor, targets: Targets, terms: LogitTerms, known: KnownIds | None
) -> tuple[Tensor, Tensor]:
    """As `rows_loss`, a few rows at a time; the gradient takes the place of the logits."""
    loss, parts = weights.new_zeros(()), weights.new_zeros(2)
    at_once = max(1, _BLOCK_BYTES // (4 * logits.shape[1])) if logits.device.type == "cpu" else len(logits)
    for start in range(0, len(logits), at_once):
        here = slice(start, start + at_once)
        wide = known_logits(logits[here].to(_wide(logits.dtype)), known)
        some, some_parts, gradient = rows_loss(wide, labels[here], weights[here], _targets_of(targets, here), terms)
        loss, parts = loss + some, parts + some_parts
        logits[here] = gradient
    return loss, parts


def _targets_of(targets: Targets, here: slice) -> Targets:
    if isinstance(targets, KeptTargets):
        return replace(targets, ids=targets.ids[here], probabilities=targets.probabilities[here])
    return None if targets is None else targets[here]


def _add_outer(total: Tensor, gradient: Tensor, rows: Tensor) -> None:
    if total.dtype == gradient.dtype:
        total.addmm_(gradient.T, rows)
    else:
        total += gradient.T @ rows


def _wide(kind: torch.dtype) -> torch.dtype:
    return torch.float64 if kind == torch.float64 else torch.float32


def _compute_dtype(hidden: Tensor) -> torch.dtype:
    # Inside a custom function autocast is off; the declared type is taken up here.
    if torch.is_autocast_enabled(hidden.device.type):
        return torch.get_autocast_dtype(hidden.device.type)
    return hidden.dtype
