"""The lineage of a student: every upstream, as deep as it goes, with the use it comes to for the student."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from kdgov.license.answer import Edge
from kdgov.license.case.case import LicenseCase, Upstream
from kdgov.license.catalogue.expression import NOT_STATED, Expression, One, alternatives, ones, parse
from kdgov.license.catalogue.facts import Facts
from kdgov.license.catalogue.text_recognition import TextMatch, identify
from kdgov.license.reasoning.conditions import Situation
from kdgov.license.reasoning.identity_doubts import FIRST_PARTY, against_tag, operator_terms, with_filled_name
from kdgov.license.reasoning.name_hints import by_name
from kdgov.license.reasoning.ruling import joined, rule_on, unique
from kdgov.license.reasoning.ruling_words import Ruling
from kdgov.license.vocabulary import DATASET_USES, OUTPUT_USES, VERDICTS, Use

ARROW = " ← "


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What stays the same along the whole lineage of one case."""

    case: LicenseCase
    """The question."""
    facts: Facts
    """The fact files."""
    outbound: Expression | None
    """The student's own licence."""
    init: tuple[tuple[frozenset[str], str], ...]
    """Licences and names of everything the student starts from."""
    rivals: Mapping[str, list[str]]
    """Kind of duty → licences that ask for it."""


def compose(outer: Use, inner: Use) -> Use | None:
    """The use that an upstream's upstream comes to for the student; None where nothing of it reaches the student."""
    if outer in DATASET_USES:
        if outer != "dataset_train":
            return None if inner == "tokenizer" else outer
        if inner in DATASET_USES:
            return "dataset_train"
        return {"weights_init": "generated_text", "tokenizer": None}.get(inner, inner)  # type: ignore[return-value]
    if inner in {"dataset_eval", "dataset_publish"}:
        return None
    if outer == "weights_init":
        return inner
    if outer == "tokenizer":
        return "tokenizer" if inner in {"weights_init", "tokenizer"} else None
    # The student learnt from outputs: those of a derivative are outputs of what it derives from.
    if inner == "weights_init":
        return outer
    return None if inner == "tokenizer" else "generated_text" if inner in OUTPUT_USES else inner


def starting_points(uses: tuple[Upstream, ...], facts: Facts) -> tuple[tuple[frozenset[str], str], ...]:
    """Licence ids and name of everything whose weights end in the student, down the chain of weights."""
    found = []
    for upstream in uses:
        if upstream.use != "weights_init":
            continue
        found.append((_certain_names(upstream, facts), upstream.name))
        found += starting_points(with_known_lineage(upstream, facts).made_by, facts)
    return tuple(found)


def _certain_names(upstream: Upstream, facts: Facts) -> frozenset[str]:
    """Licences that an upstream is under whichever alternative of its expression is taken."""
    expression = parse(upstream.license)
    if isinstance(expression, str):
        return frozenset()
    choices = [frozenset(entry.id for one in choice if (entry := facts.find(one.name))) for choice in alternatives(expression)]
    return frozenset.intersection(*choices)


def with_known_lineage(upstream: Upstream, facts: Facts) -> Upstream:
    """The upstream with the lineage its card declares, where the artifact is known and the case is silent on it."""
    declared = {_names_in(child, facts) for child in upstream.made_by}
    added = []
    for artifact in facts.artifacts:
        if not re.search(artifact.pattern, upstream.name, re.IGNORECASE):
            continue
        for raw in artifact.made_by:
            child = Upstream(use=raw["use"], license=raw["license"], name=raw["name"])  # type: ignore[arg-type]
            if _names_in(child, facts) not in declared and _names_in(child, facts) != _names_in(upstream, facts):
                added.append(child)
    filled = replace(upstream, made_by=(*upstream.made_by, *added)) if added else upstream
    return with_filled_name(filled, facts)


