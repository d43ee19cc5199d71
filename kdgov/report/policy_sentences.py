"""A policy in plain sentences, so that its owner can read back what was written."""

from __future__ import annotations

from typing import Any

from kdgov.decision.policy import Criterion, Policy


def policy_text(policy: Policy) -> str:
    """What a policy demands, one line per criterion."""
    lines = [f"{policy.name} {policy.version}  {policy.digest}"]
    lines += [f"  {criterion.id}: {criterion_words(criterion)}" for criterion in policy.criteria]
    if policy.findings:
        lines.append("  findings: " + ", ".join(f"{rule} means {level}" for rule, level in policy.findings.items()))
    if policy.looks == "corrected":
        lines.append("  looks: a further student on the same items is judged at the error level divided by its number")
    if policy.approvals:
        lines.append(f"  approvals: {', '.join(policy.approvals)}")
    waivers = policy.waivers
    lines.append(
        f"  waivers: at most {waivers.max_days} days" + (f", never for {', '.join(waivers.never)}" if waivers.never else "")
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
    if criterion.kind == "efficiency":
        parts = [
            f"at most {criterion.max_ratio:g}" if criterion.max_ratio is not None else "",
            f"at least {criterion.min_ratio:g}" if criterion.min_ratio is not None else "",
        ]
        return f"{criterion.measure} must be {' and '.join(p for p in parts if p)} of the teacher's"
    where = f"{criterion.metric} of {criterion.suite}/{'+'.join(criterion.tasks)}"
    proof = f"proven at {100 * criterion.confidence:g} %, from {criterion.min_items} items on"
    match criterion.kind:
        case "non_inferiority":
            text = f"{where} may be worse than the teacher's by {criterion.margin:g} at most"
        case "floor":
            text = f"{where} must lie above {criterion.floor:g}"
        case "ceiling":
            text = f"{where} must lie below {criterion.ceiling:g}"
        case "exposure":
            text = f"{where}: canaries must not rank better than chance allows"
        case "calibration":
            where += " where confidences are stated" if criterion.confidences == "when_stated" else ""
            text = f"{where}: overconfidence and Brier score may be worse by {criterion.margin:g} at most"
        case _:
            text = f"{where}: {criterion.of.replace('_', ' ')} must stay below {criterion.ceiling:g}"
    groups = "; every " + ", ".join(_group_words(entry) for entry in criterion.by) + " on its own" if criterion.by else ""
    return f"{text}, {proof}{groups}"


def _group_words(entry: tuple[str, ...]) -> str:
    if set(entry) == {"*"}:
        return "attribute the items state" if len(entry) == 1 else f"{len(entry)} of them together"
    return " × ".join(entry)
