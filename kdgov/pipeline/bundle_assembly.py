"""The evidence bundle, put together from the results of the steps before the gate."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgov.checks.licensing.portable_case import portable_case
from kdgov.decision.decision import Decision
from kdgov.digest import is_finite_json, write_atomic
from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import (
    CARDS,
    CONTAMINATION,
    DECISION,
    DISAGGREGATION,
    DISTILLATION,
    EFFICIENCY,
    FINDINGS,
    FURTHER_FILES,
    INPUTS,
    LICENCE_ANSWER,
    LICENCE_CASE,
    LOST_ITEMS,
    PLAN,
    POLICY,
    RELEASE,
    REPORT_FILES,
    REPORTS,
    ROLE_FILES,
    ROLES,
    STATEMENTS,
    TRAINING_CURVES,
)
from kdgov.evidence.gate_inputs import GateInputs
from kdgov.evidence.rejudge import judging_code
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.inputs.data_cards import data_card
from kdgov.report.flips import flip_report
from kdgov.report.formats import FORMATS


def write_bundle(
    folder: Path,
    context: ReleaseContext,
    judged: GateInputs,
    decision: Decision,
    *,
    checked: Path,
    scanned: Sequence[Path],
    distilled: Path,
    evaluated: Path,
) -> None:
    """Write everything a decision rests on, from the folders of the steps before it; the manifest is the caller's to add.

    Args:
        folder: where the bundle comes about.
        context: the release.
        judged: what the decision was made from.
        decision: the decision.
        checked: folder of the check.
        scanned: folders that hold what was found in the data, and in what the teacher wrote.
        distilled: folder of the distillation.
        evaluated: folder of the evaluation.
    """
    _write_judgement(folder, context, judged, decision)
    _copy_results(folder, distilled, evaluated)
    _write_cards(folder / CARDS, context)
    _write_licences(folder, checked)
    _write_contamination(folder, scanned)
    _write_reports(folder / REPORTS, judged, decision)


def _write_judgement(folder: Path, context: ReleaseContext, judged: GateInputs, decision: Decision) -> None:
    write_atomic(folder / RELEASE, _pretty(context.release.model_dump(mode="json", by_alias=True)))
    write_atomic(folder / POLICY, judged.policy_text)
    write_atomic(folder / DECISION, decision.canonical)
    write_atomic(folder / FINDINGS, _pretty({"findings": [f.as_json() for f in judged.findings]}))
    write_atomic(
        folder / INPUTS,
        _pretty(
            {
                "digests": dict(judged.digests),
                "subject": dict(judged.subject),
                "measurements": judged.tables.measurements,
                "as_of": judged.statements.as_of,
                "looks": judged.looks,
                "seen_items": list(judged.seen_items),
                "judged_by": judging_code(),
                # What the release file did not say by itself.
                **({"set_on_command_line": dict(context.settings)} if context.settings else {}),
            }
        ),
    )
    for name, envelope in judged.statements.envelopes.items():
        write_atomic(folder / STATEMENTS / name, envelope)


def _copy_results(folder: Path, distilled: Path, evaluated: Path) -> None:
    shutil.copyfile(evaluated / PLAN, folder / PLAN)
    shutil.copyfile(distilled / DISTILLATION, folder / DISTILLATION)
    if (distilled / TRAINING_CURVES).exists():
        shutil.copyfile(distilled / TRAINING_CURVES, folder / TRAINING_CURVES)
    for theirs in ROLES:
        for name in (*ROLE_FILES, *FURTHER_FILES):
            source = evaluated / theirs / name
            if source.exists():
                (folder / theirs).mkdir(exist_ok=True)
                shutil.copyfile(source, folder / theirs / name)
    for name in (DISAGGREGATION, EFFICIENCY):
        if (evaluated / name).exists():
            shutil.copyfile(evaluated / name, folder / name)


def _write_reports(folder: Path, judged: GateInputs, decision: Decision) -> None:
    for name, file in REPORT_FILES.items():
        write_atomic(folder / file, FORMATS[name](decision, judged.policy).encode())
    tables = judged.tables
    write_atomic(folder / LOST_ITEMS, flip_report(tables.teacher, tables.student, metrics=tables.metrics, mask=True).encode())


def _write_contamination(folder: Path, scanned: Sequence[Path]) -> None:
    """Which items were found in the data and in what the teacher wrote, and how: what ``seen_items`` were taken from."""
    texts = zip(("data", "teacher_text"), scanned, strict=False)
    found = {name: json.loads((source / CONTAMINATION).read_bytes()) for name, source in texts if (source / CONTAMINATION).exists()}
    write_atomic(folder / CONTAMINATION, _pretty(found))


def _write_licences(folder: Path, checked: Path) -> None:
    """The licence case with the texts it names, and the answer of the day: an audit reasons again with its own facts."""
    try:
        case = json.loads((checked / LICENCE_CASE).read_bytes())
    except FileNotFoundError:
        return
    portable, texts = portable_case(case, base=checked)
    write_atomic(folder / LICENCE_CASE, _pretty(portable))
    shutil.copyfile(checked / LICENCE_ANSWER, folder / LICENCE_ANSWER)
    for place, data in texts.items():
        write_atomic(folder / place, data)


def _write_cards(folder: Path, context: ReleaseContext) -> None:
    release = context.release
    recipes = [one for one in (*(stage.distillation for stage in release.stages), release.distillation) if one is not None]
    further = [one.card for recipe in recipes for one in recipe.further_teachers]
    named = [release.teacher.card, release.student.card, *further]
    sources = [context.path_of(name) for name in named if name is not None]
    sources += [data_card(context, item, f"data[{n}]") for n, item in enumerate(release.data) if item.path is None]
    if (logged := release.production_inputs) is not None and logged.hub is not None:
        sources.append(data_card(context, logged, "production_inputs"))
    for source in sources:
        write_atomic(folder / source.name, source.read_bytes())


def _pretty(document: Mapping[str, Any]) -> bytes:
    if not is_finite_json(document):
        raise InputError("holds a number that is not finite", mend="Evaluate again: a measurement failed.")
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, default=dict) + "\n").encode()
