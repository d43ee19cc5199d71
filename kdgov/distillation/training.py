"""A transformers `Trainer` whose loss is the learner's, divided by the weights of the whole batch."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import Trainer
from transformers.trainer_callback import PrinterCallback, TrainerControl, TrainerState

from kdgov.distillation.data.tokenization import item_ids, weigh
from kdgov.distillation.loop.held_out import Watch
from kdgov.distillation.loop.loss_log import LossLog
from kdgov.distillation.loop.sharding import shard_on_a_cpu
from kdgov.distillation.training_progress import Teller
from kdgov.errors import InputError
from kdgov.progress import Progress

_CURVE = "curve.json"
_SCALE = 1024.0
"""Factor of the loss while float16 is computed on a CPU, so that small gradients are not rounded to nought."""
_STEPS_TO_JUDGE, _FEWEST = 8, 3
"""Batches after which a term that never changed is told; fewer may agree by chance."""


class NotFiniteError(InputError):
    """A loss or a gradient that is not finite: the training diverged."""


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
        sampler: puts the student's own samples in the place of some batches.
        watch: held-out examples; None: none are measured.
        log: takes every step's losses as they come.
        cpu_dtype: type computed in on a CPU; None: that of the weights.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        *,
        examples: Sequence[Any],
        progress: Progress,
        run: str,
        sampler: Any | None = None,
        watch: Watch | None = None,
        log: LossLog | None = None,
        cpu_dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        super().__init__(callbacks=[Teller(progress, run, self.after_step)], **options)
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = False
        self._examples, self._sampler = examples, sampler
        self._step_parts: Tensor | None = None
        self.curve: list[list[float]] = []
        self.watch, self._log = watch, log or LossLog(None)
        self._cpu_dtype = None if cpu_dtype in (None, torch.float32) or self.args.device.type != "cpu" else cpu_dtype
        self._scale = _SCALE if self._cpu_dtype == torch.float16 else 1.0
        self._log.restart([], [])
        for teacher in options["model"].teachers:
            teacher.to(self.args.device)

    def create_accelerator_and_postprocess(self) -> None:
        """As transformers does it, with shards on a CPU as well."""
        super().create_accelerator_and_postprocess()
        shard_on_a_cpu(self)

    def compute_loss_context_manager(self) -> contextlib.ExitStack:
        """Autocast, on a CPU as well."""
        stack: contextlib.ExitStack = super().compute_loss_context_manager()
        if self._cpu_dtype is not None:
            stack.enter_context(torch.autocast("cpu", dtype=self._cpu_dtype))
        return stack

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
        loss = loss * (self._scale * self.args.world_size / num_items_in_batch).to(loss.dtype)
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
        if self._scale != 1.0:
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad.div_(self._scale)
        norm = super()._clip_grad_norm(model)
        # Under a gradient scaler an infinite gradient is no fault: it skips the step and lowers its scale.
        if norm is not None and not math.isfinite(float(norm)) and self.accelerator.scaler is None:
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
        self._log.add(self.rows(len(self.curve) - 1)[0])
        self._refuse_constant_terms()

    def rows(self, first: int = 0) -> list[dict[str, float]]:
        """Steps from ``first`` on: the step's number, and each term without its factor."""
        names = self.accelerator.unwrap_model(self.model).names
        return [{"step": n + 1, **dict(zip(names, step, strict=True))} for n, step in enumerate(self.curve[first:], start=first)]

    def after_step(self, state: TrainerState, control: TrainerControl) -> str:
        """Measure on held-out examples where that is due, tell trackers, decide whether to stop; words for the progress line."""
        row = self.rows(len(self.curve) - 1)[0] if self.curve else {}
        if self.args.report_to:
            self.log({f"train/{name}": value for name, value in row.items() if name != "step"})
        words = [_named(row, "loss")]
        if self.watch is not None and self.watch.is_due(state.global_step, state.max_steps):
            learner = self.accelerator.unwrap_model(self.model)
            with self.compute_loss_context_manager():
                measured = self.watch.measure(learner, state.global_step, self.args.device)
            if self.watch.rule.keep_best and self.is_world_process_zero():
                self.watch.keep(_distinct(self._learning_state()), state.global_step)
            self._log.add({"held_out": measured})
            if self.args.report_to:
                self.log({f"held_out/{name}": value for name, value in measured.items() if name != "step"})
            control.should_training_stop = control.should_training_stop or self.watch.should_stop
        if self.watch is not None and self.watch.rows:
            words.append(f"held out {_named(self.watch.rows[-1], 'loss')}")
        return ", ".join(words)

    def _refuse_constant_terms(self) -> None:
        """A term that gave exactly the same value on every batch so far teaches nothing: a one-output softmax, labels of one kind."""
        judged = min(_STEPS_TO_JUDGE, self.args.max_steps)
        if len(self.curve) != judged or judged < _FEWEST:
            return
        learner = self.accelerator.unwrap_model(self.model)
        weighted = learner.weighted_terms
        for place, name in enumerate(learner.names):
            values = {step[place] for step in self.curve}
            if name in weighted and len(values) == 1:
                raise InputError(
                    f"the term {name} is {values.pop():g} on each of the first {judged} batches: nothing is learnt from it",
                    where="distillation.terms",
                    mend="Remove the term, or check what it compares: one output, one label, or a student that is its teacher.",
                )

    def _stop_at(self, batch: Any, what: str) -> None:
        step = self.state.global_step + 1
        names = item_ids(self._examples, batch["rows"].tolist())
        shown = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
        saved = sorted(int(p.name.rpartition("-")[2]) for p in Path(self.args.output_dir).glob("checkpoint-*"))
        last = f"the last good checkpoint is step {saved[-1]}" if saved else "no checkpoint had been written"
        raise NotFiniteError(
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
        known = {"steps": self.curve, "held_out": [] if self.watch is None else self.watch.rows}
        (folder / _CURVE).write_text(json.dumps(known), encoding="utf-8")
        if self.watch is not None:
            self.watch.forget(self.state.global_step)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        known = json.loads((Path(resume_from_checkpoint) / _CURVE).read_text(encoding="utf-8"))
        self.curve = known["steps"]
        if self.watch is not None:
            self.watch.rows[:] = known["held_out"]
        self._log.restart(self.rows(), known["held_out"])

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


def _named(row: Mapping[str, float], called: str) -> str:
    """``loss 1.234, soft_targets 0.567`` of a row: what is nought or a step's number is left out."""
    shown = [f"{called if name == 'loss' else name} {value:.4g}" for name, value in row.items() if name != "step" and value]
    return " ".join(shown)


def _distinct(state: dict[str, Tensor]) -> dict[str, Tensor]:
    seen: set[tuple[int, tuple[int, ...]]] = set()
    distinct: dict[str, Tensor] = {}
    for name, tensor in state.items():
        key = (tensor.data_ptr(), tuple(tensor.shape))
        if key not in seen or tensor.numel() == 0:
            distinct[name] = tensor.contiguous()
        seen.add(key)
    return distinct
