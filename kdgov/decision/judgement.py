"""`judge`: item tables, findings and a policy in, one decision out. Pure: no clock, no network, no randomness."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from kdgov.decision.criteria.assay_sensitivity import not_checked_finding
from kdgov.decision.criteria.calibration import unmeasured
from kdgov.decision.criteria.comparison_cells import Cell, Tables, blank, cells_of
from kdgov.decision.criteria.group_means import group_findings, with_tasks
from kdgov.decision.criteria.kinds import KINDS, Kind
from kdgov.decision.criteria.sampling_designs.batch_noise import noise_findings, with_noise
from kdgov.decision.criteria.sampling_designs.batches import held_by_batches
from kdgov.decision.criteria.split_items.contaminated_items import apart_findings, unseen
from kdgov.decision.criteria.split_items.near_and_far import near_and_far_findings
from kdgov.decision.criteria.whole_statistic import judge_difference
from kdgov.decision.decision import Approval, CriterionResult, Decision, Waiver
from kdgov.decision.judge_validation import judge_findings
from kdgov.decision.multiple_comparisons import at_looks, looks_finding
from kdgov.decision.policy import Criterion, Policy
from kdgov.decision.silent_answers import silent_findings
from kdgov.decision.unread_results import applies, unread_findings
from kdgov.decision.verdict import settle
from kdgov.finding import Finding
from kdgov.items import ItemTable, MetricDeclaration
from kdgov.progress import Progress
from kdgov.quantities import plain_number

PRODUCTION_INPUTS = "input/production_inputs"
"""Digests that begin so say that the release names production inputs."""


def judge(
    teacher: ItemTable,
    student: ItemTable,
    policy: Policy,
    *,
    metrics: Sequence[MetricDeclaration] = (),
    findings: Sequence[Finding] = (),
    control: ItemTable | None = None,
    root_teacher: ItemTable | None = None,
    measurements: Mapping[str, Mapping[str, float]] | None = None,
    waivers: Sequence[Waiver] = (),
    approvals: Sequence[Approval] = (),
    digests: Mapping[str, str] | None = None,
    subject: Mapping[str, Any] | None = None,
    as_of: str = "",
    looks: int = 1,
    seen_items: Collection[str] = (),
    progress: Progress | None = None,
) -> Decision:
    """The decision on one student.

    Every criterion must hold on every metric, group and reference it speaks of (intersection-union, each at its own
    level), no finding may stop the release, and the roles the policy names must have approved this very decision.

    Args:
        teacher: the teacher's item table.
        student: the student's, over the same items.
        policy: what is demanded.
        metrics: what the suites declare of their metrics.
        findings: what the checks found.
        control: item table of a model that knows nothing, for assay sensitivity.
        root_teacher: item table of the first teacher of the chain.
        measurements: ``teacher`` and ``student`` → measured quantity → value, for efficiency.
        waivers: verified waivers; those bound to another decision are listed and do not count.
        approvals: verified approvals; likewise.
        digests: name → digest of what was judged. ``teacher_items`` and ``student_items``, where given, are claims that
            are checked against the tables; ``<name>_evaluated`` must equal ``<name>``.
        subject: names for people.
        as_of: the day waivers are counted on, YYYY-MM-DD; needed only with waivers.
        looks: students judged on these items under this policy so far, this one included.
        seen_items: ``suite/task/item`` of items found in the training data: left out of every criterion and shown apart.
        progress: called with (label, done, total).

    Returns:
        The decision; the same inputs give the same digest.
    """
    seen = frozenset(seen_items)
    tables = Tables(
        teacher=unseen(teacher, seen),
        student=unseen(student, seen),
        control=None if control is None else unseen(control, seen),
        root_teacher=None if root_teacher is None else unseen(root_teacher, seen),
        metrics=tuple(metrics),
        measurements=measurements or {},
        names_inputs=any(name.startswith(PRODUCTION_INPUTS) for name in digests or ()),
    )
    named = {"teacher_items": teacher, "student_items": student, "control_items": control, "root_teacher_items": root_teacher}
    # Hashing releases the interpreter: large tables are digested while the criteria are judged.
    with ThreadPoolExecutor(max_workers=1) as background:
        hashed = {name: background.submit(_digest_of, table) for name, table in named.items() if table is not None}
        results = _all_results(tables, at_looks(policy, looks), progress)
        own = {name: future.result() for name, future in hashed.items()}
    stated = dict(digests or {})
    unread = (unmeasured(criterion, tables) for criterion in policy.criteria)
    noticed = (looks_finding(policy, looks), *unread, not_checked_finding(results))
    left_out = [found for found in noticed if found is not None] + unread_findings(policy, tables) + judge_findings(policy, tables)
    split = [
        *apart_findings(teacher, student, seen, tables.metrics),
        *near_and_far_findings(tables, policy.criteria),
        *noise_findings(tables),
        *silent_findings(policy, tables),
        *group_findings(results, tables.metrics, (tables.teacher, tables.student)),
    ]
    heard = [_at_policy_level(finding, policy) for finding in (*findings, *left_out, *split)] + _identity_findings(stated, own, policy)
    base = Decision(
        verdict="pass",
        reason="",
        policy={"name": policy.name, "version": policy.version, "digest": policy.digest},
        criteria=tuple(_with_holm(results)),
        findings=tuple(heard),
        digests={**stated, **own},
        subject=dict(subject or {}),
    )
    return settle(base, policy, waivers=waivers, approvals=approvals, as_of=as_of)


def _digest_of(table: ItemTable) -> str:
    return table.content_digest


def _all_results(tables: Tables, policy: Policy, progress: Progress | None) -> list[CriterionResult]:
    results: list[CriterionResult] = []
    for done, criterion in enumerate(policy.criteria):
        if progress is not None:
            progress("judging", done, len(policy.criteria))
        results += _results(criterion, tables, policy)
    if progress is not None:
        progress("judging", len(policy.criteria), len(policy.criteria))
    return results


def _results(criterion: Criterion, tables: Tables, policy: Policy) -> list[CriterionResult]:
    kind = KINDS[criterion.kind]
    if kind.whole is not None:
        return [replace(kind.whole(criterion, tables), advisory=criterion.advisory)]
    if not applies(criterion, tables):
        return []
    results = [result for cell in cells_of(criterion, tables) for result in _judge_cell(cell, tables, kind)]
    if kind.against_root:
        results += _against_root(criterion, tables, policy)
    return _with_gaps(results)


def _judge_cell(cell: Cell | CriterionResult, tables: Tables, kind: Kind) -> Iterator[CriterionResult]:
    if isinstance(cell, CriterionResult):
        yield cell
    elif kind.judge is not None:
        cut = (
            f"; {cell.clipped} scores beyond the range [{plain_number(cell.scale.low)}, {plain_number(cell.scale.high)}] count as its ends"
            if cell.clipped
            else ""
        )
        for judged in kind.judge(cell, tables):
            result = with_noise(held_by_batches(judged, cell), cell, tables)
            result = with_tasks(result, cell.pairs, cell.scale, cell.margin)
            yield replace(result, reason=result.reason + cut) if cut else result


def _against_root(criterion: Criterion, tables: Tables, policy: Policy) -> list[CriterionResult]:
    if tables.root_teacher is None:
        if policy.root_teacher == "required":
            absent = blank(criterion, "invalid", "the policy asks for the root teacher's results, and there are none")
            return [replace(absent, reference="root_teacher")]
        return []
    if policy.root_teacher == "skip":
        return []
    found: list[CriterionResult] = []
    for cell in cells_of(criterion, tables, "root_teacher"):
        found += (
            [cell]
            if isinstance(cell, CriterionResult)
            else [with_noise(held_by_batches(r, cell), cell, tables) for r in judge_difference(cell, tables)]
        )
    return found


def _with_gaps(results: list[CriterionResult]) -> list[CriterionResult]:
    """Between-group gaps on the overall rows: shown, never gated, because a largest-minus-smallest gap is biased."""
    shown = []
    for result in results:
        place = _place(result)
        same = [r for r in results if r.group and _place(r) == place and r.student is not None]
        if result.group or len(same) < 2:
            shown.append(result)
            continue
        gaps = {}
        for role in ("teacher", "student"):
            means = [value for r in same if (value := getattr(r, role)) is not None]
            if means:
                gaps[f"group_gap_{role}"] = max(means) - min(means)
        shown.append(replace(result, details={**result.details, **gaps}))
    return shown


def _place(result: CriterionResult) -> tuple[str, str, str, str]:
    return result.suite, result.task, result.metric, result.reference


def _with_holm(results: Sequence[CriterionResult]) -> list[CriterionResult]:
    """Which regressions are proven over all results together: Holm's step-down correction, for the wording only."""
    tested = [r for r in results if r.verdict != "invalid" and r.confidence is not None and not r.advisory]
    order = sorted((r for r in tested if r.p_worse is not None), key=lambda r: r.p_worse or 0.0)
    proven: set[int] = set()
    for place, result in enumerate(order):
        alpha = 1.0 - (result.confidence or 0.95)
        if (result.p_worse or 0.0) > alpha / (len(tested) - place):
            break
        proven.add(id(result))
    return [replace(r, proven=True) if id(r) in proven else r for r in results]


