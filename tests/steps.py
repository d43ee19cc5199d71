"""Steps of a release as the commands take them: with the steps they need, each once."""

from __future__ import annotations

from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.finished_work.step_results import EvaluateResult, GateResult
from kdgov.pipeline.run import resolve


def evaluated(context: ReleaseContext) -> EvaluateResult:
    """Both models' answers."""
    return resolve(context, until="evaluate").of(EvaluateResult)


def gated(context: ReleaseContext) -> GateResult:
    """The decision in its bundle."""
    return resolve(context, until="gate").of(GateResult)
