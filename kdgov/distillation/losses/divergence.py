"""The one divergence between two categorical distributions, and its gradient; every term that compares logits uses it.

The gradient is written out rather than left to autograd: it needs no saved activations, so that output head and loss can be
fused per chunk of tokens (see `kdgov.distillation.losses.fused_loss`). Tests hold it against finite differences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from kdgov.declarations.distillation import Divergence
from kdgov.extensions import ExtensionTable

_LIMIT = 80.0
"""Log-ratio at which exp still fits into float32; beyond it the smaller probability weighs nothing."""


def divergence(
    student_logits: Tensor, teacher_logits: Tensor, *, kind: Divergence = "forward_kl", temperature: float = 1.0, beta: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Divergence per row, in nats, and its gradient with respect to the student's logits.

    Zero exactly when the two rows agree. With p the teacher's and q the student's distribution at ``temperature``:

    - ``forward_kl``: KL(p || q); ``reverse_kl``: KL(q || p); ``total_variation``: half the absolute difference
    - ``jensen_shannon``: beta KL(p || m) + (1 - beta) KL(q || m), m = beta p + (1 - beta) q
    - ``adaptive_kl``: forward and reverse KL mixed per row by where the two differ more, in the teacher's head (the
      likeliest tokens up to half the mass) or in its tail; the mixing weight counts as a constant

    No temperature squared is applied here.

    Args:
        student_logits: (rows, classes), float32 or float64.
        teacher_logits: same shape and type; no gradient flows into it.
        kind: which divergence.
        temperature: softening of both, > 0.
        beta: the teacher's weight in ``jensen_shannon``.

    Returns:
        Values (rows,) and gradient (rows, classes), both detached.

    Source: Hinton et al. 2015, arXiv:1503.02531; Agarwal et al. 2024, arXiv:2306.13649 (generalised Jensen-Shannon);
        Wu et al. 2024, arXiv:2404.02657 (adaptive).
    """
    # Autocast would round probabilities to eight bits in between.
    with torch.no_grad(), torch.autocast(student_logits.device.type, enabled=False):
        log_q = torch.log_softmax(_softened(student_logits, temperature), dim=-1)
        log_p = torch.log_softmax(_softened(teacher_logits, temperature), dim=-1)
        values, gradient = DIVERGENCES[kind](log_q, log_p, beta)
        return values, gradient if temperature == 1.0 else gradient.div_(temperature)


def _softened(logits: Tensor, temperature: float) -> Tensor:
    return logits if temperature == 1.0 else logits / temperature


def _forward_kl(log_q: Tensor, log_p: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    p = log_p.exp()
    values = torch.linalg.vecdot(p, log_p.sub_(log_q))
    return values, log_q.exp_().sub_(p)


def _reverse_kl(log_q: Tensor, log_p: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    return _from_slope(log_q.exp(), log_q - log_p)


def _jensen_shannon(log_q: Tensor, log_p: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    # log(m / q) = log1p(beta expm1(log p - log q)): nought, not merely small, where the two agree.
    ahead = (log_p - log_q).clamp_(-_LIMIT, _LIMIT)
    over_q, over_p = torch.log1p(beta * ahead.expm1()), torch.log1p((1 - beta) * (-ahead).expm1())
    values, gradient = _from_slope(log_q.exp(), -over_q)
    return (1 - beta) * values - beta * torch.linalg.vecdot(log_p.exp(), over_p), gradient.mul_(1 - beta)


def _total_variation(log_q: Tensor, log_p: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    q = log_q.exp()
    difference = q - log_p.exp()
    values, (_, gradient) = 0.5 * difference.abs().sum(-1), _from_slope(q, 0.5 * difference.sign())
    return values, gradient


def _adaptive_kl(log_q: Tensor, log_p: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    share = _head_share(log_q.exp(), log_p.exp())
    backward, backward_gradient = _reverse_kl(log_q.clone(), log_p.clone(), beta)
    forward, forward_gradient = _forward_kl(log_q, log_p, beta)
    gradient = forward_gradient.mul_(share[:, None]).add_(backward_gradient.mul_(1 - share[:, None]))
    return share * forward + (1 - share) * backward, gradient


DivergenceFunction: TypeAlias = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]
"""Student's and teacher's log-probabilities (rows, classes), both free to be overwritten, and beta → values (rows,) in nats and
their gradient (rows, classes) with respect to the student's logits."""

DIVERGENCES: ExtensionTable[DivergenceFunction] = ExtensionTable(
    "kdgov.losses",
    {
        "forward_kl": _forward_kl,
        "reverse_kl": _reverse_kl,
        "jensen_shannon": _jensen_shannon,
        "total_variation": _total_variation,
        "adaptive_kl": _adaptive_kl,
    },
)
"""Every divergence by the name a recipe writes; packages add theirs through the entry points ``kdgov.losses``."""


def with_gradient(values: Callable[[Tensor, Tensor], Tensor]) -> DivergenceFunction:
    """A row of `DIVERGENCES` from a differentiable function of two log-probability tables, its gradient taken by autograd.

    For packages that add a divergence: slower than a gradient written out, and as right.

    Args:
        values: student's and teacher's log-probabilities (rows, classes) → value per row (rows,).
    """

    def row(log_q: Tensor, log_p: Tensor, beta: float) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            logits = log_q.detach().clone().requires_grad_()
            computed = values(torch.log_softmax(logits, dim=-1), log_p.detach())
            (gradient,) = torch.autograd.grad(computed.sum(), logits)
        return computed.detach(), gradient

    return row


def _from_slope(q: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of ``slope`` under q, and its pull-back through the softmax, for a divergence whose derivative by q is ``slope``."""
    mean = torch.linalg.vecdot(q, slope)
    return mean, slope.sub_(mean[:, None]).mul_(q)


def _head_share(q: Tensor, p: Tensor) -> Tensor:
    """Share of the difference between p and q that lies in p's head; a half where they agree."""
    order = p.argsort(dim=-1, descending=True)
    sorted_p = p.gather(-1, order)
    is_head = sorted_p.cumsum(-1) - sorted_p < 0.5
    gap = (p - q).abs().gather(-1, order)
    head, whole = (gap * is_head).sum(-1), gap.sum(-1)
    return torch.where(whole > 0, head / whole.clamp_min(torch.finfo(p.dtype).tiny), torch.full_like(whole, 0.5))
