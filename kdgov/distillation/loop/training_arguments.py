"""A recipe as `transformers.TrainingArguments`, and what is refused among the arguments a release adds."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainingArguments, get_scheduler
from transformers.integrations import get_reporting_integration_callbacks

from kdgov.declarations.distillation import Distillation
from kdgov.distillation.loop.compiled_student import COMPILING, compile_options
from kdgov.distillation.loop.sharding import refuse_unready_shards
from kdgov.errors import DeclarationError, Fault, InputError, UnavailableError

_SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
_RENAMED = {
    "gradient_checkpointing": "activation_checkpointing",
    "gradient_checkpointing_kwargs": "activation_checkpointing_kwargs",
}
"""Names that transformers gives up → their new ones."""
_WATCH = "Use the recipe's `held_out:`."
_FIXED = "Remove it: the batch is fixed, so that a run can be repeated."
_ELSEWHERE = {
    **dict.fromkeys(
        (
            "eval_strategy", "eval_steps", "eval_delay", "eval_on_start", "do_eval", "per_device_eval_batch_size", "prediction_loss_only",
            "load_best_model_at_end", "metric_for_best_model", "greater_is_better", "eval_accumulation_steps", "batch_eval_metrics",
            "eval_do_concat_batches", "eval_use_gather_object", "include_for_metrics", "eval_dataset_names",
        ),
        _WATCH,
    ),
    **dict.fromkeys(("bf16", "fp16", "bf16_full_eval", "fp16_full_eval"), "Use the recipe's `dtype:`."),
    **dict.fromkeys(("train_sampling_strategy", "length_column_name"), "Use the recipe's `length_bucketing:`."),
    "report_to": "Use the recipe's `report_to:`.",
    "label_smoothing_factor": "Remove it; `soft_targets` are what softens labels here.",
    "neftune_noise_alpha": "Remove it.",
    "auto_find_batch_size": _FIXED,
    "dataloader_drop_last": _FIXED,
    "use_liger_kernel": "Remove it: head and loss are fused already (`fused_head`).",
    "liger_kernel_config": "Remove it: head and loss are fused already (`fused_head`).",
    # It splits batches and counts accumulation anew.
    "accelerator_config": _FIXED,
    "parallelism_config": "Remove it, or spread the student with `fsdp: true`.",
    # A token among them would be kept in the record.
    **dict.fromkeys(
        ("push_to_hub", "hub_token", "hub_model_id", "hub_strategy", "hub_private_repo", "hub_always_push", "hub_revision"),
        "Remove it: a student goes out after the gate.",
    ),
    **dict.fromkeys(
        ("resume_from_checkpoint", "ignore_data_skip", "save_only_model", "restore_callback_states_from_checkpoint"),
        "Remove it: a killed run goes on by itself.",
    ),
    **dict.fromkeys(("logging_steps", "logging_first_step"), "Remove it: every step is logged (`losses.jsonl`, `report_to`)."),
    **dict.fromkeys(("local_rank", "ddp_backend"), "Remove it: `torchrun` or `accelerate launch` says it."),
    **dict.fromkeys(
        ("do_train", "do_predict", "label_names", "include_num_input_tokens_seen", "skip_memory_metrics", "log_level_replica",
         "log_on_each_node", "use_cache", "average_tokens_across_devices"),
        "Remove it.",
    ),
}  # fmt: skip
"""Arguments that would be ignored, or break what is promised → what to write instead."""


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
    ours = _own_arguments(recipe, folder, parts)
    refuse_unsuitable(recipe)
    if world_size > 1 and not torch.accelerator.is_available():
        # Not told of the CPU, each process would train alone, on its share of every batch.
        ours["use_cpu"] = True
    said = {_RENAMED.get(key, key): value for key, value in recipe.trainer.items() if key not in COMPILING}
    with argument_faults():
        arguments = TrainingArguments(**{**ours, **said})
    if arguments.world_size != world_size:
        raise UnavailableError(
            f"{world_size} processes should train together, and transformers joins {arguments.world_size}",
            where="distillation.trainer",
            mend="Start as many processes as there are accelerators, with torchrun or accelerate launch; `--calibrate` takes one.",
        )
    # One process has one accelerator: a model copied to all of a machine's would get as many times the batch.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _own_arguments(recipe: Distillation, folder: Path, parts: int) -> dict[str, Any]:
    """What the recipe says itself; no key of it may stand under `trainer:`, but the optimiser."""
    return {
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
        # On a CPU the trainer autocasts by itself: transformers and accelerate take neither type there without further flags.
        "bf16": recipe.dtype == "bfloat16" and torch.cuda.is_available(),
        "fp16": recipe.dtype == "float16" and torch.cuda.is_available(),
        "save_strategy": "steps",
        "save_steps": min(recipe.checkpoint_every, recipe.steps + 1),
        "logging_strategy": "no",
        "logging_nan_inf_filter": False,
        "report_to": recipe.report_to or "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "log_level": "error",
    }


def refuse_unready(recipe: Distillation, folder: Path, *, world_size: int = 1, has_adapter: bool = False) -> None:
    """Nothing, if all that `trainer:` and `report_to:` ask for is known and at hand; asked before anything is read.

    Args:
        recipe: whose keys they are.
        folder: where checkpoints will lie.
        world_size: processes that train together.
        has_adapter: whether the student is an adapter on a base.

    Raises:
        InputError: for keys that are not known, do nothing here, or cannot be combined.
        UnavailableError: for a package that is not installed, and shards in one process alone.
    """
    compile_options(recipe)
    refuse_unready_shards(recipe, world_size=world_size, has_adapter=has_adapter)
    arguments = training_arguments(recipe, folder, world_size=world_size)
    with argument_faults():
        for tracker in get_reporting_integration_callbacks(arguments.report_to):
            tracker()
        _try_optimizer(arguments)


def _try_optimizer(arguments: TrainingArguments) -> None:
    one = torch.nn.Linear(1, 1)
    kind, options = Trainer.get_optimizer_cls_and_kwargs(arguments, one)
    if options.keys() & {"model", "params", "optimizer_dict"}:
        # Made for the layers of the student itself, which is not there yet.
        return
    get_scheduler(
        arguments.lr_scheduler_type,
        optimizer=kind(one.parameters(), **options),
        num_warmup_steps=int(arguments.warmup_steps),
        num_training_steps=arguments.max_steps,
        scheduler_specific_kwargs=dict(arguments.lr_scheduler_kwargs or {}),
    )


@contextmanager
def argument_faults() -> Iterator[None]:
    """What transformers says of arguments it does not take, as one fault.

    Raises:
        InputError: for an argument it refuses.
        UnavailableError: for a package that is not installed.
    """
    try:
        yield
    except (ImportError, metadata.PackageNotFoundError) as error:
        raise _missing_package(error) from error
    except (TypeError, ValueError, RuntimeError) as error:
        is_missing = any(said in str(error).lower() for said in ("not installed", "to be installed", "pip install", "please install"))
        raise _missing_package(error) if is_missing else _unsuitable(error) from error


def _unsuitable(error: Exception) -> InputError:
    return InputError(
        f"is not what transformers takes: {_first_line(error)}",
        where="distillation.trainer, distillation.report_to",
        mend="Use keys of transformers.TrainingArguments.",
    )


def _missing_package(error: Exception) -> UnavailableError:
    return UnavailableError(
        f"needs a package that is not installed: {_first_line(error)}",
        where="distillation.trainer",
        mend="Install the package it names, or remove the key under `trainer:` (or `report_to:`) that asks for it.",
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def refuse_unsuitable(recipe: Distillation, *, file: str = "") -> None:
    """Nothing, if every key under `trainer:` is one of `transformers.TrainingArguments` that does something here.

    Args:
        recipe: whose keys they are.
        file: the release file they stand in; default the key alone.

    Raises:
        DeclarationError: with every key that is unknown, does nothing in a distillation, or repeats a key of the recipe.
    """
    known = {field.name for field in dataclasses.fields(TrainingArguments)} | set(_RENAMED)
    repeated = set(_own_arguments(recipe, Path(), 1)) - {"optim"}
    faults = []
    for key in sorted(recipe.trainer):
        if key in _ELSEWHERE:
            what, mend = "does nothing in a distillation, or is said elsewhere", _ELSEWHERE[key]
        elif key in repeated:
            what, mend = "repeats what the recipe sets elsewhere", "Set it in the recipe's own keys."
        elif key not in known:
            what, mend = "is no argument of transformers.TrainingArguments", _near(key, known - repeated - set(_ELSEWHERE))
        else:
            continue
        where = (file, f"distillation.trainer.{key}") if file else ("distillation.trainer", key)
        faults.append(Fault(file=where[0], key=where[1], what=what, mend=mend))
    if faults:
        raise DeclarationError(faults)


def _near(key: str, known: set[str]) -> str:
    near = difflib.get_close_matches(key, sorted(known), n=3)
    return f"Did you mean {' or '.join(near)}?" if near else "Use keys of transformers.TrainingArguments."
