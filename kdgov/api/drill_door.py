"""The door of the drill: a planted case is written to files and judged as `kdgov gate` judges them."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdgov.decision.decision import Decision
    from kdgov.decision.drill.simulation import Case
    from kdgov.decision.policy import Policy
    from kdgov.items.results import Results


def judge_files(case: Case, policy: Policy) -> Decision:
    """The decision on a drilled case: results and, where the case changes it, the policy are written to files and read again.

    Args:
        case: tables, or another tool's files, of both models.
        policy: the policy under drill, read from a file; the base where the case judges by a changed one.

    Raises:
        InputError: if a file is refused.
    """
    from kdgov.decision.base_policy import looser_policy
    from kdgov.declarations.policy_file import load_policy
    from kdgov.pipeline.inputs.judge_paths import gate

    with tempfile.TemporaryDirectory(prefix="kdgov-drill-") as place:
        folder = Path(place)
        used = case.policy or policy
        if case.edit is not None:
            file = folder / "drilled.yaml"
            # JSON is YAML: what the branch wrote, read as any policy is.
            file.write_text(json.dumps(case.edit(_document(policy))), encoding="utf-8")
            used = load_policy(file)
        # A drill is no release: no ledger of the user's learns of it.
        used = replace(used, ledger=None)
        teacher, student = (_results(case, side, folder) for side in (0, 1))
        further: dict[str, Any] = dict(case.further)
        findings = (*further.pop("findings", ()), *looser_policy(policy, used))
        return gate(teacher, student, used, findings=findings, **further)


def _document(policy: Policy) -> dict[str, Any]:
    from kdgov.declarations.load import read_yaml

    document: dict[str, Any] = read_yaml(Path(policy.source))[0]
    return document


def _results(case: Case, side: int, folder: Path) -> Results:
    from kdgov.items.files import write_items
    from kdgov.items.results import read_results

    role = folder / ("teacher", "student")[side]
    role.mkdir()
    if case.files is None:
        write_items((case.teacher, case.student)[side], role / "scores.parquet")
        return read_results(role / "scores.parquet")
    for name, text in case.files[side].items():
        (role / name).write_text(text, encoding="utf-8")
    return read_results(role)
