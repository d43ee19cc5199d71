"""What the evaluation step does when something has to be asked: imported only then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kdgov.declarations.release import Release
from kdgov.declarations.suite import Suite, find_suite, load_suite
from kdgov.declarations.suite_data import DataInSuite
from kdgov.digest import digest_json, write_atomic
from kdgov.evaluation.backends.no_skill_control import make_control
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.build import SuiteSource, build_plan, read_suites
from kdgov.evaluation.plan.request import Plan
from kdgov.evaluation.results.evaluation_run import Evidence, evaluate
from kdgov.evidence.bundle_layout import PLAN
from kdgov.processes import is_first, rank
from kdgov.progress import Progress

REPLAY_SUITE = "production-replay"


def release_plan(release: Release, path: Path, *, logged: tuple[Path, str] | None, progress: Progress | None = None) -> Plan:
    """The plan of a release: its suites, and its logged production inputs as one suite more."""
    sources = read_suites(release.suites, beside=path)
    if logged is not None and REPLAY_SUITE not in {s.suite.name for s in sources}:
        sources.append(replay_source(*logged))
    return build_plan(sources, progress=progress)


def replay_source(path: Path, field: str) -> SuiteSource:
    """The shipped replay suite on a user's own logged inputs."""
    file = find_suite(REPLAY_SUITE)
    suite = load_suite(file)
    data = DataInSuite(path=str(path.resolve()))
    tasks = [t.model_copy(update={"data": data, "options": {**t.options, "field": field}}) for t in suite.tasks]
    return SuiteSource(suite=Suite.model_validate(suite.model_copy(update={"tasks": tasks}).model_dump(by_alias=True)), path=file)


def evaluate_one(
    plan: Plan,
    model: Path,
    folder: Path,
    *,
    role: str,
    teacher: Path,
    teacher_how: BackendSettings,
    cache: Path,
    how: BackendSettings,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Evaluate one model of a release into its folder and say in small values what came out."""
    if role == "control":
        # Each process draws its own copy, the same one: they are not all on one machine.
        model = make_control(model, folder.with_name(f"{folder.name}.control{rank() or ''}"))
    told = None if progress is None else lambda label, done, total: progress(f"{role} {label}", done, total)
    evidence = evaluate(plan, model, folder, cache=cache, how=how, reference=(teacher, teacher_how), progress=told)
    if is_first():
        write_atomic(folder / PLAN, _plan_bytes(plan))
    return _facts(evidence)


def _plan_bytes(plan: Plan) -> bytes:
    return (json.dumps(plan.as_json(), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _facts(evidence: Evidence) -> dict[str, Any]:
    document = evidence.document
    return {
        "plan": document["plan"],
        "items": document["items"],
        "evidence": digest_json(document),
        "aggregates": {f"{t['suite']}/{t['task']}": t["aggregates"] for t in document["tasks"]},
    }
