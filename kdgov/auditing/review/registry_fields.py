"""Fields of MLflow's own rows that say something of a release and that no statement holds: each has the one value a recording leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kdgov.auditing.registry.snapshot import RunShown, VersionShown
from kdgov.auditing.review.audit_findings import AuditFinding, verified, violated

_MEND = "Trust the signed decision, not the page; ask who wrote to the database, and record the release again as a new version."
SEAL = "kdgov.sealed"
_OWN = ("kdgov.", "kdgov-", "mlflow.")


def review_record(shown: VersionShown) -> Iterator[AuditFinding]:
    """The version's own row, and the tags of its model."""
    found = {"status": (shown.status, "READY"), "status message": (shown.status_message, ""), "run link": (shown.run_link, "")}
    odd = {field: (said, left) for field, (said, left) in found.items() if said not in (left, None)}
    for field, (said, left) in odd.items():
        yield violated("registry", field, f"It says {said!r}; a recording leaves {left or 'nothing'!r}.", mend=_MEND)
    if not odd:
        yield verified("registry", "status", "Status, status message and run link are as a recording leaves them.")
    for key in sorted(key for key in shown.model_tags if key.strip().lower().startswith("kdgov.")):
        told = f"It says {shown.model_tags[key]!r} of the whole model; the guard writes no tag there."
        yield violated("registry", f"tag {key} of the model", told, mend="Remove it: a verdict stands with a version.")


def review_run_rows(shown: VersionShown, papers: Mapping[str, str]) -> Iterator[AuditFinding]:
    """Experiment, tags and the points of metrics of the recording's runs, and the tags of its logged model."""
    moments = {moment for run in shown.runs.values() for points in run.points.values() for _, moment in points}
    usual = max(moments, key=lambda m: sum(m == at for r in shown.runs.values() for p in r.points.values() for _, at in p), default=0)
    for role, run in sorted(shown.runs.items()):
        if run.experiment and run.experiment != f"kdgov/{shown.facts.name}":
            yield violated("registry", f"experiment of run {role}", f"It is called {run.experiment!r}.", mend=_MEND)
        yield from _points(role, run, usual)
        if role != "release" and (seal := papers.get(SEAL)):
            yield from _files(role, run, seal)
        for key in sorted(key for key in run.tags if not key.startswith(_OWN)):
            yield violated("registry", f"tag {key} of run {role}", "A recording sets no such tag: it was added later.", mend=_MEND)
        if 0 < run.ended < run.started:
            yield violated("registry", f"run {role}", "It ends before it begins.", mend=_MEND)
    for key in sorted(key for key in (shown.logged.tags if shown.logged else {}) if not key.startswith("mlflow.")):
        yield violated("registry", f"tag {key} of the logged model", "A recording sets no such tag: it was added later.", mend=_MEND)


def _files(role: str, run: RunShown, seal: str) -> Iterator[AuditFinding]:
    """A recording leaves its seal in the folders of the other two runs, and nothing else."""
    for path in sorted(run.files.keys() - {SEAL}):
        yield violated("evidence", f"{path} of run {role}", "Nobody signed this file: it was added after recording.", mend="Remove it.")
    if run.files.get(SEAL) != seal:
        told = "The seal of the run's folder is gone." if SEAL not in run.files else "It is not the seal that was signed."
        yield violated("evidence", f"{SEAL} of run {role}", told, mend=_MEND)


def _points(role: str, run: RunShown, usual: int) -> Iterator[AuditFinding]:
    for key, points in sorted(run.points.items()):
        if any(step != 0 for step, _ in points):
            yield violated("registry", f"metric {key} of run {role}", "It was logged at step 0, and shows another step.", mend=_MEND)
        if any(moment != usual for _, moment in points):
            told = "All numbers of a recording bear one moment; this one bears another."
            yield violated("registry", f"metric {key} of run {role}", told, mend=_MEND)
