"""The MLflow model that a version points at, against what the recording made: address, run, weights, numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kdgov.auditing.registry.snapshot import LoggedModelShown, LoggedNumber, RunShown, VersionShown
from kdgov.auditing.review.audit_findings import AuditFinding, verified, violated

REFERENCE = "model/kdgov.json"
"""Paper of recordings that link datasets and metrics to every run and to the logged model."""
VERSIONS_TAG = "mlflow.modelVersions"
_ROW_MEND = "Trust the signed decision, not the page; ask who wrote to the database, and record the release again as a new version."
_MEND = "Trust the signed decision, not the run; record the release again as a new version."


def review_logged_model(shown: VersionShown, *, is_linked: bool) -> Iterator[AuditFinding]:
    """The MLflow model the version points at: what is loaded, from where, out of which run."""
    logged, subject = shown.logged, "logged model"
    if logged is None:
        return
    student = shown.runs.get("student", RunShown(run_id=logged.run_id)).run_id
    weights = shown.expected.weights if shown.expected is not None else logged.params.get("weights")
    faults = []
    if logged.served_from != logged.location:
        faults.append(f"whoever loads the version is sent to {logged.served_from}, its files lie at {logged.location}")
    if logged.run_id != student:
        faults.append(f"it says it comes from run {logged.run_id or 'none'}, the student's run is {student}")
    if dict(logged.params) != ({"weights": weights} if weights else {}):
        faults.append(f"its parameters are {dict(logged.params)!r}, recorded was weights = {weights}")
    if shown.expected is not None and logged.name != logged_name(shown.facts.name):
        faults.append(f"it is called {logged.name!r}")
    if shown.expected is not None:
        faults += _numbers(logged, shown.expected.logged if is_linked else ())
    if is_linked and {"name": shown.facts.name, "version": str(shown.facts.version)} not in _versions(logged):
        faults.append(f"its tag {VERSIONS_TAG} does not name this version")
    faults += _links(shown, is_linked=is_linked)
    for fault in faults:
        yield violated("registry", subject, f"It is not as recorded: {fault}.", mend=_MEND)
    if not faults:
        yield verified(
            "registry", subject, f"It names the judged weights, comes from the student's run and is loaded from {logged.location}."
        )


def review_model_row(shown: VersionShown, moment: int, signed: Mapping[str, Any]) -> Iterator[AuditFinding]:
    """What else the page of the MLflow model says: when it was made, in which experiment, when and by which run its numbers were logged.

    Args:
        shown: what the registry shows.
        moment: the one moment of the recording's numbers, in milliseconds; 0 where there are none.
        signed: what the signed statement says of the runs; nothing in recordings of earlier versions.
    """
    logged, student = shown.logged, shown.runs.get("student")
    if logged is None or student is None:
        return
    faults = [f"its {what} says {said!r}" for what, said in sorted(logged.further.items()) if said]
    if logged.experiment not in ("", student.experiment_id):
        faults.append("it lies in another experiment than the student's run")
    if logged.moments - {moment}:
        faults.append("its numbers bear another moment than the runs'")
    if logged.metric_runs - {student.run_id}:
        faults.append("its numbers are said to come from another run than the student's")
    stated = dict(signed.get("student") or {}).get("model_created")
    if stated is not None and stated != logged.created:
        faults.append(f"it is said to be made at {logged.created}, signed was {stated}")
    for fault in faults:
        yield violated("registry", "logged model", f"It is not as recorded: {fault}.", mend=_ROW_MEND)


def _links(shown: VersionShown, *, is_linked: bool) -> Iterator[str]:
    """The student's run made this model, once and at step 0; no run of the recording names any other."""
    made = ("output", shown.facts.source.removeprefix("models:/"), 0)
    for role, run in sorted(shown.runs.items()):
        stated = {made} if is_linked and role == "student" else set()
        for way, model, step in sorted(run.models - stated):
            yield f"run {role} names model {model} at step {step} as its {way}, which nobody recorded"
        if stated - run.models:
            yield f"run {role} does not name model {made[1]} as its output any more"


def logged_name(model: str) -> str:
    """The name a recording gives the MLflow model of a registered model: MLflow takes fewer characters there."""
    return re.sub(r"[/:.%\"']", "-", model)


def curve_points(points: Iterable[tuple[int, float]]) -> list[tuple[int, str]]:
    """Points that can be compared: databases keep the last digits of a number differently."""
    return sorted((int(step), f"{value:.9g}") for step, value in points)


def _numbers(logged: LoggedModelShown, expected: Iterable[LoggedNumber]) -> Iterator[str]:
    found, stated = ({(n[0], n[1], f"{n[2]:.9g}", n[3]) for n in rows} for rows in (logged.numbers, expected))
    if odd := sorted(found - stated):
        yield f"it shows {odd[0][0]} = {odd[0][2]} on {odd[0][3] or 'no dataset'}, which nobody recorded"
    elif gone := sorted(stated - found):
        yield f"its metric {gone[0][0]} = {gone[0][2]} is gone"


def _versions(logged: LoggedModelShown) -> list[Any]:
    try:
        stated = json.loads(logged.tags.get(VERSIONS_TAG, "[]"))
    except ValueError:
        return []
    return stated if isinstance(stated, list) else []
