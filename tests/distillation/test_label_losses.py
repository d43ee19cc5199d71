"""Several labels and numbers are learnt by the losses their fields use: binary cross-entropy, Bernoulli divergence, squared error."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from kdgov.distillation.data.classification_data import Labels, class_examples, labels_of
from kdgov.distillation.data.examples import Example
from kdgov.distillation.losses.fused_loss import LogitTerms, loss_of_logits
from kdgov.distillation.losses.label_losses import per_label, squared_error, two_classes
from kdgov.errors import DeclarationError


def _some(rows=5, labels=3):
    rng = torch.Generator().manual_seed(0)
    student = torch.randn(rows, labels, generator=rng, requires_grad=True)
    teacher = torch.randn(rows, labels, generator=rng)
    wanted = (torch.rand(rows, labels, generator=rng) > 0.5).float()
    return student, teacher, wanted, torch.rand(rows, generator=rng) + 0.5


def test_labels_of_several_are_binary_cross_entropy_with_its_gradient():
    student, _, wanted, weights = _some()
    made = per_label(student, wanted, weights)
    loss, _ = loss_of_logits(made.logits, made.labels, made.weights, None, LogitTerms(hard_weight=1.0))
    loss.backward()
    mine = student.grad.clone()
    student.grad = None
    expected = (functional.binary_cross_entropy_with_logits(student, wanted, reduction="none").mean(1) * weights).sum()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(mine, student.grad)


def test_soft_targets_of_several_labels_are_bernoulli_divergences():
    student, teacher, wanted, weights = _some()
    made = per_label(student, wanted, weights)
    loss, _ = loss_of_logits(made.logits, made.labels, made.weights, two_classes(teacher), LogitTerms(soft_weight=1.0, temperature=2.0))
    p, q = torch.sigmoid(teacher / 2), torch.sigmoid(student / 2)
    kl = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    assert loss.item() == pytest.approx((kl.mean(1) * weights).sum().item(), rel=1e-5)


def test_a_student_that_answers_as_the_teacher_has_no_soft_loss():
    _, teacher, wanted, weights = _some()
    made = per_label(teacher, wanted, weights)
    loss, _ = loss_of_logits(made.logits, made.labels, made.weights, two_classes(teacher), LogitTerms(soft_weight=1.0))
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert squared_error(teacher, teacher, weights).item() == 0.0


def test_scores_are_learnt_by_squared_error():
    student, teacher, _, weights = _some()
    expected = (functional.mse_loss(student, teacher, reduction="none").mean(1) * weights).sum()
    assert squared_error(student, teacher, weights).item() == pytest.approx(expected.item(), rel=1e-6)


NAMES = {"0": "cat", "1": "dog"}


@pytest.mark.parametrize(
    ("config", "label", "problem"),
    [
        ({"id2label": NAMES}, 1, "single_label"),
        ({"id2label": {"0": "score"}}, 0.3, "regression"),
        ({"id2label": NAMES}, (0.0, 1.0), "multi_label"),
        ({"id2label": NAMES, "problem_type": "multi_label_classification"}, None, "multi_label"),
        ({"num_labels": 1}, None, "regression"),
    ],
)
def test_what_the_outputs_are_is_told_by_configuration_and_data(config, label, problem):
    assert labels_of(config, [Example(item_id="a", label=label)]).problem == problem


@pytest.mark.parametrize("label", ["dog", 1, "1"])
def test_a_class_may_be_written_by_name_or_number(label):
    labels = Labels(problem="single_label", names=("cat", "dog"))
    file = __file__
    (made,) = class_examples([Example(item_id="a", file=file, label=label)], labels=labels, needs_labels=True, tokenizer=None, max_length=8)
    assert made.label == 1


@pytest.mark.parametrize(
    ("problem", "label"),
    [
        ("single_label", "bird"),
        ("single_label", 2),
        ("single_label", 0.5),
        ("multi_label", (0.0, 0.5)),
        ("multi_label", (1.0,)),
        ("regression", "high"),
    ],
)
def test_a_label_that_does_not_fit_is_a_fault_with_the_items_name(problem, label):
    labels = Labels(problem=problem, names=("cat", "dog") if problem != "regression" else ("score",))
    with pytest.raises(DeclarationError, match="has label"):
        class_examples([Example(item_id="a", file=__file__, label=label)], labels=labels, needs_labels=True, tokenizer=None, max_length=8)
