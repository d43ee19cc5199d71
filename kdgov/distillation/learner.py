"""The module that is trained: the student (and projections of its layers), with the teacher at its side.

One module whose forward is the loss, because that is what data parallel wrappers, FSDP and DeepSpeed wrap: the student's body
and head may then be called apart, which the fused loss needs. The teacher is no part of the module: it has no place in an
optimiser, a checkpoint or a gradient bucket.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdgov.checkpoints.tasks import WRITERS, Task
from kdgov.checkpoints.text_pooling import Pooling, pooled
from kdgov.declarations.distillation import (
    Distillation,
    Embeddings,
    MarginError,
    OnPolicy,
    UniversalLogits,
)
from kdgov.distillation.data.compared_ids import NOTHING_KNOWN, Vocabulary
from kdgov.distillation.data.labelled.class_labels import Problem
from kdgov.distillation.losses.cross_tokenizer import aligned_sum
from kdgov.distillation.losses.embeddings import embedding_distance, margin_error
from kdgov.distillation.losses.forward import Pass, Passed, Wanted, read_by_teacher, where_asked
from kdgov.distillation.losses.frame_labels import loss_of_frames
from kdgov.distillation.losses.fused_loss import KeptTargets, LogitTerms, Targets, loss_of_hidden, loss_of_logits
from kdgov.distillation.losses.label_losses import per_class, per_label, squared_error, two_classes
from kdgov.distillation.losses.logit_requests import logit_terms, on_policy_terms
from kdgov.distillation.losses.matched_layers import FEATURES, FeatureTerm, MatchedLayers
from kdgov.distillation.memory import give_back_before_gradients, rows_at_once
from kdgov.distillation.mixture.mixed_distribution import Mixture
from kdgov.errors import InputError

EMBEDDING = "embedding"
"""Name of the projection between embeddings of different widths."""


class Learner(nn.Module):
    """Student and projections; its forward gives a batch's weighted sum of every term.

    Args:
        student: the model that learns.
        teacher: the frozen teacher; ``None`` where only labels or a cache are learnt from.
        recipe: what is added up.
        task: what both do.
        problem: what a classifier's outputs are.
        vocabulary: which rows of the output matrices stand for tokens.
        pooling: how the student's and the teacher's hidden states become embeddings.
        further: models of the teachers beside the first, in the recipe's order.
    """

    def __init__(
        self,
        student: Any,
        teacher: Any | None,
        recipe: Distillation,
        *,
        task: Task,
        problem: Problem = "single_label",
        vocabulary: Vocabulary = NOTHING_KNOWN,
        pooling: tuple[Pooling, Pooling] = (Pooling(), Pooling()),
        further: Sequence[Any] = (),
    ) -> None:
        super().__init__()
        self.student = student
        give_back_before_gradients(student)
        self._problem: Problem = problem
        self._is_causal = task == "causal_lm"
        self._chunk_tokens = recipe.chunk_tokens
        self.terms = logit_terms(recipe, problem=problem)
        self._features: list[FeatureTerm] = [term for term in recipe.terms if isinstance(term, FEATURES)]
        self._policy = next((on_policy_terms(term) for term in recipe.terms if isinstance(term, OnPolicy)), None)
        self._universal = next((term for term in recipe.terms if isinstance(term, UniversalLogits)), None)
        self._of_answers = [term for term in recipe.terms if isinstance(term, Embeddings | MarginError)]
        self._pooling = pooling
        is_generative = task in WRITERS
        self._run_student = Pass(
            student, fused=recipe.fused_head and self._is_causal, is_generative=is_generative, known=vocabulary.student
        )
        # In a tuple, out of the sight of nn.Module: the teacher is not part of what is trained or saved.
        fused = self._run_student.head is not None
        self._teacher: tuple[Pass, ...] = ()
        if teacher is not None:
            self._teacher = (Pass(teacher, fused=fused, is_generative=is_generative, known=vocabulary.teacher),)
        weights = [one.weight for one in recipe.further_teachers][: len(further)]
        known = vocabulary.teacher or vocabulary.below
        self._mixture = Mixture(further, weights, problem=problem, fused=fused, is_generative=is_generative, known=known)
        self._matched = MatchedLayers(self._features, teacher, student, is_causal=self._is_causal)
        self.projections = self._matched.projections

    @property
    def names(self) -> list[str]:
        """Names of the parts of the loss, in the order `forward` gives them."""
        further = [*(["universal_logits"] if self._universal is not None else []), *(term.kind for term in self._of_answers)]
        return ["soft_targets", "hard_labels", *self._matched.names, *further]

    @property
    def learns_from_samples_alone(self) -> bool:
        """Whether the data's own tokens have no term of logits: held-out examples are then measured with the term for samples."""
        return self._policy is not None and not (self.terms.soft_weight or self.terms.hard_weight)

    @property
    def weighted_terms(self) -> frozenset[str]:
        """Names of the parts that the loss of every step counts; on-policy steps count others."""
        if self._policy is not None:
            return frozenset({"soft_targets"})
        asked = {"soft_targets": self.terms.soft_weight, "hard_labels": self.terms.hard_weight}
        return frozenset(name for name in self.names if asked.get(name, 1.0))

    @property
    def factors(self) -> dict[str, float]:
        """Factor of each part of the loss that is counted, by its name; on-policy steps have `sampled_factor` alone."""
        own = [self.terms.soft_weight, self.terms.hard_weight, *(term.weight for term in self._features)]
        own += [*([self._universal.weight] if self._universal is not None else []), *(term.weight for term in self._of_answers)]
        return {name: factor for name, factor in zip(self.names, own, strict=True) if factor or name == "soft_targets"}

    @property
    def matched_terms(self) -> list[str]:
        """Names of the parts that match layers."""
        return self._matched.names

    @property
    def sampled_factor(self) -> float | None:
        """Factor of the divergence on steps of the student's own samples; None where there are none."""
        return None if self._policy is None else self._policy.soft_weight

    @property
    def teacher(self) -> Any | None:
        """The teacher's model, if there is one."""
        return self._teacher[0].model if self._teacher else None

    @property
    def teachers(self) -> list[Any]:
        """The models of all teachers."""
        return [run.model for run in (*self._teacher, *self._mixture.passes)]

    def compile_student(self, options: Mapping[str, Any]) -> None:
        """Have the student compiled by ``torch.compile`` with these options; teachers and losses run as they are."""
        self._run_student.compile(options)

    @property
    def is_fused(self) -> bool:
        """Whether the student's head is fused with the loss."""
        return self._run_student.head is not None

    def forward(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Weighted sum of all terms over the batch, and detached sums of each without its factor.

        Args:
            batch: as a collator makes it; ``on_policy`` in it asks for the on-policy term instead of the usual ones.

        Returns:
            Scalar with a gradient, and (terms,).
        """
        is_sampled = "on_policy" in batch
        features = [] if is_sampled else self._features
        terms = self._policy if is_sampled and self._policy is not None else self.terms
        kept = batch["weights"] > 0
        passed = where_asked(self._run_student(batch["inputs"], self._wanted(features, student=True)), batch)
        taught = self._teach(batch, features, terms)
        labels, weights = batch["labels"][kept], batch["weights"][kept]
        loss = passed.answer.new_zeros((), dtype=torch.float32)
        parts = torch.zeros(2, device=loss.device)
        if self._problem == "regression":
            loss, parts = self._regression(passed, taught, batch, terms)
        elif terms.soft_weight or terms.hard_weight:
            targets = self._targets_of(batch, taught, kept, terms.temperature)
            rows, head = passed.answer[kept], self._run_student.head
            if head is not None:
                at_once = rows_at_once(self._chunk_tokens, head.weight.shape[0], rows.device)
                known = self._run_student.known
                loss, parts = loss_of_hidden(rows, head, labels, weights, targets, terms, chunk_rows=at_once, known=known)
            elif "transcripts" in batch:
                loss, parts = loss_of_frames(passed.answer, batch, targets(slice(0, len(rows))), terms)
            elif labels.dim() == 2:
                many, whole = self._problem == "multi_label", targets(slice(0, len(rows)))
                made = (per_label if many else per_class)(rows, labels, weights)
                theirs = whole if isinstance(whole, Tensor) else None
                if theirs is not None:
                    theirs = two_classes(theirs) if many else theirs.repeat_interleave(theirs.shape[1], 0)
                loss, parts = loss_of_logits(made.logits, made.labels, made.weights, theirs, terms)
            else:
                logits = self._run_student.logits(rows)
                loss, parts = loss_of_logits(logits, labels, weights, targets(slice(0, len(rows))), terms)
        sums = [parts]
        for place, term in enumerate(features):
            value = self._matched.sum_of(place, passed, taught, batch)
            loss = loss + term.weight * value
            sums.append(value.detach()[None])
        sums += [parts.new_zeros(len(self._features) - len(features))]
        if self._universal is not None:
            value = self._universal_sum(self._universal, passed, batch)
            loss = loss + self._universal.weight * value
            sums.append(value.detach()[None])
        for answer_term in self._of_answers:
            value = self._answer_sum(answer_term, passed, taught, batch)
            loss = loss + answer_term.weight * value
            sums.append(value.detach()[None])
        return loss, torch.cat(sums)

    def _answer_sum(self, term: Embeddings | MarginError, passed: Passed, taught: Passed | None, batch: Mapping[str, Any]) -> Tensor:
        if taught is None:
            raise TypeError("the teacher's answers are needed")
        weights = batch["weights"]
        if isinstance(term, MarginError):
            return torch.dot(margin_error(passed.answer, taught.answer), 2 * weights[: len(weights) // 2])
        mine = pooled(passed.answer, batch["inputs"]["attention_mask"], self._pooling[0])
        theirs = pooled(taught.answer, read_by_teacher(batch)["inputs"]["attention_mask"], self._pooling[1])
        mine = self.projections[EMBEDDING](mine) if EMBEDDING in self.projections else mine
        return torch.dot(embedding_distance(mine, theirs, distance=term.distance), weights)

    def _regression(self, passed: Passed, taught: Passed | None, batch: Mapping[str, Any], terms: LogitTerms) -> tuple[Tensor, Tensor]:
        outputs, weights = passed.answer, batch["weights"]
        nothing = outputs.new_zeros((), dtype=torch.float32)
        soft = nothing
        if terms.soft_weight and taught is not None:
            soft = squared_error(outputs, self._mixture.mean([taught.answer, *self._mixture.answers(batch)]), weights)
        hard = squared_error(outputs, batch["labels"], weights) if terms.hard_weight else nothing
        return terms.soft_weight * soft + terms.hard_weight * hard, torch.stack([soft, hard]).detach()

    def _teach(self, batch: Mapping[str, Any], features: list[FeatureTerm], terms: LogitTerms) -> Passed | None:
        is_cached = "kept_ids" in batch
        if not self._teacher or not (features or self._of_answers or (terms.soft_weight and not is_cached)):
            return None
        with torch.no_grad():
            return where_asked(self._teacher[0](read_by_teacher(batch)["inputs"], self._wanted(features, student=False)), batch)

    def _targets_of(self, batch: Mapping[str, Any], taught: Passed | None, kept: Tensor, temperature: float) -> Any:
        if "kept_ids" in batch:
            ids, probabilities, has_tail = batch["kept_ids"], batch["kept_probabilities"], bool(batch["has_tail"][0])

            def cached(here: slice) -> Targets:
                return KeptTargets(ids=ids[here], probabilities=probabilities[here].float(), has_tail=has_tail)

            return cached
        if taught is None:
            return lambda here: None
        answers = [taught.answer[read_by_teacher(batch)["weights"] > 0], *(answer[kept] for answer in self._mixture.answers(batch))]
        return self._mixture.logits_of(self._teacher[0], answers, temperature)

    def _wanted(self, features: list[FeatureTerm], *, student: bool) -> Wanted:
        return self._matched.wanted(student=student) if features else Wanted()

    def _universal_sum(self, term: UniversalLogits, passed: Passed, batch: Mapping[str, Any]) -> Tensor:
        with torch.no_grad():
            taught = self._teacher[0](batch["teacher"]["inputs"], Wanted())
        return aligned_sum((self._run_student, passed.answer), (self._teacher[0], taught.answer), batch, temperature=term.temperature)

    def add_projections(self, batch: Mapping[str, Any]) -> None:
        """Make the learned projections that different widths of matched layers need, by trying one batch."""
        if self._matched.asks_hidden_states:
            wanted = Wanted(hidden_states=True)
            with torch.no_grad():
                mine, theirs = (run(batch["inputs"], wanted) for run in (self._run_student, self._teacher[0]))
            self._matched.add_projections(mine, theirs)
        if any(isinstance(term, Embeddings) for term in self._of_answers):
            widths = [int(model.config.hidden_size) for model in (self.student, self._teacher[0].model)]
            if widths[0] != widths[1]:
                self.projections[EMBEDDING] = nn.Linear(*widths, bias=False)

    def activation_checkpointing_enable(
        self, activation_checkpointing_kwargs: Mapping[str, Any] | None = None, **layers_and_places: Any
    ) -> None:
        """Recompute the student's activations in the backward pass instead of keeping them; transformers calls this."""
        # The variant that is not re-entrant keeps gradients of parameters when no input has one, as under an adapter.
        options = {"use_reentrant": False, **dict(activation_checkpointing_kwargs or {})}
        try:
            self.student.activation_checkpointing_enable(activation_checkpointing_kwargs=options, **layers_and_places)
        except ValueError as error:
            raise InputError(
                f"the student's architecture cannot recompute its activations: {error}",
                where="distillation.trainer: activation_checkpointing",
                mend="Remove it, and raise `gradient_accumulation` instead.",
            ) from error
