"""Release workflow: check → distill → evaluate → gate → record → promote, each step once, each handed what the steps before it made.

`resolve` serves every command on a release: ``kdgov run`` takes all steps, ``kdgov gate RELEASE`` those that the gate needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from kdgov.errors import InputError
from kdgov.evaluation.plan.sources import suites_digest
from kdgov.pipeline.check import check_step
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.data_checks.before_training import refuse_blocked_training
from kdgov.pipeline.distill import distill_step, student_at_hand
from kdgov.pipeline.evaluate import evaluate_step
from kdgov.pipeline.finished_work.step_results import (
    CheckResult,
    DistillResult,
    EvaluateResult,
    GateResult,
    GenerateResult,
    PromoteResult,
    RecordResult,
    StepResult,
)
from kdgov.pipeline.gate import Judgeable, gate_step
from kdgov.pipeline.generation.generate_step import generate_step, teacher_text_terms
from kdgov.pipeline.inputs.distill_inputs import distill_inputs
from kdgov.pipeline.late_scans.planned_items import planned_items_step
from kdgov.pipeline.promote import promote_step
from kdgov.pipeline.record import record_step
from kdgov.pipeline.scan_teacher_text import written_step
from kdgov.processes import is_first

StepName = Literal["check", "generate", "distill", "evaluate", "gate", "record", "promote"]
StoppedBy = Literal["", "check", "generate", "gate", "promote"]
PIPELINE: tuple[StepName, ...] = ("check", "generate", "distill", "evaluate", "gate", "record", "promote")
"""The steps, in order; ``generate`` is taken where a teacher writes."""
NEEDS: dict[StepName, tuple[StepName, ...]] = {
    "check": (),
    "generate": (),
    "distill": (),
    "evaluate": ("distill",),
    "gate": ("check", "distill", "evaluate"),
    "record": ("gate", "distill"),
    "promote": ("record", "distill"),
}
"""Step → the steps whose results it is handed."""

R = TypeVar("R", bound=StepResult)


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
class StepOptions:
    """What a command may ask of the steps beyond the release."""

    statements: Sequence[Path] = ()
    """Signed waivers and approvals, for the gate."""
    trust: Path | None = None
    """File of the trust store; None: the usual place."""
    registry: str | None = None
    """Address of the registry; None: KDGOV_REGISTRY, else the store's own."""
    upload_weights: bool = False
    """Copy the weights into the registry."""
    alias: str = "champion"
    """The guarded alias."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How a release went."""

    taken: tuple[StepTaken, ...]
    """Steps taken, in order."""
    stopped_by: StoppedBy = ""
    """Empty when every step said yes; otherwise the step whose answer was no."""

    def result_of(self, step: StepName) -> StepResult | None:
        """The result of one step, or None where the run ended before it."""
        return next((taken.finished for taken in self.taken if taken.step == step), None)

    def of(self, kind: type[R]) -> R:
        """The result of a step that was taken.

        Raises:
            KeyError: if it was not.
        """
        for taken in self.taken:
            if isinstance(taken.finished, kind):
                return taken.finished
        raise KeyError(kind.STEP)


@dataclass(slots=True, kw_only=True)
class StepTaker:
    """Takes the steps of one release, each once, and hands it the results it needs."""

    context: ReleaseContext
    """The release."""
    options: StepOptions
    """What the command asks beyond it."""
    taken: list[StepTaken] = field(default_factory=list)
    """Steps taken, in order."""

    def take(self, name: StepName) -> StepTaken:
        """Take one step, of which all that it needs has been taken."""
        began = time.monotonic()
        finished: StepResult = getattr(self, f"_{name}")()
        self.taken.append(StepTaken(step=name, finished=finished, wall_s=time.monotonic() - began))
        return self.taken[-1]

    def outcome(self, stopped_by: StoppedBy = "") -> RunOutcome:
        """What has been taken so far."""
        return RunOutcome(taken=tuple(self.taken), stopped_by=stopped_by)

    def _check(self) -> CheckResult:
        return check_step(self.context)

    def _generate(self) -> GenerateResult:
        self._refuse_blocked()
        return generate_step(self.context, distill_inputs(self.context))

    def _distill(self) -> DistillResult:
        self._refuse_blocked()
        return distill_step(self.context)

    def _refuse_blocked(self) -> None:
        """A student that is at hand is judged, whatever the check says; on blocked data none is trained."""
        if self.context.release.distillation is None or not is_first():
            return
        checked = self.outcome().result_of("check")
        if isinstance(checked, CheckResult) and not checked.stops:
            return
        if not student_at_hand(self.context):
            refuse_blocked_training(self.context, checked=checked if isinstance(checked, CheckResult) else None)

    def _evaluate(self) -> EvaluateResult:
        return evaluate_step(self.context, self.outcome().of(DistillResult))

    def _gate(self) -> GateResult:
        made = self.outcome()
        distilled = made.of(DistillResult)
        judgeable = Judgeable(
            checked=made.of(CheckResult),
            distilled=distilled,
            evaluated=made.of(EvaluateResult),
            written=written_step(self.context, distilled.folder),
            planned=planned_items_step(self.context, made.of(EvaluateResult).plan, distilled.folder),
        )
        return gate_step(self.context, judgeable, statements=self.options.statements, trust=self.options.trust)

    def _record(self) -> RecordResult:
        made, asked = self.outcome(), self.options
        weights = _weights(made.of(DistillResult))
        return record_step(self.context, made.of(GateResult), weights=weights, registry=asked.registry, upload_weights=asked.upload_weights)

    def _promote(self) -> PromoteResult:
        made, asked = self.outcome(), self.options
        weights = _weights(made.of(DistillResult))
        return promote_step(self.context, made.of(RecordResult), weights=weights, alias=asked.alias, registry=asked.registry)


