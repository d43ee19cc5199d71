"""What MLflow shows of the three runs against what the recording wrote: every parameter, metric, tag and dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from kdgov.audit.seals import Attested
from kdgov.audit.snapshot import Expected, RunShown, VersionShown
from kdgov.audit.words import AuditFinding, unverifiable, verified, violated
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
        if run.lifecycle != "active":
            yield violated("registry", f"run {role}", f"The run is {run.lifecycle}.", mend="Restore it.")
        if role == "release" and attested.predicate:
            yield from _compare("metric", role, run.metrics, signed, "signed")
        if shown.expected is None:
            yield unverifiable(
                "registry", f"run {role}", "What it should show cannot be made again: the evidence is not as sealed.", mend=_MEND
            )
            continue
        yield from _against_bundle(role, run, shown.expected, is_signed=bool(attested.predicate))
    if shown.expected is not None:
        yield from _compare("dataset", "release", _release(shown).datasets, shown.expected.datasets, "recorded")
        name = next(iter(shown.expected.tags["release"]))
        found = shown.tags.get(name)
        if found == shown.expected.recording:
            yield verified("registry", f"tag {name}", "It names this recording.", digest=found)
        else:
            told = f"It should name the recording {shown.expected.recording} and says {found!r}."
            yield violated("registry", f"tag {name}", told, mend=_MEND)


def _release(shown: VersionShown) -> RunShown:
    return shown.runs.get("release", RunShown(run_id=""))


def _against_bundle(role: str, run: RunShown, expected: Expected, *, is_signed: bool) -> Iterator[AuditFinding]:
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
