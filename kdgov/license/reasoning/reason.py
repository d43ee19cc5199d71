"""From a case to its answer: the join over the lineage, and the gate."""

from __future__ import annotations

from collections import defaultdict

from kdgov.errors import InputError
from kdgov.license.answer import Edge, LicenseAnswer, Obligation
from kdgov.license.case.case import DEFAULT_CHOICES, Evidence, LicenseCase
from kdgov.license.case.case_validation import case_faults
from kdgov.license.case.lineage import Walk, edge, starting_points, walk_obligations
from kdgov.license.catalogue.expression import NOT_STATED, Expression, One, parse
from kdgov.license.catalogue.facts import Facts, facts
from kdgov.license.reasoning.conditions import Situation
from kdgov.license.reasoning.obligations import is_licensor
from kdgov.license.reasoning.ruling import unique
from kdgov.license.reasoning.separate_licence import separate_fault
from kdgov.license.vocabulary import VERDICTS, Gate, strictest


def check(case: LicenseCase, *, known: Facts | None = None) -> LicenseAnswer:
    """Whether the student may exist and go out as the case says, with every reason.

    Pure: the same case and facts give the same answer. ``known`` defaults to the shipped facts.

    Raises:
        DeclarationError: if an expression does not parse, the lineage is circular or names no upstream.
        InputError: if a choice is not known.
    """
    known = known or facts()
    case_faults(case)
    outbound = _outbound(case)
    init = starting_points(case.uses, known)
    # Twice: whether evidence without a licence's name is clear depends on who else asks for the same duty.
    first = _edges(Walk(case=case, facts=known, outbound=outbound, init=init, rivals={}))
    rivals: dict[str, list[str]] = defaultdict(list)
    for kind, owner in walk_obligations(first):
        rivals[kind].append(owner)
    edges = _edges(Walk(case=case, facts=known, outbound=outbound, init=init, rivals=rivals))
    obligations = unique(o for item in edges for o in item.obligations)
    verdict = strictest(item.verdict for item in edges)
    gate = gate_of(verdict, obligations)
    return LicenseAnswer(
        verdict=verdict,
        gate=gate,
        reason=_reason(edges, obligations, gate),
        uses=edges,
        obligations=obligations,
        paths=_paths(edges),
        choices={name: case.choice(name) for name in DEFAULT_CHOICES},
        unused_evidence=tuple(_unused(case, obligations, outbound, known)),
        facts_digest=known.digest,
    )


def gate_of(verdict: str, obligations: tuple[Obligation, ...]) -> Gate:
    """May it go out: a deny or a duty that the facts show unmet blocks, a review holds, a duty without evidence blocks."""
    if verdict == "deny" or any(o.is_contradicted for o in obligations):
        return "block"
    if verdict == "needs_review":
        return "hold"
    return "block" if any(o.met is False for o in obligations) else "promote"


def _outbound(case: LicenseCase) -> Expression | None:
    if case.student.license.strip().lower() in NOT_STATED:
        return None
    parsed = parse(case.student.license)
    if isinstance(parsed, str):
        raise InputError(f"student.license does not parse: {parsed}", mend="Write an SPDX expression such as Apache-2.0.")
    return parsed


def _edges(walk: Walk) -> tuple[Edge, ...]:
    return tuple(edge(upstream, upstream.use, "student", walk) for upstream in walk.case.uses)


def stopping_edges(edges: tuple[Edge, ...]) -> list[Edge]:
    """The edges, at any depth, at which a deny or a review is decided."""
    found = []
    for item in edges:
        below = stopping_edges(item.made_by)
        if item.verdict in {"deny", "needs_review"} and item.decided_at == item.path:
            found.append(item)
        found += below
    return found


def _paths(edges: tuple[Edge, ...]) -> tuple[str, ...]:
    stops = sorted(stopping_edges(edges), key=lambda item: -VERDICTS.index(item.verdict))
    return tuple(dict.fromkeys(f"{item.path}: clause {item.clause}" for item in stops))


def _reason(edges: tuple[Edge, ...], obligations: tuple[Obligation, ...], gate: Gate) -> str:
    stops = sorted(stopping_edges(edges), key=lambda item: -VERDICTS.index(item.verdict))
    if stops:
        return f"{stops[0].path}: clause {stops[0].clause}: {stops[0].reason}"
    unmet = [o for o in obligations if o.met is False]
    if gate == "block" and unmet:
        return f"Unmet: {_told(unmet)}."
    if any(o.met for o in obligations):
        return f"Met: {_told([o for o in obligations if o.met])}."
    chief = max(edges, key=lambda item: item.basis == "explicit")
    return f"Nothing is asked at this release intent. {chief.path}: clause {chief.clause}: {chief.reason}"


def _told(obligations: list[Obligation]) -> str:
    by_license: dict[str, list[str]] = defaultdict(list)
    for o in obligations:
        words = f" '{o.value}'" if o.kind in {"NAME_PREFIX", "DISPLAY"} else ""
        by_license[o.license].append(f"{o.kind}{words}")
    return "; ".join(f"{', '.join(dict.fromkeys(kinds))} ({license_})" for license_, kinds in by_license.items())


def _unused(case: LicenseCase, obligations: tuple[Obligation, ...], outbound: Expression | None, known: Facts) -> list[str]:
    shown = {o.why for o in obligations if o.met}
    remarks = []
    for index, evidence in enumerate(case.evidence):
        if evidence.separate_license:
            if not any(evidence.separate_license in why for why in shown):
                remarks.append(f"evidence[{index}]: {_why_unused(evidence, case, outbound, known)}")
        elif evidence.registration:
            if not any(o.kind == "REGISTER" and o.met and evidence.registration in o.why for o in obligations):
                remarks.append(f"evidence[{index}]: no obligation to register with {evidence.registration} was open")
        elif not any(o.kind == evidence.obligation or evidence.obligation in o.why for o in obligations if o.met):
            remarks.append(f"evidence[{index}]: met no obligation of kind {evidence.obligation}")
    return remarks


def _why_unused(evidence: Evidence, case: LicenseCase, outbound: Expression | None, known: Facts) -> str:
    for upstream in case.uses:
        for license_ in known.licenses.values():
            if is_licensor(evidence.licensor, license_.licensor):
                situation = Situation(case=case, upstream=upstream, taken=upstream.use, outbound=outbound, init=(), facts=known)
                fault = separate_fault(evidence, license_, One(name=license_.id).name, situation)
                if fault:
                    return fault
    return f"separate licence {evidence.separate_license} covers no upstream that needs one"