def _names_in(upstream: Upstream, facts: Facts) -> frozenset[str]:
    expression = parse(upstream.license)
    if isinstance(expression, str):
        return frozenset()
    return frozenset(entry.id for one in ones(expression) if (entry := facts.find(one.name)))


def edge(upstream: Upstream, use: Use, path: str, walk: Walk) -> Edge:
    """The answer for one upstream, joined with those of its own upstreams."""
    stated, upstream = upstream, with_known_lineage(upstream, walk.facts)
    here = f"{path}{ARROW}{upstream.name or upstream.license or upstream.use}"
    own, notes = _own_ruling(upstream, use, walk)
    # Only what the case itself declares explains a tag that does not fit the name.
    own = against_tag(stated, _expression(upstream), own, walk.facts)
    own = by_name(upstream, _expression(upstream), own, walk.facts, FIRST_PARTY)
    children: list[Edge] = []
    for child in upstream.made_by:
        found = _child(child, upstream, use, here, walk)
        if isinstance(found, str):
            notes.append(found)
        else:
            children.append(found)
    decisive = max(children, key=lambda item: VERDICTS.index(item.verdict), default=None)
    leads = decisive is not None and VERDICTS.index(decisive.verdict) > VERDICTS.index(own.verdict)
    chief: Edge | Ruling = decisive if leads and decisive else own
    return Edge(
        use=upstream.use,
        effective_use=use,
        name=upstream.name,
        license=upstream.license or "NOASSERTION",
        resolved=own.resolved,
        path=here,
        verdict=chief.verdict,
        clause=chief.clause,
        reason=chief.reason,
        source=chief.source,
        confidence=chief.confidence,
        basis=chief.basis,
        decided_at=decisive.decided_at if leads and decisive else here,
        mend=chief.mend,
        obligations=unique((*own.obligations, *(o for child in children for o in child.obligations))),
        chosen=own.chosen,
        notes=tuple(notes),
        made_by=tuple(children),
    )


def _child(child: Upstream, parent: Upstream, use: Use, path: str, walk: Walk) -> Edge | str:
    name = child.name or child.license or child.use
    choice = "synth_inherits" if parent.use in DATASET_USES else "transitive"
    stance = walk.case.choice(choice)
    if stance == "false":
        return f"{name} is not followed: policy choice {choice}: false"
    reached = compose(use, child.use)
    if reached is None:
        return f"{name} ({child.use}) does not reach the student through {parent.name or parent.use}"
    answer = edge(child, reached, path, walk)
    if stance == "review" and answer.verdict != "allow":
        return replace(
            answer,
            verdict="needs_review",
            clause=f"policy choice {choice}: review, over {answer.clause}",
            reason=f"Whether this upstream binds the student is left to a person; if it does: {answer.reason}",
            mend=f"Let the policy decide ({choice}), or have a named person waive this review.",
            basis="policy-choice",
            obligations=tuple(replace(o, is_contradicted=False, met=o.met or None) for o in answer.obligations),
        )
    return answer


def _own_ruling(upstream: Upstream, use: Use, walk: Walk) -> tuple[Ruling, list[str]]:
    situation = Situation(
        case=walk.case, upstream=replace(upstream, use=use), taken=upstream.use, outbound=walk.outbound, init=walk.init, facts=walk.facts
    )
    expression = _expression(upstream)
    if use == "tokenizer" and walk.case.choice("component_rules") == "false":
        return _component_dropped(expression), ["tokenizer left to the model's own licence: policy choice component_rules: false"]
    ruling, notes = _by_text(upstream, expression, situation, use, walk)
    if use == "tokenizer" and walk.case.choice("component_rules") == "review" and ruling.verdict not in {"allow", "deny"}:
        ruling = replace(
            ruling,
            verdict="needs_review",
            clause=f"policy choice component_rules: review, over {ruling.clause}",
            mend="Let the policy decide (component_rules), or have a named person waive this review.",
        )
    if upstream.access == "extraction" and ruling.verdict in {"allow", "allow_with_obligations"}:
        ruling = replace(
            ruling,
            verdict="needs_review",
            clause="access: extraction (the operator's terms are not named)",
            reason="The model's licence permits the use, but extracting it from a service is a matter of the operator's terms.",
            mend="Join the operator's terms to the licence with AND, or say how the model was reached.",
            basis="inferred",
        )
    return operator_terms(upstream, expression, ruling, walk.facts, walk.case.organization), notes


