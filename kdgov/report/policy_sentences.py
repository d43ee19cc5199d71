"""A policy in plain sentences, so that its owner can read back what was written."""

from __future__ import annotations

from typing import Any

from kdgov.decision.criteria.kinds import KINDS
from kdgov.decision.policy import Criterion, Policy
from kdgov.quantities import quantity


def policy_text(policy: Policy) -> str:
    """What a policy demands, one line per criterion."""
    lines = [f"{policy.name} {policy.version}  {policy.digest}"]
    lines += [f"  {criterion.id}: {criterion_words(criterion)}" for criterion in policy.criteria]
    if policy.findings:
        lines.append("  findings: " + ", ".join(f"{rule} means {level}" for rule, level in policy.findings.items()))
    if policy.looks == "corrected":
        lines.append("  looks: a further student on the same items is judged at the error level divided by its number")
    if policy.spend is not None:
        lines.append(f"  alpha: one error level for all students on the same items, spent by the {policy.spend} rule")
    if policy.approvals:
        lines.append(f"  approvals: {', '.join(policy.approvals)}")
    waivers = policy.waivers
    lines.append(
        f"  waivers: at most {quantity(waivers.max_days, 'day')}" + (f", never for {', '.join(waivers.never)}" if waivers.never else "")
        if waivers.allowed
        else "  waivers: none"
    )
    return "\n".join(lines)


def policy_json(policy: Policy) -> dict[str, Any]:
    """The same as one JSON object."""
    return {
        "name": policy.name,
        "version": policy.version,
        "digest": policy.digest,
        "file": policy.source,
        "criteria": [
            {"id": c.id, "kind": c.kind, "line": policy.lines.get(c.id, 0), "demands": criterion_words(c)} for c in policy.criteria
        ],
        "approvals": list(policy.approvals),
    }


def criterion_words(criterion: Criterion) -> str:
    """What one criterion demands, as a sentence."""
    kind = KINDS[criterion.kind]
    if kind.whole is not None:
        return f"{criterion.measure}{kind.words(criterion)}"
    where = f"{criterion.metric} of {criterion.suite}/{'+'.join(criterion.tasks)}"
    proof = f"proven at {100 * criterion.confidence:g} %, from {quantity(criterion.min_items, 'item')} on"
    text = f"{where}{kind.words(criterion)}"
    groups = "; every " + ", ".join(_group_words(entry) for entry in criterion.by) + " on its own" if criterion.by else ""
    shown = "; shown only, never decides" if criterion.advisory else ""
    when = {"always": "", "measured": "where measured: ", "production_inputs": "where production inputs are named: "}[criterion.when]
    only = "".join(f" with {name} {value}" for name, value in criterion.where.items())
    return f"{when}{text}, {proof}{only}{groups}{shown}"


def _group_words(entry: tuple[str, ...]) -> str:
    if set(entry) == {"*"}:
        return "attribute the items state" if len(entry) == 1 else f"{len(entry)} of them together"
    return " × ".join(entry)
