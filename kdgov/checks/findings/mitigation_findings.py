"""Mitigations that nothing tests on the student: what kept the teacher safe may be lost, and no number would show it.

Asked twice: of the declarations before anything is paid, and of the results, where a metric may have been left out or a question
never written under the mitigation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from kdgov.checks.cards.release_inputs import ReleaseInputs
from kdgov.checks.findings.policy_fit import replayed_tasks
from kdgov.checks.findings.rules import Stances
from kdgov.decision.policy import Criterion, Policy
from kdgov.declarations.cards import ModelCard
from kdgov.declarations.release_parts.mitigations import Mitigation
from kdgov.declarations.suite_parts.judging_models import measured_metrics
from kdgov.finding import Finding
from kdgov.items import MetricKey

UNTESTED = "practice.mitigation-untested"
NEVER_WRITTEN = frozenset(
    {"pairs", "classification", "faithfulness", "membership", "canary_exposure", "retrieval", "tagging", "transcription"}
)
"""Kinds of task whose questions no model answers in writing: no prompt stands before them, no guard and no filter behind."""
_SIZE_ALONE = ("efficiency",)
_WhyNot = Callable[[Mitigation, Criterion], str]


def mitigation_findings(materials: ReleaseInputs, policy: Policy, stances: Stances) -> list[Finding]:
    """``practice.mitigation-untested`` for every mitigation of which a criterion it names can show nothing on the release's suites."""
    declared = materials.release.mitigations
    written = {
        MetricKey(source.suite.name, task.task, metric.metric): task.kind not in NEVER_WRITTEN
        for source in materials.suites
        for task in source.suite.tasks
        for metric in measured_metrics(task)
    }
    if materials.logged is not None:
        written |= {MetricKey(task.suite, task.task, metric): True for task in replayed_tasks(policy) for metric in task.metrics}
    found = _untested(declared, policy, stances, lambda one, criterion: _unread(one, criterion, written, "the release's suites"))
    return [*found, *_only_on_the_card(materials, declared, stances)]


def unmeasured_mitigations(
    declared: Sequence[Mitigation],
    policy: Policy,
    stances: Stances,
    *,
    keys: Iterable[MetricKey],
    mitigated: Collection[tuple[str, str]],
    told: Iterable[Finding] = (),
) -> list[Finding]:
    """The same of the results: mitigations that the declarations promised to test and no number of the evaluation does.

    Args:
        declared: the release's mitigations.
        policy: what is demanded.
        stances: what the policy makes of the rule.
        keys: what was measured.
        mitigated: suites and tasks that were asked and scored under the mitigations.
        told: findings of the check, which are not told again.
    """
    written = {key: (key.suite, key.task) in mitigated for key in keys}
    known = {finding.subject for finding in told if finding.rule == UNTESTED}
    found = _untested(declared, policy, stances, lambda one, criterion: _unread(one, criterion, written, "what was measured"))
    return [finding for finding in found if finding.subject not in known]


def mitigated_tasks(plan: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Suites and tasks of a plan's document whose questions and answers the mitigations were applied to."""
    return {(str(task["suite"]), str(task["task"])) for task in plan.get("tasks", ()) if "mitigations" in task.get("settings", {})}


def _untested(declared: Sequence[Mitigation], policy: Policy, stances: Stances, why_not: _WhyNot) -> list[Finding]:
    by_id = {criterion.id: criterion for criterion in policy.criteria}
    found = []
    for number, one in enumerate(declared):
        why = [_why_not(one, name, by_id.get(name), why_not) for name in one.criteria] or ["it names no criterion"]
        if any(why):
            found.append(_finding(number, one, "; ".join(filter(None, why)), stances))
    return found


def _finding(number: int, one: Mitigation, said: str, stances: Stances) -> Finding:
    return stances.finding(
        UNTESTED,
        f"mitigations[{number}] ({one.kind})",
        f"Nothing shows that the {one.kind.replace('_', ' ')} against {one.guards_against} still works on the student: {said}.",
        mend="Name under `criteria:` only criteria of the policy that judge it on a suite of this release, such as `refusal-retained`.",
        details={"kind": one.kind, "criteria": list(one.criteria)},
    )


def _why_not(one: Mitigation, name: str, criterion: Criterion | None, why_not: _WhyNot) -> str:
    """Why a criterion shows nothing of a mitigation; empty where it does."""
    if criterion is None:
        return f"the policy has no criterion {name}"
    if criterion.advisory:
        return f"{name} is advisory and decides nothing"
    if criterion.kind in _SIZE_ALONE:
        return f"{name} judges size or speed, and no answers"
    return why_not(one, criterion)


def _unread(one: Mitigation, criterion: Criterion, written: Mapping[MetricKey, bool], of: str) -> str:
    read = [key for key in written if criterion.matches(key)]
    if not read:
        return f"{criterion.id} reads nothing of {of}"
    if one.kind != "refusal_training" and not any(written[key] for key in read):
        return f"{criterion.id} reads only questions that no model answers in writing, to which no {one.kind.replace('_', ' ')} applies"
    return ""


def _only_on_the_card(materials: ReleaseInputs, declared: Iterable[Mitigation], stances: Stances) -> list[Finding]:
    card = materials.teacher.model_card
    known = {one.kind for one in declared}
    found = []
    for kind in card.mitigations if isinstance(card, ModelCard) else []:
        if kind not in known:
            name = kind.replace("_", " ")
            found.append(
                stances.finding(
                    UNTESTED,
                    f"teacher {materials.teacher.name} ({kind})",
                    f"The teacher's card names a {name}, and the release says neither what it guards against nor what tests it.",
                    mend=f"Add `{{kind: {kind}, guards_against: …, criteria: […]}}` to `mitigations:` of the release.",
                    details={"kind": kind},
                )
            )
    return found
