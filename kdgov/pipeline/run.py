"""The whole way of one release: check → distill → evaluate → gate → record → promote."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from kdgov.pipeline.check import check_step
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.distill import distill_step
from kdgov.pipeline.evaluate import evaluate_step
from kdgov.pipeline.gate import gate_step
from kdgov.pipeline.promote import promote_step
from kdgov.pipeline.record import record_step
from kdgov.pipeline.store import StepResult

StepName = Literal["check", "distill", "evaluate", "gate", "record", "promote"]
Step = Callable[[ReleaseContext], StepResult]

PIPELINE: tuple[tuple[StepName, Step], ...] = (
    ("check", check_step),
    ("distill", distill_step),
    ("evaluate", evaluate_step),
    ("gate", gate_step),
    ("record", record_step),
    ("promote", promote_step),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTaken:
    """One step of a run as it went."""

    step: StepName
    """Which step."""
    finished: StepResult
    """Its result."""
    wall_s: float
    """Wall time it took now; a reused result takes next to none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How a release went."""

    taken: tuple[StepTaken, ...]
    """Steps taken, in order."""
    stopped_by: Literal["", "check", "gate", "promote"]
    """Empty when the release was promoted; otherwise the step whose answer was no."""

    def result_of(self, step: StepName) -> StepResult | None:
        """The result of one step, or None where the run ended before it."""
        return next((taken.finished for taken in self.taken if taken.step == step), None)


def run_release(context: ReleaseContext, *, on_step: Callable[[StepTaken], None]) -> RunOutcome:
    """Take a release as far as it may go, telling ``on_step`` after each step.

    A stopping finding ends it before any compute. A refused decision is recorded, so that the risk team sees it, but never
    promoted.
    """
    taken: list[StepTaken] = []
    stopped_by: Literal["", "check", "gate", "promote"] = ""
    for name, step in PIPELINE:
        if stopped_by == "check" or (stopped_by == "gate" and name == "promote"):
            break
        began = time.monotonic()
        finished = step(context)
        taken.append(StepTaken(step=name, finished=finished, wall_s=time.monotonic() - began))
        on_step(taken[-1])
        if name == "check" and finished.facts["stops"]:
            stopped_by = "check"
        if name == "gate" and finished.facts["verdict"] != "pass":
            stopped_by = "gate"
        # A passing decision is not enough: a revoked version, changed weights or an untrusted signature is refused as well.
        if name == "promote" and not finished.facts["promoted"]:
            stopped_by = "promote"
    return RunOutcome(taken=tuple(taken), stopped_by=stopped_by)