def _expression(upstream: Upstream) -> Expression:
    parsed = parse(upstream.license)
    return One(name="NOASSERTION") if isinstance(parsed, str) else parsed


def _component_dropped(expression: Expression) -> Ruling:
    return Ruling(
        verdict="allow",
        clause="policy choice component_rules: false",
        reason="The policy takes a tokenizer as part of the model it came with, without a licence of its own.",
        source="policy choice component_rules",
        confidence="seen",
        basis="policy-choice",
        resolved=tuple(str(one) for one in ones(expression)),
    )


def _rulings(expression: Expression, use: Use, situation: Situation, walk: Walk) -> Ruling:
    looked_up: Use = "hidden_states" if use == "logits" and walk.case.choice("logits_as") == "internals" else use
    return rule_on(expression, looked_up, situation, walk.rivals)


def _by_text(upstream: Upstream, tag: Expression, situation: Situation, use: Use, walk: Walk) -> tuple[Ruling, list[str]]:
    """The ruling by the licence text where one is given: the text beats the tag, and a conflict is shown."""
    by_tag = _rulings(tag, use, situation, walk)
    if upstream.license_text is None:
        if not upstream.license_text_path:
            return by_tag, []
        return _doubted(by_tag, by_tag, f"the licence text {upstream.license_text_path} was not read"), []
    match = identify(upstream.license_text, walk.facts)
    where = upstream.license_text_path or "the licence text"
    if match.license is None:
        return _doubted(by_tag, by_tag, f"{where} is not a licence text known here ({match.why})"), []
    tagged = {entry.id for one in ones(tag) if (entry := walk.facts.find(one.name))}
    by_text = _rulings(One(name=match.license), use, situation, walk)
    editions = {walk.facts.licenses[name].edition_of for name in tagged} - {""}
    agrees = match.license in tagged or walk.facts.licenses[match.license].edition_of in editions
    if agrees and match.is_sure:
        return by_tag, [f"{where} is {match.license}: {match.why}"]
    silent = all(one.name.lower() in NOT_STATED or one.name.lower() in walk.facts.families for one in ones(tag))
    if silent and match.is_sure:
        return by_text, [f"{where} is {match.license}: {match.why}; it stands for the tag {tag}"]
    return _doubted(by_tag, by_text, _conflict(where, match, tag)), []


def _conflict(where: str, match: TextMatch, tag: Expression) -> str:
    if not match.is_sure:
        return f"{where} resembles {match.license} but differs from it ({match.why}); the tag says {tag}"
    return f"{where} is {match.license} ({match.why}) but the tag says {tag}"


def _doubted(by_tag: Ruling, by_text: Ruling, why: str) -> Ruling:
    stricter = joined([by_tag, by_text])
    if stricter.verdict == "deny":
        return replace(stricter, reason=f"{stricter.reason} Besides, {why}.")
    return replace(
        stricter,
        verdict="needs_review",
        clause=f"{by_tag.clause} (tag); {by_text.clause} (text)" if by_text is not by_tag else by_tag.clause,
        reason=f"{why[0].upper()}{why[1:]}; the stricter of both is taken until a person settles it.",
        mend="Correct the tag or give the licence file that came with the upstream.",
        basis="inferred",
    )


def walk_obligations(edges: tuple[Edge, ...]) -> Iterator[tuple[str, str]]:
    """Kind and licence of every obligation of some edges."""
    for item in edges:
        for found in item.obligations:
            yield found.kind, found.license
