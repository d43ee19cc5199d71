"""Watching a run on examples it does not learn from: the split, the measurement, the best student, and when to stop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from kdgov.declarations.distillation import HeldOut
from kdgov.distillation.data.collation import Prepared
from kdgov.errors import InputError

_BEST = "best-{step}.safetensors"
_LEAST = 2


def split(prepared: Prepared, held_out: HeldOut | None, *, seed: int) -> tuple[Prepared, tuple[Any, ...]]:
    """The examples that are learnt from, and those that are not.

    Copies of one example fall on one side: the side is decided by a digest of the content and the seed.

    Args:
        prepared: all examples.
        held_out: what is kept out; None keeps nothing out.
        seed: another seed gives another split.

    Raises:
        InputError: if one side would be empty.
    """
    if held_out is None:
        return prepared, ()
    contents = [_content(item) for item in prepared.items]
    places = {c: int(sha256(f"{seed}:{c}".encode()).hexdigest()[:15], 16) for c in dict.fromkeys(contents)}
    ordered = sorted(places, key=lambda content: places[content])
    out = set(ordered[: max(_LEAST, round(held_out.share * len(ordered)))])
    if len(ordered) < 2 * len(out):
        raise InputError(
            f"has {len(ordered)} different examples, too few to hold {len(out)} of them out",
            where="distillation.held_out",
            mend="Remove it, or add data.",
        )
    kept = [row for row, content in enumerate(contents) if content not in out]
    first: dict[str, Any] = {}
    for item, content in zip(prepared.items, contents, strict=True):
        if content in out:
            first.setdefault(content, item)
    learnt = dataclasses.replace(prepared, items=[prepared.items[row] for row in kept], lengths=prepared.lengths[np.asarray(kept)])
    return learnt, tuple(first.values())


def _content(item: Any) -> str:
    if (content := getattr(item, "content", None)) is not None:
        return str(content)
    parts: list[bytes] = [_bytes(getattr(item, name, None)) for name in ("ids", "target", "types", "file")]
    return sha256(b"\x00".join(parts)).hexdigest()


def _bytes(value: Any) -> bytes:
    return value.tobytes() if isinstance(value, np.ndarray) else str(value or "").encode()


@dataclass(slots=True, kw_only=True)
class Watch:
    """What a run knows of its held-out loss; part of every checkpoint."""

    rule: HeldOut
    """What is declared."""
    items: Sequence[Any]
    """The examples."""
    collate: Callable[..., dict[str, Any]]
    """Makes their batches."""
    batch_size: int
    """Examples per batch."""
    folder: Path
    """Where the best student lies."""
    rows: list[dict[str, float]] = field(default_factory=list)
    """Every measurement: ``step``, ``loss``, and each term without its factor."""

    def is_due(self, step: int, last: int) -> bool:
        """Whether a step is measured after: every so many, and the last one."""
        return step % self.rule.every == 0 or step == last

    def measure(self, learner: Any, step: int, device: torch.device) -> dict[str, float]:
        """Mean loss and terms over the held-out examples, as the training counts them; remembered."""
        shown = list(enumerate(self.items[: self.rule.examples]))
        was_training = learner.training
        learner.eval()
        loss, parts, weight = 0.0, np.zeros(len(learner.names)), 0.0
        with torch.no_grad():
            for start in range(0, len(shown), self.batch_size):
                batch = _moved(self.collate(shown[start : start + self.batch_size]), device)
                if learner.learns_from_samples_alone:
                    batch["on_policy"] = batch["weights"].new_ones(len(batch["weights"]))
                value, terms = learner(batch)
                loss, parts = loss + float(value), parts + terms.double().cpu().numpy()
                weight += float(batch["weights"].sum(dtype=torch.float64))
        learner.train(was_training)
        named = {name: round(float(v), 9) for name, v in zip(learner.names, parts / weight, strict=True)}
        row = {"step": float(step), "loss": round(loss / weight, 9), **named}
        self.rows.append(row)
        return row

    @property
    def best(self) -> dict[str, float] | None:
        """The first measurement that no later one improved on."""
        best: dict[str, float] | None = None
        for row in self.rows:
            if best is None or row["loss"] < best["loss"] - self.rule.improvement:
                best = row
        return best

    @property
    def should_stop(self) -> bool:
        """Whether as many measurements as declared went by without improvement."""
        best = self.best
        return self.rule.patience is not None and best is not None and self.rows[::-1].index(best) >= self.rule.patience

    def keep(self, state: Mapping[str, Tensor], step: int) -> None:
        """Write the weights that learn, where this step is the best so far."""
        if self.rule.keep_best and self.best is not None and self.best["step"] == step:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file(dict(state), str(self.folder / _BEST.format(step=step)))

    def forget(self, before: int) -> None:
        """Remove weights of steps that a resumed run would not go back to: those of the best at a checkpoint stay."""
        best = self.best
        for file in self.folder.glob(_BEST.format(step="*")):
            step = int(file.stem.partition("-")[2])
            if step <= before and (best is None or step != best["step"]):
                file.unlink()

    def load_best(self, learner: Any) -> int | None:
        """Put the best weights into the learner; the step they are of, or None where the last ones stay."""
        best = self.best
        if not self.rule.keep_best or best is None or best["step"] == self.rows[-1]["step"]:
            return None
        learner.load_state_dict(load_file(str(self.folder / _BEST.format(step=int(best["step"])))), strict=False)
        return int(best["step"])

    def facts(self, best: int | None, steps: int, declared: int) -> dict[str, Any]:
        """What the record says."""
        return {
            "examples": len(self.items),
            "measured": min(len(self.items), self.rule.examples),
            "rows": self.rows,
            "student_of_step": best or steps,
            "stopped_early": steps < declared,
        }


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    return {key: _moved(part, device) for key, part in value.items()} if isinstance(value, Mapping) else value
