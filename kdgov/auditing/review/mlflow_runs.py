"""What MLflow shows of the three runs against what the recording wrote: every parameter, metric, tag and dataset."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kdgov.auditing.registry.snapshot import Expected, RunShown, VersionShown
from kdgov.auditing.review.audit_findings import AuditFinding, unverifiable, verified, violated
from kdgov.auditing.review.signatures import Attested
from kdgov.digest import digest_json

ROLES = ("release", "teacher", "student")
_MEND = "Trust the signed decision, not the run; record the release again as a new version."
_RELATIVE = 1e-9


def review_runs(shown: VersionShown, attested: Attested) -> Iterator[AuditFinding]:
    """Runs, parameters, metrics and tags against the signed statement and the bundle."""
    stated = attested.predicate.get("criteria") or {}
    signed = {str(k): float(v["value"]) for k, v in dict(stated).items() if isinstance(v, Mapping) and "value" in v}
    for role in ROLES:
        run = shown.runs.get(role)
        if run is None:
            yield violated("registry", f"run {role}", "The recording made this run and it is gone.", mend=_MEND)
            continue
        yield from _kept(role, run)
        release = _release(shown)
        # One recording puts the files of its runs side by side, each under its own run's name.
        if run.artifacts.replace(run.run_id, "") != release.artifacts.replace(release.run_id, ""):
            yield violated(
                "registry", f"run {role}", f"Its files are said to lie at {run.artifacts}, not beside the release's.", mend=_MEND
            )
        if role == "release" and attested.predicate:
            yield from _compare("metric", role, run.metrics, signed, "signed")
        if shown.expected is None:
            yield unverifiable(
                "registry", f"run {role}", "What it should show cannot be made again: the evidence is not as sealed.", mend=_MEND
            )
            continue
        yield from _against_bundle(role, run, shown.expected, is_signed=bool(attested.predicate))
    yield from _logged(shown)
    if shown.expected is not None:
        yield from _compare("dataset", "release", _release(shown).datasets, shown.expected.datasets, "recorded")
        name = next(iter(shown.expected.tags["release"]))
        found = shown.tags.get(name)
        if found == shown.expected.recording:
            yield verified("registry", f"tag {name}", "It names this recording.", digest=found)
        else:
            told = f"It should name the recording {shown.expected.recording} and says {found!r}."
            yield violated("registry", f"tag {name}", told, mend=_MEND)


def _kept(role: str, run: RunShown) -> Iterator[AuditFinding]:
    """The run stands, is finished, and each metric has the one value that was logged."""
    if run.lifecycle != "active":
        yield violated("registry", f"run {role}", f"The run is {run.lifecycle}.", mend="Restore it.")
    if run.status not in ("", "FINISHED"):
        yield violated("registry", f"run {role}", f"A recording ends its runs; this one is {run.status}.", mend=_MEND)
    for key, values in run.history.items():
        latest = run.metrics.get(key)
        odd = [value for value in values if not _equal(value, latest)]
        if odd or len(values) != 1:
            shown = ", ".join(f"{value:g}" for value in values) or "nothing"
            told = f"It was logged once; its history shows {shown}."
            yield violated("registry", f"metric {key} of run {role}", told, mend=_MEND)


def _logged(shown: VersionShown) -> Iterator[AuditFinding]:
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
    for fault in faults:
        yield violated("registry", subject, f"It is not as recorded: {fault}.", mend=_MEND)
    if not faults:
        yield verified(
            "registry", subject, f"It names the judged weights, comes from the student's run and is loaded from {logged.location}."
        )


def logged_name(model: str) -> str:
    """The name a recording gives the MLflow model of a registered model: MLflow takes fewer characters there."""
    return re.sub(r"[/:.%\"']", "-", model)


def _release(shown: VersionShown) -> RunShown:
    return shown.runs.get("release", RunShown(run_id=""))


def _against_bundle(role: str, run: RunShown, expected: Expected, *, is_signed: bool) -> Iterator[AuditFinding]:
    if run.name and run.name != expected.names[role]:
        told = f"It is called {run.name!r}; recorded was {expected.names[role]!r}."
        yield violated("registry", f"run {role}", told, mend=_MEND)
    yield from _compare("param", role, run.params, expected.params[role], "recorded")
    if role != "release" or not is_signed:
        yield from _compare("metric", role, run.metrics, expected.metrics[role], "recorded")
    # MLflow adds tags of its own (user, source, branch); only those the recording wrote must be as written.
    own = {key: value for key, value in run.tags.items() if key in expected.tags[role] or key.startswith(("kdgov.", "kdgov-"))}
    yield from _compare("tag", role, own, expected.tags[role], "recorded")


def _compare(kind: str, role: str, found: Mapping[str, Any], stated: Mapping[str, Any], word: str) -> Iterator[AuditFinding]:
    odd = 0
    for key in sorted(found.keys() | stated.keys()):
        subject = f"{kind} {key} of run {role}"
        if key not in found:
            yield violated("registry", subject, f"It is gone; {word} was {stated[key]!r}.", mend=_MEND)
        elif key not in stated:
            yield violated("registry", subject, f"Nobody {word} it: it was added later.", mend=_MEND)
        elif not _equal(found[key], stated[key]):
            yield violated("registry", subject, f"It shows {found[key]!r}; {word} was {stated[key]!r}.", mend=_MEND)
        else:
            continue
        odd += 1
    if not odd and stated:
        yield verified(
            "registry",
            f"{kind}s of run {role}",
            f"All {len(stated)} are as {word}.",
            digest=digest_json({k: str(v) for k, v in stated.items()}),
        )


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=_RELATIVE, abs_tol=1e-12)
    return str(left) == str(right)
