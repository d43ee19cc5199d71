"""Questions with an answer from files or tables at hand: gate, license_check, drill."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdgov.api.arguments import Items, PathLike, item_table, paths_of, policy_of, results

if TYPE_CHECKING:
    from kdgov.decision.decision import Decision
    from kdgov.decision.drill import DrillReport
    from kdgov.decision.policy import Policy
    from kdgov.finding import Finding
    from kdgov.items import MetricDeclaration
    from kdgov.license import LicenseAnswer
    from kdgov.progress import Progress


_JUDGED = ("teacher", "student")


def gate(
    teacher: Items,
    student: Items,
    policy: Policy | Mapping[str, Any] | PathLike,
    *,
    metrics: Sequence[MetricDeclaration] | None = None,
    findings: Sequence[Finding] = (),
    control: Items | None = None,
    root_teacher: Items | None = None,
    more: Sequence[tuple[Items, Items]] = (),
    looks: int = 1,
    base_policy: Policy | Mapping[str, Any] | PathLike | None = None,
    progress: Progress | None = None,
) -> Decision:
    """Decide whether a student may be promoted, from the item tables of teacher and student; a notebook shows it as a table.

    Args:
        teacher: item table of the teacher; columns are told in docs/gate.md.
        student: item table of the student, over the same items.
        policy: a policy, the mapping that a policy file holds, its file, or the name of a shipped one.
        metrics: direction, range and chance of metrics; read from the evidence beside the files by default.
        findings: what checks found.
        control: item table of a model that knows nothing.
        root_teacher: item table of the first teacher of a chain.
        more: further batches in their order, item tables of teacher and student each, for criteria that are ``sequential``.
        looks: students judged on these items under this policy so far, this one included.
        base_policy: the agreed policy; the decision is invalid where ``policy`` is looser than it, or may be.
        progress: called as ``progress(label, done, total)``.

    Raises:
        InputError: if a table or the policy is at fault.

    Example:
        >>> import pyarrow as pa
        >>> items = {"suite": ["math"] * 500, "task": ["sums"] * 500, "item_id": [str(n) for n in range(500)], "metric": ["acc"] * 500}
        >>> teacher = pa.table({**items, "score": [float(n % 4 > 0) for n in range(500)]})
        >>> student = pa.table({**items, "score": [float(n % 2 > 0) for n in range(500)]})
        >>> criterion = {"id": "ability", "kind": "non_inferiority", "metric": "acc", "direction": "higher", "margin": 0.02}
        >>> policy = {"schema": "kdgov.policy/1", "name": "mine", "version": "1", "criteria": [criterion]}
        >>> decision = kdgov.gate(teacher, student, policy)
        >>> decision.verdict, decision.promotes
        ('fail', False)
        >>> print(f"{decision.criteria[0].difference:.2f}")
        -0.25
    """
    from kdgov.decision.base_policy import looser_policy
    from kdgov.pipeline.inputs.judge_paths import gate as judged
    from kdgov.pipeline.inputs.judge_paths import judge_paths
    from kdgov.report.notebook import shown

    if base_policy is not None:
        findings = (*findings, *looser_policy(policy_of(base_policy), policy_of(policy)))
    tables = {"teacher": teacher, "student": student, "control": control, "root_teacher": root_teacher}
    files: dict[str, Any] = {name: paths_of(given) for name, given in tables.items() if given is not None}
    if all(files.values()) and isinstance(policy, str | os.PathLike) and metrics is None and not findings and not more:
        # As the command does: with all that lies beside the files.
        decision, _ = judge_paths(**files, policy=os.fspath(policy), looks=looks, progress=progress)
        return shown(decision)
    read: dict[str, Any] = {name: item_table(given) for name, given in tables.items() if given is not None and name not in _JUDGED}
    read |= {name: results(tables[name]) for name in _JUDGED}
    read["more"] = [(results(one), results(other)) for one, other in more]
    found = None if metrics is None else tuple(metrics)
    return judged(**read, policy=policy_of(policy), metrics=found, findings=tuple(findings), looks=looks, progress=progress)


def license_check(case: PathLike | Mapping[str, Any], *, today: datetime.date | None = None) -> LicenseAnswer:
    """May this student exist and be released, and what must ship with it: the verdict over every licence of its lineage.

    Args:
        case: case file, release file, or the mapping a case file holds; docs/licences.md tells its keys.
        today: day on which agreements count as expired, for a mapping; the present day by default.

    Returns:
        ``verdict`` (``allow`` to ``deny``), ``gate`` (``promote``, ``hold``, ``block``) and one answer per use.

    Example:
        >>> answer = kdgov.license_check({
        ...     "student": {"name": "tiny-helper", "license": "Apache-2.0", "kind": "generative"},
        ...     "uses": [{"use": "generated_text", "license": "LicenseRef-OpenAI-Services-Agreement-2026-01-01",
        ...               "name": "GPT-4o", "access": "api"}],
        ...     "release": {"distribution": "weights", "commercial": True, "research": False},
        ...     "organization": {"kind": "company", "principal_place": "DE"},
        ... })
        >>> answer.gate
        'hold'
    """
    from kdgov.api.license_case import read_case
    from kdgov.license import case_from_json
    from kdgov.license import check as judged

    if not isinstance(case, Mapping):
        return judged(read_case(Path(case)))
    return judged(case_from_json(case, file="case", as_of=today or datetime.datetime.now(tz=datetime.UTC).date()))


def drill(
    policy: PathLike,
    *,
    items: int | None = None,
    quick: bool = False,
    seed: int = 0,
    only: Sequence[str] = (),
    progress: Progress | None = None,
) -> DrillReport:
    """How often a policy would promote a bad student and block a good one, measured on simulated item tables.

    Args:
        policy: policy file, or the name of a shipped one.
        items: items per metric; what each criterion plans by default.
        quick: a tenth of the tables, for seconds instead of minutes.
        seed: random seed.
        only: ids of planted regressions to run, such as ``R03``.
        progress: called as ``progress(label, done, total)``.

    Example:
        >>> report = kdgov.drill("lm-eval", quick=True, only=["R03"], items=400)
        >>> report.policy["name"]
        'lm-eval'
    """
    from kdgov.api.drill_door import judge_files
    from kdgov.decision.drill.drill_cores import drill_file
    from kdgov.declarations.policy_file import find_policy, load_policy

    file = find_policy(os.fspath(policy))
    return drill_file(file, read=load_policy, items=items, quick=quick, seed=seed, only=only, progress=progress, door=judge_files)
