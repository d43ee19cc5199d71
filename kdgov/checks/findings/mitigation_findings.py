"""Mitigations that nothing tests on the student: what kept the teacher safe may be lost, and no number would show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kdgov.checks.cards.release_inputs import ReleaseInputs
from kdgov.checks.findings.rules import Stances
from kdgov.decision.policy import Criterion, Policy
from kdgov.declarations.cards import ModelCard
from kdgov.declarations.release_parts.mitigations import Mitigation
from kdgov.finding import Finding
from kdgov.items import MetricKey

UNTESTED = "practice.mitigation-untested"


def mitigation_findings(materials: ReleaseInputs, policy: Policy, stances: Stances) -> list[Finding]:
    """``practice.mitigation-untested`` for every mitigation without a deciding criterion that reads a metric of the release's suites."""
    declared = materials.release.mitigations
    found = [finding for number, one in enumerate(declared) for finding in _untested(number, one, materials, policy, stances)]
    return [*found, *_only_on_the_card(materials, declared, stances)]


def _untested(number: int, one: Mitigation, materials: ReleaseInputs, policy: Policy, stances: Stances) -> Iterator[Finding]:
    by_id = {criterion.id: criterion for criterion in policy.criteria}
    why = [_why_not(name, by_id.get(name), materials) for name in one.criteria]
    if one.criteria and "" in why:
        return
    said = "; ".join(why) if why else "it names no criterion"
    yield stances.finding(
        UNTESTED,
        f"mitigations[{number}] ({one.kind})",
        f"Nothing shows that the {one.kind.replace('_', ' ')} against {one.guards_against} still works on the student: {said}.",
        mend="Name under `criteria:` a criterion of the policy that judges it on a suite of this release, such as `refusal-retained`.",
        details={"kind": one.kind, "criteria": list(one.criteria)},
    )


def _why_not(name: str, criterion: Criterion | None, materials: ReleaseInputs) -> str:
    """Why a criterion shows nothing of a mitigation; empty where it does."""
    if criterion is None:
        return f"the policy has no criterion {name}"
    if criterion.advisory:
        return f"{name} is advisory and decides nothing"
    keys = [
        MetricKey(source.suite.name, task.task, metric.metric)
        for source in materials.suites
        for task in source.suite.tasks
        for metric in task.metrics
    ]
    return "" if any(criterion.matches(key) for key in keys) else f"{name} reads nothing of the release's suites"


def _only_on_the_card(materials: ReleaseInputs, declared: Iterable[Mitigation], stances: Stances) -> Iterator[Finding]:
    card = materials.teacher.model_card
    known = {one.kind for one in declared}
    for kind in card.mitigations if isinstance(card, ModelCard) else []:
        if kind not in known:
            name = kind.replace("_", " ")
            yield stances.finding(
                UNTESTED,
                f"teacher {materials.teacher.name} ({kind})",
                f"The teacher's card names a {name}, and the release says neither what it guards against nor what tests it.",
                mend=f"Add `{{kind: {kind}, guards_against: …, criteria: […]}}` to `mitigations:` of the release.",
                details={"kind": kind},
            )
