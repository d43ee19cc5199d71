"""A licence answer as findings, the words every check speaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kdgov.finding import Finding
from kdgov.license.answer import Edge, LicenseAnswer, Obligation
from kdgov.license.vocabulary import VERDICTS
from kdgov.passing_rules import passing

ARROW = " ← "
RULE_DENY = "licence.deny"
RULE_REVIEW = "licence.needs-review"
RULE_UNMET = "licence.obligation-unmet"
RULE_ALLOW = "licence.allow"


def findings(answer: LicenseAnswer) -> list[Finding]:
    """One finding per edge that stops, per unmet obligation, and per upstream that passes."""
    found = _once_per_upstream([finding for edge in answer.uses for finding in _of_edge(edge)])
    seen: set[tuple[str, str, str]] = set()
    for edge in answer.uses:
        for obligation in edge.obligations:
            key = (obligation.kind, obligation.license, obligation.text)
            # A deny already says that a separate licence is missing.
            if obligation.met is False and obligation.kind != "SEPARATE_LICENCE" and key not in seen:
                seen.add(key)
                found.append(_of_obligation(obligation, edge))
    return found


def _once_per_upstream(found: list[Finding]) -> list[Finding]:
    """One review per open upstream, however many uses lead to it; the other paths are kept in its details."""
    kept: dict[tuple[str, ...], Finding] = {}
    for number, finding in enumerate(found):
        upstream = finding.subject.rpartition(ARROW)[2]
        is_review = finding.rule == RULE_REVIEW
        key = (upstream, str(finding.details.get("license")), finding.reason) if is_review else (str(number),)
        first = kept.get(key)
        if first is None:
            kept[key] = finding
        else:
            paths = [*first.details.get("further_paths", []), finding.subject]
            kept[key] = replace(first, details={**first.details, "further_paths": paths})
    return list(kept.values())


def _of_edge(edge: Edge) -> Iterator[Finding]:
    for child in edge.made_by:
        if VERDICTS.index(child.verdict) >= VERDICTS.index("needs_review"):
            yield from _of_edge(child)
    if edge.decided_at != edge.path:
        return
    details = {
        "use": edge.effective_use,
        "license": edge.license,
        "resolved": list(edge.resolved),
        "chosen": edge.chosen,
        "basis": edge.basis,
        "confidence": edge.confidence,
        "notes": list(edge.notes),
    }
    stops = {"deny": ("block", RULE_DENY), "needs_review": ("review", RULE_REVIEW)}
    reason, source = f"clause {edge.clause}: {edge.reason}", f"{'+'.join(edge.resolved)}, {edge.clause} ({edge.source})"
    if edge.verdict not in stops:
        yield passing("licence", RULE_ALLOW, edge.path, reason, looked_for={"uses": 1}, source=source, **details)
        return
    verdict, rule = stops[edge.verdict]
    yield Finding(
        check="licence",
        verdict=verdict,  # type: ignore[arg-type]
        subject=edge.path,
        reason=reason,
        mend=edge.mend,
        source=source,
        rule=rule,
        details=details,
    )


def _of_obligation(obligation: Obligation, edge: Edge) -> Finding:
    return Finding(
        check="licence",
        verdict="block",
        subject=edge.path,
        reason=f"{obligation.kind} is unmet: {obligation.text} ({obligation.why}).",
        mend=f"Do it, then enter evidence: {{obligation: {obligation.kind}, license: {obligation.license}, where: …}}."
        if not obligation.is_contradicted
        else f"Change the release so that it holds: {obligation.text}.",
        source=f"{obligation.license}, {obligation.clause}",
        rule=RULE_UNMET,
        details=obligation.as_json(),
    )