def _weights(distilled: DistillResult) -> Path | None:
    """Folder of the student's checkpoint; None where the student is an endpoint."""
    return distilled.checkpoint if distilled.student else None


def resolve(context: ReleaseContext, *, until: StepName, options: StepOptions | None = None) -> RunOutcome:
    """Take the steps that one step needs, each once, and the step itself; what is finished is reused.

    No answer stops it: a command that asks for a decision gets one, also where the check says no.

    Args:
        context: the release.
        until: the step that is wanted.
        options: what the command asks beyond the release.

    Raises:
        InputError: if the release or something it names is at fault.
        UnavailableError: if the store, a hub or the registry is not to be had.
    """
    way = StepTaker(context=context, options=options or StepOptions())
    wanted = _needed(until)
    for name in PIPELINE:
        if name in wanted:
            _look_for_items(context, before=name, until=until)
            way.take(name)
    return way.outcome()


def run_release(
    context: ReleaseContext,
    *,
    on_step: Callable[[StepTaken], None],
    options: StepOptions | None = None,
    until: StepName = "promote",
) -> RunOutcome:
    """Take a release as far as it may go, or until one step, telling ``on_step`` after each step.

    A stopping finding ends it before any compute, one on the teacher's text before any training.
    A refused decision is recorded, so that the risk team sees it, but never
    promoted. What is recorded and promoted is the very decision that was judged, also when the policy is edited meanwhile.

    Raises:
        InputError: if it is to end at a step that the release does not have.
    """
    if until == "generate" and not teacher_text_terms(context):
        mend = "Name another step: check, distill, evaluate, gate, record or promote."
        raise InputError("--until generate has no effect: no teacher writes in this release", where=str(context.path), mend=mend)
    way = StepTaker(context=context, options=options or StepOptions())
    stopped_by: StoppedBy = ""
    for name in PIPELINE:
        if name == "generate" and not teacher_text_terms(context):
            continue
        if stopped_by in ("check", "generate") or (stopped_by == "gate" and name == "promote"):
            break
        _look_for_items(context, before=name, until=until)
        taken = way.take(name)
        on_step(taken)
        stopped_by = stopped_by or refusal_of(taken.finished)
        if name == until:
            break
    return way.outcome(stopped_by)


def _look_for_items(context: ReleaseContext, *, before: StepName, until: StepName) -> None:
    """Refuse suites whose items are not at hand before a teacher is asked or a student trained that they are to judge."""
    is_trained, is_judged = context.release.distillation is not None, PIPELINE.index(until) >= PIPELINE.index("evaluate")
    if before in ("generate", "distill") and is_trained and is_judged:
        suites_digest(context.release.suites, beside=context.path)


def refusal_of(finished: StepResult) -> StoppedBy:
    """The step whose answer is no; empty where the release may go on."""
    match finished:
        case CheckResult(stops=True):
            return "check"
        case GenerateResult(stops=True):
            return "generate"
        case GateResult() if finished.verdict != "pass":
            return "gate"
        # A passing decision is not enough: a revoked version, changed weights or an untrusted signature is refused as well.
        case PromoteResult(promoted=False):
            return "promote"
    return ""


def _needed(step: StepName) -> frozenset[StepName]:
    return frozenset({step}.union(*(_needed(name) for name in NEEDS[step])))
