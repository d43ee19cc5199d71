"""What no criterion has read, and which criteria had nothing to read: both are named, so that silence never means approval."""

from __future__ import annotations

from collections.abc import Sequence

from kdgov.decision.criteria.calibration import is_left_out
from kdgov.decision.criteria.comparison_cells import Tables
from kdgov.decision.criteria.group_means import groups_named
from kdgov.decision.policy import Criterion, Policy
from kdgov.finding import Finding, FindingVerdict
from kdgov.items import MetricKey
from kdgov.items.reader import TOOL_SUITES

_NAMED = 12


def unread_findings(policy: Policy, tables: Tables) -> list[Finding]:
    """``evidence.not-judged`` for evaluated metrics that no criterion reads; ``evidence.not-applicable`` for criteria left out."""
    idle = _not_applicable(policy.criteria, tables)
    return [*_not_judged(policy.criteria, tables), *([] if idle is None else [idle])]


def applies(criterion: Criterion, tables: Tables) -> bool:
    """Whether a criterion speaks of this release: false only for a conditional one whose condition does not hold.

    ``when: production_inputs`` holds as soon as the release names inputs or results of such a suite are there, so that leaving
    the results out of a release with inputs is still invalid. ``when: measured`` holds where there are rows.
    """
    if criterion.when == "always" or any(criterion.matches(key) for key in tables.metric_keys()) or groups_named(criterion, tables.metrics):
        return True
    return criterion.when == "production_inputs" and tables.names_inputs


def _not_judged(criteria: Sequence[Criterion], tables: Tables) -> list[Finding]:
    unread = [key for key in tables.metric_keys() if not any(_reads(criterion, key, tables) for criterion in criteria)]
    read = {(key.suite, key.task) for key in tables.metric_keys() if key not in unread}
    # A harness logs several numbers of the same answers, whoever wants them: where one of them is judged, the others are named only.
    logged = [key for key in unread if key.suite in TOOL_SUITES and (key.suite, key.task) in read]
    found = [_unread_finding([key for key in unread if key not in logged], "review"), _unread_finding(logged, "warn")]
    return [finding for finding in found if finding is not None]


def _unread_finding(unread: Sequence[MetricKey], verdict: FindingVerdict) -> Finding | None:
    if not unread:
        return None
    named = [f"{key.suite}/{key.task}/{key.metric}" for key in unread]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return Finding(
        check="evidence",
        verdict=verdict,
        subject=", ".join(named[:_NAMED]) + more,
        reason=f"{'It was' if len(named) == 1 else 'They were'} evaluated, and no criterion of the policy reads "
        f"{'it' if len(named) == 1 else 'them'}: whatever the numbers say, they decide nothing.",
        mend="Add a criterion for each to the policy (`advisory: true` shows a number without deciding by it), or leave the suite out.",
        rule="evidence.not-judged",
        source="docs/practice.md, what is evaluated decides",
        details={"unread": named},
    )


def _reads(criterion: Criterion, key: MetricKey, tables: Tables) -> bool:
    # A criterion that looks at some items only (`where`) leaves the others unread.
    if criterion.kind == "efficiency" or criterion.where:
        return False
    if any(key in declared.member_keys() for declared in groups_named(criterion, tables.metrics)):
        # A group's mean is read off the scores of its tasks; what is lost inside it stands in the result, and in a finding.
        return True
    return criterion.matches(key) and not is_left_out(criterion, key, tables)


def _not_applicable(criteria: Sequence[Criterion], tables: Tables) -> Finding | None:
    idle = [criterion for criterion in criteria if criterion.kind != "efficiency" and not applies(criterion, tables)]
    if not idle:
        return None
    waiting = any(criterion.when == "production_inputs" for criterion in idle)
    return Finding(
        check="evidence",
        verdict="warn",
        subject=", ".join(criterion.id for criterion in idle),
        reason="not checked: "
        + ("no production inputs were named, so nothing is known of the student on its own task." if waiting else "nothing was measured."),
        mend="Name logged inputs under `production_inputs:` of the release." if waiting else "",
        rule="evidence.not-applicable",
        source="docs/practice.md, production inputs",
        details={"criteria": [criterion.id for criterion in idle]},
    )
