"""Calibration: which temperature, which mix of soft and hard, and what else was asked, short trials favour on held-out examples.

Two readings per candidate, both on examples no trial trained on. Cross-entropy on their labels is what the student is for,
and the same yardstick for every candidate: a divergence at its own temperature is not. The proposal is the candidate with the
lowest held-out cross-entropy; the table shows how close the others came, and which of them the noise does not tell apart.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdgov.checkpoints.tasks import WRITERS
from kdgov.declarations.distillation import Distillation, HardLabels, SoftTargets
from kdgov.distillation.calibration.calibration_table import calibration_table
from kdgov.distillation.calibration.search_grid import Candidate, Grid, Values, read_grid, search
from kdgov.distillation.data.batch_order import batch_order
from kdgov.distillation.data.tokenization import Planned
from kdgov.distillation.distillation_run import load_models, teacher_dtype
from kdgov.distillation.inputs import DistillationInputs
from kdgov.distillation.learner import Learner
from kdgov.distillation.loop.models_fit import with_fitted_vocabulary
from kdgov.distillation.loop.training_arguments import training_arguments
from kdgov.distillation.losses.forward import Pass, Wanted, read_by_teacher, where_asked
from kdgov.distillation.losses.known_rows import NEVER
from kdgov.distillation.losses.label_losses import two_classes
from kdgov.distillation.mixture.teachers_at_hand import load_further
from kdgov.distillation.training import DistillationTrainer, NotFiniteError
from kdgov.errors import InputError
from kdgov.progress import Progress, silent

_ENTROPY_EXAMPLES = 64
_HELD_OUT_SHARE, _HELD_OUT_MOST, _HELD_OUT_LEAST = 0.1, 400, 16
_TRIAL_STEPS = 100


def calibrate(material: DistillationInputs, *, grid: Grid, progress: Progress) -> dict[str, Any]:
    """Rows, proposal and text of the table.

    Args:
        material: the recipe, the models and the data.
        grid: what is tried beside temperatures and mixes, see `kdgov.distillation.calibration.search_grid`.
        progress: told every trial.

    Raises:
        InputError: if the recipe has no soft targets, the data are too few to hold some out, or the grid asks what cannot be tried.
    """
    recipe = material.recipe
    if not any(isinstance(term, SoftTargets) for term in recipe.terms):
        raise InputError("has no soft_targets to calibrate", where="distillation.terms", mend="Add a soft_targets term.")
    if material.prepared.problem == "regression":
        raise InputError("matches numbers, which have no temperature", where="distillation.terms", mend="Set the weights by hand.")
    read_grid(recipe, grid)
    held_out, taught = _split(len(material.prepared.items), recipe.seed)
    steps = min(recipe.steps, _TRIAL_STEPS)
    teacher, student = load_models(material)
    further = load_further(material.further, material.task, dtype=teacher_dtype())
    material = with_fitted_vocabulary(material, teacher, student, further)
    del student, further
    entropies = _teacher_entropies(material, teacher, held_out)

    def trial(candidate: Candidate) -> Values:
        try:
            return _trial(material, candidate.recipe(recipe, steps=steps), taught, held_out)
        except NotFiniteError:
            # At its own learning rate the recipe cannot be trained at all; a larger one that diverges is a row of the table.
            if candidate.learning_rate <= recipe.learning_rate and candidate.layer_weight <= 1:
                raise
            return np.full(len(held_out), np.inf)

    done = search(recipe, grid, trial, tell=lambda count, planned: progress("calibrating", count, planned))
    return calibration_table(recipe, grid, done, entropies, held_out=len(held_out), steps=steps)


def _teacher_entropies(material: DistillationInputs, teacher: Any, held_out: Sequence[int]) -> Callable[[float], float]:
    """Mean entropy of the teacher at a temperature, as a share of the largest possible, over held-out tokens."""
    is_generative = material.task in WRITERS
    run = Pass(teacher, fused=False, is_generative=is_generative, known=material.vocabulary.teacher)
    device, kept = next(teacher.parameters()).device, []
    with torch.no_grad():
        for row in held_out[:_ENTROPY_EXAMPLES]:
            batch = _moved(material.prepared.collate([(row, material.prepared.items[row])]), device)
            read = read_by_teacher(batch)
            answer = where_asked(run(read["inputs"], Wanted()), batch).answer
            logits = run.logits(answer[read["weights"] > 0]).float().cpu()
            kept.append(two_classes(logits) if material.prepared.problem == "multi_label" else logits)

    def at(temperature: float) -> float:
        shares = []
        for logits in kept:
            log_p = torch.log_softmax(logits / temperature, dim=-1)
            # Positions of a reader that no answer may take are no choice of it.
            choices = (logits > NEVER / 2).sum(dim=-1)
            shares.append(-(log_p.exp() * log_p).sum(dim=-1) / choices.clamp_min(2).log())
        return round(float(torch.cat(shares).mean()), 6)

    return at


def _split(count: int, seed: int) -> tuple[list[int], list[int]]:
    wanted = min(_HELD_OUT_MOST, max(_HELD_OUT_LEAST, round(count * _HELD_OUT_SHARE)))
    if count < 2 * wanted:
        raise InputError(
            f"has {count} examples; calibration holds out at least {_HELD_OUT_LEAST} and trains on no fewer",
            where="data",
            mend="Add examples, or set temperature and weights by hand.",
        )
    order = np.random.default_rng([seed, 0xCA1]).permutation(count)
    return sorted(order[:wanted].tolist()), sorted(order[wanted:].tolist())


def _trial(material: DistillationInputs, recipe: Distillation, taught: Sequence[int], held_out: Sequence[int]) -> np.ndarray[Any, Any]:
    """Held-out cross-entropy per example after a short training."""
    prepared = material.prepared
    items = [prepared.items[row] for row in taught]
    teacher, student = load_models(dataclasses.replace(material, recipe=recipe))
    further = load_further(material.further, material.task, dtype=teacher_dtype())
    learner = Learner(
        student, teacher, recipe, task=material.task, problem=prepared.problem, vocabulary=material.vocabulary, further=further
    )
    order = batch_order(
        prepared.lengths[np.asarray(taught)],
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        by_length=recipe.length_bucketing,
    )
    planned = Planned(items, order)
    learner.add_projections(prepared.collate([planned[0]]))
    with tempfile.TemporaryDirectory() as folder:
        DistillationTrainer(
            model=learner,
            args=training_arguments(recipe, Path(folder)),
            data_collator=prepared.collate,
            train_dataset=planned,
            examples=items,
            progress=silent,
            run="trial",
            cpu_dtype=getattr(torch, recipe.dtype),
        ).train()
    return _held_out_loss(student, material, held_out)


def _held_out_loss(student: Any, material: DistillationInputs, held_out: Sequence[int]) -> np.ndarray[Any, Any]:
    """Cross-entropy of each held-out example on its labels, whatever they are, as training would count it."""
    labels_alone = material.recipe.model_copy(
        update={"terms": [HardLabels(kind="hard_labels")], "cache": None, "packing": False, "further_teachers": []}
    )
    learner = Learner(
        student, None, labels_alone, task=material.task, problem=material.prepared.problem, vocabulary=material.vocabulary
    ).eval()
    device = next(student.parameters()).device
    values: list[float] = []
    with torch.no_grad():
        for row in held_out:
            batch = _moved(material.prepared.collate([(row, material.prepared.items[row])]), device)
            loss, _ = learner(batch)
            values.append(float(loss) / float(batch["weights"].sum()))
    return np.array(values)


def _moved(batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    return {name: value.to(device) if hasattr(value, "to") else _moved(value, device) for name, value in batch.items()}
