"""The one divergence between two categorical distributions, and its gradient; every term that compares logits uses it.

The gradient is written out rather than left to autograd: it needs no saved activations, so that output head and loss can be
fused per chunk of tokens (see `kdgov.distillation.losses.fused_loss`). Tests hold it against finite differences.
"""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor

from kdgov.declarations.distillation import Divergence

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
    with torch.no_grad():
        log_q = torch.log_softmax(_softened(student_logits, temperature), dim=-1)
        log_p = torch.log_softmax(_softened(teacher_logits, temperature), dim=-1)
        values, gradient = _at_unit_temperature(log_q, log_p, kind, beta)
        return values, gradient if temperature == 1.0 else gradient.div_(temperature)


def _softened(logits: Tensor, temperature: float) -> Tensor:
    return logits if temperature == 1.0 else logits / temperature


def _at_unit_temperature(log_q: Tensor, log_p: Tensor, kind: Divergence, beta: float) -> tuple[Tensor, Tensor]:
    match kind:
        case "forward_kl":
            p = log_p.exp()
            values = torch.linalg.vecdot(p, log_p.sub_(log_q))
            return values, log_q.exp_().sub_(p)
        case "reverse_kl":
            return _from_slope(log_q.exp(), log_q - log_p)
        case "jensen_shannon":
            # log(m / q) = log1p(beta expm1(log p - log q)): nought, not merely small, where the two agree.
            ahead = (log_p - log_q).clamp_(-_LIMIT, _LIMIT)
            over_q, over_p = torch.log1p(beta * ahead.expm1()), torch.log1p((1 - beta) * (-ahead).expm1())
            values, gradient = _from_slope(log_q.exp(), -over_q)
            return (1 - beta) * values - beta * torch.linalg.vecdot(log_p.exp(), over_p), gradient.mul_(1 - beta)
        case "total_variation":
            q = log_q.exp()
            difference = q - log_p.exp()
            values, (_, gradient) = 0.5 * difference.abs().sum(-1), _from_slope(q, 0.5 * difference.sign())
            return values, gradient
        case "adaptive_kl":
            share = _head_share(log_q.exp(), log_p.exp())
            backward, backward_gradient = _at_unit_temperature(log_q.clone(), log_p.clone(), "reverse_kl", beta)
            forward, forward_gradient = _at_unit_temperature(log_q, log_p, "forward_kl", beta)
            gradient = forward_gradient.mul_(share[:, None]).add_(backward_gradient.mul_(1 - share[:, None]))
            return share * forward + (1 - share) * backward, gradient
        case _:
            assert_never(kind)


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