def _at_policy_level(finding: Finding, policy: Policy) -> Finding:
    if finding.check == "evidence" and finding.rule.removeprefix("evidence.").replace("-", "_") in policy.allowed_differences:
        return replace(finding, verdict="warn", reason=f"{finding.reason} The policy allows it.")
    if finding.rule == "evidence.suite-code":
        # No level of a policy lets code in: only the digest of every file does.
        code = set(dict(finding.details.get("code") or {}).values())
        is_allowed = bool(code) and code <= {*policy.allowed_code}
        return replace(finding, verdict="warn", reason=f"{finding.reason} The policy allows it by digest.") if is_allowed else finding
    if finding.verdict == "invalid" or (finding.check == "licence" and finding.verdict == "block"):
        # A licence deny yields only to evidence of another licence, never to a policy's wish.
        return finding
    named = [level for rule, level in policy.findings.items() if finding.rule and fnmatchcase(finding.rule, rule)]
    return replace(finding, verdict=named[-1]) if named and finding.verdict != "pass" else finding


def _identity_findings(stated: Mapping[str, str], own: Mapping[str, str], policy: Policy) -> list[Finding]:
    found = []
    for name, digest in own.items():
        if name in stated and stated[name] != digest:
            said = f"the {name.replace('_', ' ')} are not those the evidence sealed"
            found.append(_identity(name, said, "evidence.items-changed", stated[name], digest))
    sealed = stated.get("policy", policy.digest)
    if sealed != policy.digest:
        said = "the evidence was sealed under another policy than the one that judges it"
        found.append(_identity("policy", said, "evidence.policy-changed", sealed, policy.digest))
    known = {**stated, **own}
    for name, digest in stated.items():
        evaluated = stated.get(f"{name}_evaluated")
        if evaluated is not None and evaluated != digest:
            said = f"the {name.replace('_', ' ')} changed between evaluation and decision"
            found.append(_identity(name, said, "evidence.subject-changed", evaluated, digest))
    for name, digest in policy.pins.items():
        if known.get(name) != digest:
            said = f"the policy pins {name} to another digest"
            found.append(_identity(name, said, "evidence.pin-broken", digest, known.get(name, "absent")))
    for name in policy.require_digests:
        if name not in known:
            said = f"the policy demands the digest {name}, and the evidence has none"
            found.append(_identity(name, said, "evidence.digest-missing", "any", "absent"))
    return found


def _identity(subject: str, reason: str, rule: str, expected: str, actual: str) -> Finding:
    return Finding(
        check="evidence",
        verdict="invalid",
        subject=subject,
        reason=reason,
        mend="Evaluate exactly what is to be released, and hand in its results unchanged.",
        rule=rule,
        source="docs/gate.md, identity",
        details={"expected": expected, "actual": actual},
    )
