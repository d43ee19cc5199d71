"""A transformers `Trainer` whose loss is the learner's, divided by the weights of the whole batch."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from kdgov.declarations.distillation import Distillation
from kdgov.distillation.data.tokenization import item_ids, weigh
from kdgov.distillation.training_progress import Teller
from kdgov.errors import InputError
from kdgov.progress import Progress

_CURVE = "curve.json"
_STEPS_TO_JUDGE = 8
"""Batches after which a term that never changed is told; fewer may agree by chance."""
_SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


class DistillationTrainer(Trainer):
    """Trains a `Learner` over examples in a fixed order.

    Args:
        model: the learner.
        args: training arguments (`training_arguments` makes them).
        data_collator: makes batches.
        train_dataset: examples in training order, all steps in one pass.
        examples: what row numbers in batches refer to, for messages.
        progress: told every step.
        run: digest of everything that decides the run; a checkpoint of another run is never resumed.
    """

    loss_is_scaled_for_ga = True

    def __init__(self, *, examples: Sequence[Any], progress: Progress, run: str, sampler: Any | None = None, **options: Any) -> None:
        super().__init__(callbacks=[Teller(progress, run)], **options)
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = False
        self._examples, self._sampler = examples, sampler
        self._step_parts: Tensor | None = None
        self.curve: list[list[float]] = []
        teacher = options["model"].teacher
        if teacher is not None:
            teacher.to(self.args.device)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        # The dataset is in training order already.
        return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list[Any], Any]:
        """The parts of one step's batch, and the sum of weights its loss is divided by, over all processes."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self._sampler is not None and batches:
            batches = [self._sampler(self.model, batch, step=self.state.global_step) for batch in batches]
        total = weigh(batches).to(device)
        if self.args.world_size > 1:
            total = self.accelerator.gather(total[None]).sum()
        return batches, total

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Tensor | None = None
    ) -> Any:
        """The learner's sum over this part of the batch, divided by the whole batch's weights.

        Raises:
            InputError: if it is not finite: with the step, the items and the last good checkpoint.
        """
        if num_items_in_batch is None:
            num_items_in_batch = weigh([inputs]).to(inputs["weights"].device)
        loss, parts = model(inputs)
        # Data parallel wrappers average gradients over processes; the sum is wanted.
        loss = loss * (self.args.world_size / num_items_in_batch).to(loss.dtype)
        if not math.isfinite(loss.item()):
            self._stop_at(inputs, "the loss is not finite")
        parts = parts.detach().double() / num_items_in_batch
        self._step_parts = parts if self._step_parts is None else self._step_parts + parts
        return (loss, parts) if return_outputs else loss

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """One part of a step; remembers the items, should the gradient turn out not to be finite."""
        self._last_rows = inputs["rows"]
        return super().training_step(model, inputs, num_items_in_batch)

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        norm = super()._clip_grad_norm(model)
        if norm is not None and not math.isfinite(float(norm)):
            self._stop_at({"rows": self._last_rows}, "the gradient is not finite")
        self._record_step()
        return norm

    def _record_step(self) -> None:
        parts = self._step_parts
        if parts is None:
            return
        if self.args.world_size > 1:
            parts = self.accelerator.reduce(parts, reduction="sum")
        self.curve.append([round(value, 9) for value in parts.tolist()])
        self._step_parts = None
        self._refuse_constant_terms()

    def _refuse_constant_terms(self) -> None:
        """A term that gave exactly the same value on every batch so far teaches nothing: a one-output softmax, labels of one kind."""
        if len(self.curve) != _STEPS_TO_JUDGE:
            return
        learner = self.accelerator.unwrap_model(self.model)
        weighted = learner.weighted_terms
        for place, name in enumerate(learner.names):
            values = {step[place] for step in self.curve}
            if name in weighted and len(values) == 1:
                raise InputError(
                    f"the term {name} is {values.pop():g} on each of the first {_STEPS_TO_JUDGE} batches: nothing is learnt from it",
                    where="distillation.terms",
                    mend="Remove the term, or check what it compares: one output, one label, or a student that is its teacher.",
                )

    def _stop_at(self, batch: Any, what: str) -> None:
        step = self.state.global_step + 1
        names = item_ids(self._examples, batch["rows"].tolist())
        shown = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
        saved = sorted(int(p.name.rpartition("-")[2]) for p in Path(self.args.output_dir).glob("checkpoint-*"))
        last = f"the last good checkpoint is step {saved[-1]}" if saved else "no checkpoint had been written"
        raise InputError(
            f"{what} at step {step}, on the items {shown}; {last}",
            where="distillation",
            mend="Lower `learning_rate` or raise `warmup_steps`; if the same items return, look at them.",
        )

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        # Resting weights (an adapter's base) and second names of tied weights are not written again and again.
        if not self.args.should_save:
            return
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(_distinct(state_dict or self._learning_state()), str(folder / "model.safetensors"), metadata={"format": "pt"})
        (folder / _CURVE).write_text(json.dumps(self.curve), encoding="utf-8")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.curve = json.loads((Path(resume_from_checkpoint) / _CURVE).read_text(encoding="utf-8"))

    def _learning_state(self) -> dict[str, Tensor]:
        learner = self.accelerator.unwrap_model(self.model)
        resting = {name for name, parameter in learner.named_parameters(remove_duplicate=False) if not parameter.requires_grad}
        return {name: tensor for name, tensor in learner.state_dict().items() if name not in resting}

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        # Second names of tied weights and resting weights are absent by design; anything unexpected is a fault.
        if load_result.unexpected_keys:
            raise InputError(
                f"the checkpoint holds unknown weights: {', '.join(load_result.unexpected_keys[:3])}",
                where=str(self.args.output_dir),
                mend="Remove the folder and start again.",
            )


