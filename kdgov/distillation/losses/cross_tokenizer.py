"""Across tokenizers: comparing sorted probabilities, which need no common vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdgov.distillation.data.tokenization import TokenCollator, TokenExample


def universal_distance(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
    """Sum over ranks of the absolute difference between sorted probabilities, per row: the optimal transport cost of ULD.

    Zero where both are equally sure of their first, second, … choice, whatever those choices are.

    Args:
        student_logits: (rows, classes).
        teacher_logits: (rows, classes of its own); no gradient flows into it.
        temperature: softening of both.

    Source: Boizard et al. 2024, arXiv:2402.12030, section 3.
    """
    student = (student_logits.float() / temperature).softmax(-1).sort(dim=-1, descending=True).values
    teacher = (teacher_logits.detach().float() / temperature).softmax(-1).sort(dim=-1, descending=True).values
    width = max(student.shape[-1], teacher.shape[-1])
    student, teacher = (nn.functional.pad(rows, (0, width - rows.shape[-1])) for rows in (student, teacher))
    return (student - teacher).abs().sum(-1)


def paired_rows(student_weights: Tensor, teacher_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Masks of the positions compared: an example's first kept positions, as many as both models have.

    Args:
        student_weights: (batch, time) of the student's tokens.
        teacher_weights: (batch, time) of the teacher's.
    """
    kept = [weights > 0 for weights in (student_weights, teacher_weights)]
    both = torch.minimum(*(mask.sum(-1) for mask in kept))[:, None]
    student, teacher = (mask & (mask.cumsum(-1) <= both) for mask in kept)
    return student, teacher


def with_teacher_tokens(
    collate: TokenCollator, theirs: Sequence[TokenExample], their_collate: TokenCollator
) -> Callable[[Sequence[tuple[int, TokenExample]]], dict[str, Any]]:
    """Batches that carry the same examples in the teacher's own tokens under ``teacher``.

    Args:
        collate: makes the student's batch.
        theirs: the examples in the teacher's tokens, row by row the student's.
        their_collate: makes the teacher's.
    """

    def both(items: Sequence[tuple[int, TokenExample]]) -> dict[str, Any]:
        batch = collate(items)
        other = their_collate([(row, theirs[row]) for row, _ in items])
        batch["teacher"] = {"inputs": other["inputs"], "weights": other["weights"]}
        return batch

    return both
