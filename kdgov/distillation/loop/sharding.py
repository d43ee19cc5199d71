"""A student in shards over several processes (FSDP 2, DeepSpeed): what that needs, and what it cannot be combined with."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

from kdgov.declarations.distillation import Distillation, OnPolicy
from kdgov.errors import InputError, UnavailableError

_WHERE = "distillation.trainer"


def refuse_unready_shards(recipe: Distillation, *, world_size: int, has_adapter: bool = False) -> None:
    """Nothing, if the student can be held in the shards that `trainer:` asks for, or none are asked for.

    Raises:
        InputError: for what shards cannot be combined with.
        UnavailableError: for a package that is not installed, and for one process alone.
    """
    by_fsdp, by_deepspeed = bool(recipe.trainer.get("fsdp")), bool(recipe.trainer.get("deepspeed"))
    if by_deepspeed and importlib.util.find_spec("deepspeed") is None:
        told = "deepspeed: needs a package that is not installed: deepspeed"
        raise UnavailableError(told, where=_WHERE, mend="`pip install deepspeed`, or use `fsdp: true`, which needs no further package.")
    if by_fsdp and world_size == 1:
        raise UnavailableError(
            "fsdp: shards a student over several processes, and this is one alone",
            where=_WHERE,
            mend="Start them with `torchrun --nproc-per-node 2 -m kdgov distill …` or `accelerate launch`, or remove `fsdp`.",
        )
    if by_fsdp and not torch.accelerator.is_available() and _version(recipe) != 2:
        raise UnavailableError("fsdp_config: version 1 shards on accelerators alone", where=_WHERE, mend="Write `version: 2`.")
    if by_fsdp or by_deepspeed:
        _refuse_beside_shards(recipe, has_adapter=has_adapter)


def _version(recipe: Distillation) -> int:
    config = recipe.trainer.get("fsdp_config") or {}
    said: Any = config.get("version", config.get("fsdp_version", 2)) if isinstance(config, dict) else 2
    return int(said) if str(said).isdigit() else 2


def _refuse_beside_shards(recipe: Distillation, *, has_adapter: bool) -> None:
    wrong = {
        "distillation.held_out.keep_best": recipe.held_out is not None and recipe.held_out.keep_best,
        "student.adapter": has_adapter,
        "distillation.terms: on_policy": any(isinstance(term, OnPolicy) for term in recipe.terms),
    }
    told = {
        "distillation.held_out.keep_best": ("the best student's weights cannot be put together", "Set `keep_best: false`."),
        "student.adapter": (
            "an adapter cannot be merged into its base",
            "Train it without shards: its base rests and takes no optimiser.",
        ),
        "distillation.terms: on_policy": ("a student cannot write samples", "Remove the term, or `fsdp` and `deepspeed`."),
    }
    for where, is_wrong in wrong.items():
        if is_wrong:
            what, mend = told[where]
            raise InputError(f"{what} where its weights are sharded", where=where, mend=mend)


def shard_on_a_cpu(trainer: Any) -> None:
    """Let accelerate shard over processes on a CPU as it does on accelerators; it would hold the whole model in each of them."""
    state, asked = trainer.accelerator.state, trainer.args.fsdp_plugin_args
    if asked is None or state.distributed_type != DistributedType.MULTI_CPU:
        return
    state.fsdp_plugin = FullyShardedDataParallelPlugin(**asked)
    state.distributed_type = PartialState().distributed_type = DistributedType.FSDP
    trainer.is_fsdp_enabled = True
