"""How a run tells where it is, and what it keeps of its way: the loss of every step, whole checkpoints only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from kdgov.digest import tree_manifest, write_atomic
from kdgov.processes import is_first
from kdgov.progress import DETAIL, Progress

WHOLE = "kdgov-checkpoint.json"
CURVE_POINTS = 200
"""Points of a curve that are kept for people; `losses.json` has every step."""


class Teller(TrainerCallback):
    """Tells progress, and marks a checkpoint as whole once all of it is on disk.

    Args:
        progress: told every step.
        run: digest of the run, kept in its checkpoints.
        after_step: called with state and control after every step; its words stand on the progress line.
    """

    def __init__(self, progress: Progress, run: str, after_step: Callable[[Any, Any], str]) -> None:
        self._progress, self._run, self._after_step = progress, run, after_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tell the step and its losses."""
        words = self._after_step(state, control)
        if words:
            self._progress(f"distilling{DETAIL}{words}", state.global_step, state.max_steps)
        self._progress("distilling", state.global_step, state.max_steps)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Seal the checkpoint just written, and drop older ones."""
        if args.world_size > 1:
            # The others write into it too: their random numbers, and their shards.
            torch.distributed.barrier()
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        record = {"run": self._run, "files": tree_manifest(folder, exclude=[WHOLE])}
        write_atomic(folder / WHOLE, json.dumps(record, sort_keys=True).encode())
        for older in Path(args.output_dir).glob("checkpoint-*"):
            # The one before stays, should this one be damaged.
            if _step(older) < state.global_step - 2 * args.save_steps + 1:
                shutil.rmtree(older)


def last_whole_checkpoint(folder: Path, run: str) -> Path | None:
    """The latest checkpoint of this very run that is whole; later ones that are not are removed."""
    for candidate in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
        try:
            record = json.loads((candidate / WHOLE).read_bytes())
        except (OSError, ValueError):
            record = {}
        if record.get("run") == run and record.get("files") == tree_manifest(candidate, exclude=[WHOLE]):
            return candidate
        shutil.rmtree(candidate)
    return None


def agreed_checkpoint(folder: Path, run: str) -> Path | None:
    """`last_whole_checkpoint` as the first process finds it, for all that train together: each alone might find another."""
    found = [last_whole_checkpoint(folder, run) if is_first() and folder.is_dir() else None]
    if torch.distributed.is_initialized():
        torch.distributed.broadcast_object_list(found, src=0)
    return found[0]


def training_curves(rows: Sequence[Mapping[str, float]], scheduler: Any) -> dict[str, Any]:
    """The run's curves, thinned to at most `CURVE_POINTS` steps, the first and the last among them.

    Args:
        rows: every step's loss per term.
        scheduler: the learning rate's; one that is no function of the step is left out.

    Returns:
        ``steps`` (from 1) and ``curves``: ``loss/<term>`` and ``learning_rate``, each as long as ``steps``.
    """
    count = min(len(rows), CURVE_POINTS)
    kept = sorted({round(i * (len(rows) - 1) / max(1, count - 1)) for i in range(count)})
    curves = {f"loss/{term}": [rows[i][term] for i in kept] for term in (rows[0] if rows else {})}
    lambdas = getattr(scheduler, "lr_lambdas", None)
    if lambdas:
        curves["learning_rate"] = [scheduler.base_lrs[0] * lambdas[0](i) for i in kept]
    return {"schema": "kdgov.training_curves/1", "steps": [i + 1 for i in kept], "curves": curves}


def _step(folder: Path) -> int:
    number = folder.name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1