def _distinct(state: dict[str, Tensor]) -> dict[str, Tensor]:
    seen: set[tuple[int, tuple[int, ...]]] = set()
    distinct: dict[str, Tensor] = {}
    for name, tensor in state.items():
        key = (tensor.data_ptr(), tuple(tensor.shape))
        if key not in seen or tensor.numel() == 0:
            distinct[name] = tensor.contiguous()
        seen.add(key)
    return distinct


def training_arguments(recipe: Distillation, folder: Path, *, world_size: int = 1) -> TrainingArguments:
    """The recipe as transformers says it.

    Raises:
        InputError: if the batch cannot be split, or `trainer:` repeats or misnames a key.
    """
    parts = recipe.gradient_accumulation * world_size
    if recipe.batch_size % parts:
        raise InputError(
            f"is {recipe.batch_size}, which {world_size} processes x gradient_accumulation {recipe.gradient_accumulation} do not divide",
            where="distillation.batch_size",
            mend=f"Choose a multiple of {parts}.",
        )
    ours: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": recipe.steps,
        "num_train_epochs": 1,
        "per_device_train_batch_size": recipe.batch_size // parts,
        "gradient_accumulation_steps": recipe.gradient_accumulation,
        "learning_rate": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
        "warmup_steps": recipe.warmup,
        "lr_scheduler_type": _SCHEDULES[recipe.schedule],
        "max_grad_norm": recipe.max_gradient_norm,
        "optim": "adamw_torch_fused" if recipe.trainer.get("optim") is None else recipe.trainer["optim"],
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "bf16": recipe.dtype == "bfloat16",
        "save_strategy": "steps",
        "save_steps": min(recipe.checkpoint_every, recipe.steps + 1),
        "logging_strategy": "no",
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "log_level": "error",
    }
    if repeated := sorted((set(ours) - {"optim"}) & set(recipe.trainer)):
        raise InputError(
            f"repeats what the recipe sets elsewhere: {', '.join(repeated)}",
            where="distillation.trainer",
            mend="Set it in the recipe's own keys.",
        )
    try:
        return TrainingArguments(**{**ours, **recipe.trainer})
    except (TypeError, ValueError) as error:
        raise InputError(
            f"is not what transformers takes: {error}", where="distillation.trainer", mend="Use keys of transformers.TrainingArguments."
        ) from error
