"""The one divergence: its value, its gradient, its edges."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgov.distillation.losses.divergence import divergence

KINDS = ["forward_kl", "reverse_kl", "jensen_shannon", "total_variation", "adaptive_kl"]


def logits(rows, classes, seed, scale=3.0):
    rng = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, classes, generator=rng, dtype=torch.float64)


def by_the_book(student, teacher, kind, temperature, beta):
    """The textbook formulas, one by one, in float64."""
    p, q = (teacher / temperature).softmax(-1), (student / temperature).softmax(-1)
    kl = lambda a, b: (a * (a / b).log()).sum(-1)  # noqa: E731
    if kind == "forward_kl":
        return kl(p, q)
    if kind == "reverse_kl":
        return kl(q, p)
    if kind == "jensen_shannon":
        m = beta * p + (1 - beta) * q
        return beta * kl(p, m) + (1 - beta) * kl(q, m)
    if kind == "total_variation":
        return 0.5 * (p - q).abs().sum(-1)
    order = p.argsort(-1, descending=True)
    ordered = p.gather(-1, order)
    head = (ordered.cumsum(-1) - ordered) < 0.5
    gap = (p - q).abs().gather(-1, order)
    share = ((gap * head).sum(-1) / gap.sum(-1)).detach()
    return share * kl(p, q) + (1 - share) * kl(q, p)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_value_and_gradient_are_the_textbooks(kind, temperature):
    student, teacher = logits(7, 11, 1).requires_grad_(), logits(7, 11, 2)
    values, gradient = divergence(student.detach(), teacher, kind=kind, temperature=temperature, beta=0.3)
    expected = by_the_book(student, teacher, kind, temperature, 0.3)
    torch.testing.assert_close(values, expected.detach(), rtol=1e-10, atol=1e-12)
    (slope,) = torch.autograd.grad(expected.sum(), student)
    torch.testing.assert_close(gradient, slope, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "adaptive_kl"])
def test_the_gradient_is_that_of_finite_differences(kind):
    student, teacher, step = logits(1, 6, 3), logits(1, 6, 4), 1e-6
    _, gradient = divergence(student, teacher, kind=kind, temperature=1.5, beta=0.6)
    for place in range(6):
        ends = []
        for sign in (1, -1):
            moved = student.clone()
            moved[0, place] += sign * step
            ends.append(float(divergence(moved, teacher, kind=kind, temperature=1.5, beta=0.6)[0]))
        assert float(gradient[0, place]) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 40), temperature=st.floats(0.25, 8), shift=st.floats(-50, 50))
def test_zero_exactly_at_equality_never_negative_and_blind_to_a_shift_of_logits(kind, seed, classes, temperature, shift):
    student, teacher = logits(3, classes, seed), logits(3, classes, seed + 1)
    at_equality, gradient = divergence(student, student.clone(), kind=kind, temperature=temperature)
    assert torch.equal(at_equality, torch.zeros(3, dtype=torch.float64))
    assert float(gradient.abs().max()) < 1e-12
    values, gradient = divergence(student, teacher, kind=kind, temperature=temperature)
    assert float(values.min()) >= 0
    # Adding a constant to all logits changes no probability, so the gradient has no part in that direction.
    assert float(gradient.sum(-1).abs().max()) < 1e-9
    shifted, _ = divergence(student + shift, teacher - shift, kind=kind, temperature=temperature)
    torch.testing.assert_close(shifted, values, rtol=1e-6, atol=1e-9)


def test_jensen_shannon_is_symmetric_at_a_half_and_total_variation_always():
    a, b = logits(5, 9, 5), logits(5, 9, 6)
    for kind in ("jensen_shannon", "total_variation"):
        torch.testing.assert_close(divergence(a, b, kind=kind)[0], divergence(b, a, kind=kind)[0])


def test_reverse_kl_is_forward_kl_with_the_two_exchanged():
    a, b = logits(5, 9, 7), logits(5, 9, 8)
    torch.testing.assert_close(divergence(a, b, kind="reverse_kl")[0], divergence(b, a, kind="forward_kl")[0])


def test_a_hand_computed_number():
    """P = (0.8, 0.2), q = (0.5, 0.5): KL(p || q) = 0.8 ln 1.6 + 0.2 ln 0.4 = 0.3760 - 0.1833 = 0.1927; TV = 0.3."""
    p, q = torch.tensor([[0.8, 0.2]]).log().double(), torch.tensor([[0.5, 0.5]]).log().double()
    assert float(divergence(q, p)[0]) == pytest.approx(0.19274, abs=1e-5)
    assert float(divergence(q, p, kind="total_variation")[0]) == pytest.approx(0.3)


def test_temperature_squared_keeps_the_gradients_size():
    """At high temperature T² times the gradient tends to (centred difference of logits) / classes (Hinton et al., section 2.1)."""
    student, teacher = logits(4, 10, 9), logits(4, 10, 10)
    temperature = 1e4
    _, gradient = divergence(student, teacher, temperature=temperature)
    difference = (student - student.mean(-1, keepdim=True)) - (teacher - teacher.mean(-1, keepdim=True))
    torch.testing.assert_close(temperature**2 * gradient, difference / 10, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_certain_and_impossible_answers_stay_finite(kind):
    student, teacher = torch.tensor([[200.0, -200.0, 0.0]]), torch.tensor([[-200.0, 200.0, 0.0]])
    values, gradient = divergence(student, teacher, kind=kind)
    assert torch.isfinite(values).all()
    assert torch.isfinite(gradient).all()


def test_the_inputs_are_left_as_they_were():
    student, teacher = logits(3, 5, 11), logits(3, 5, 12)
    copies = student.clone(), teacher.clone()
    for kind in KINDS:
        divergence(student, teacher, kind=kind)
    assert torch.equal(student, copies[0])
    assert torch.equal(teacher, copies[1])
