"""What a name says against its tag: licences a published model was ever given, and the terms of whoever operates it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kdgov.license.case.case import Organization, Upstream
from kdgov.license.catalogue.expression import NOT_STATED, Expression, One, alternatives, ones, parse
from kdgov.license.catalogue.facts import Facts, License
from kdgov.license.catalogue.known_ids import Kind, KnownId
from kdgov.license.reasoning.obligations import is_licensor
from kdgov.license.reasoning.operators import is_operated_by, is_own_operation
from kdgov.license.reasoning.ruling_words import Ruling, at_least_review
from kdgov.license.vocabulary import DATASET_USES

FIRST_PARTY = "LicenseRef-FirstParty"
"""Licence of what the organisation made and owns itself."""
_MOST_TOLD = 3


def known_upstream(upstream: Upstream, facts: Facts) -> KnownId | None:
    """What the fact files know of an upstream by its name."""
    kind: Kind = "dataset" if upstream.use in DATASET_USES else "model"
    return facts.known_ids.find(upstream.name, kind)


def against_tag(upstream: Upstream, expression: Expression, ruling: Ruling, facts: Facts) -> Ruling:
    """The ruling, held for review where the licence stated was never one of those the named thing was given.

    A declared upstream under one of those licences settles it: then the lineage itself carries their terms.
    """
    known = known_upstream(upstream, facts)
    if known is None or not known.licenses:
        return ruling
    stated = [one for one in ones(expression) if one.name.lower() not in NOT_STATED and facts.family(one.name) is None]
    if not stated or len(stated) < len(ones(expression)):
        return ruling
    given = _ids(known.licenses, facts)
    # Of a choice every alternative must fit: the mildest would be taken.
    choices = [_ids((one.name for one in choice), facts) for choice in alternatives(expression)]
    if all(_same(ids, given, facts) for ids in choices) or _is_operators_alone(upstream, stated, given, facts):
        return ruling
    if any(_same(_ids(_names(inner), facts), given, facts) for inner in _behind(upstream)):
        return ruling
    told = " or ".join(known.licenses[:_MOST_TOLD]) + (" or another of its own" if len(known.licenses) > _MOST_TOLD else "")
    return at_least_review(
        ruling,
        clause=f"name against tag: {upstream.name} is not known under {expression}",
        reason=f"The name is that of something known under {told} only, and the tag says {expression}.",
        source=f"{known.source} ({known.seen})",
        mend="Correct the name or the tag, give the licence file that came with it, or name under made_by what it was made from.",
    )


def _behind(upstream: Upstream) -> Iterable[Upstream]:
    for inner in upstream.made_by:
        yield inner
        yield from _behind(inner)


def _names(upstream: Upstream) -> list[str]:
    parsed = parse(upstream.license)
    return [] if isinstance(parsed, str) else [one.name for one in ones(parsed)]


def _ids(names: Iterable[str], facts: Facts) -> set[str]:
    found: set[str] = set()
    for name in names:
        entry = facts.find(name)
        family = None if entry else facts.family(name)
        found |= {entry.id} if entry else set(facts.members.get(family, ())) if family else {name.lower()}
    return found


def _same(stated: set[str], given: set[str], facts: Facts) -> bool:
    editions = {facts.licenses[name].edition_of for name in given if name in facts.licenses} - {""}
    return bool(stated & given) or any(name in facts.licenses and facts.licenses[name].edition_of in editions for name in stated)


def _is_operators_alone(upstream: Upstream, stated: list[One], given: set[str], facts: Facts) -> bool:
    """Whether only an operator's terms are stated for an open model it serves: the tag says nothing of the model then."""
    entries = [facts.find(one.name) for one in stated]
    is_open = any(name in facts.licenses and facts.licenses[name].kind != "api" for name in given)
    return is_open and upstream.access in {"api", "product"} and all(entry is not None and entry.kind == "api" for entry in entries)


def operator_terms(upstream: Upstream, expression: Expression, ruling: Ruling, facts: Facts, organization: Organization) -> Ruling:
    """The ruling, held for review where somebody else operates the model and its terms are not among the licences named."""
    entries = [facts.find(one.name) for one in ones(expression)]
    if _is_own(upstream.hosted_by, organization) or _is_first_party_alone(entries, upstream):
        return ruling
    if upstream.access not in {"api", "product"} and not upstream.hosted_by:
        return ruling
    contracts = [entry for entry in entries if entry is not None and entry.kind == "api"]
    terms = {entry.id for entry in contracts}
    if not all(_ids((one.name for one in choice), facts) & terms for choice in alternatives(expression)):
        # Nobody may choose between a licence and the contract under which its outputs came.
        contracts = []
    who = upstream.hosted_by or f"whoever offers this {upstream.access}"
    if not contracts:
        how = f"access: {upstream.access}" + (f", hosted_by: {upstream.hosted_by}" if upstream.hosted_by else "")
        return at_least_review(
            ruling,
            clause=f"operator's terms ({how}): not named",
            reason=f"The outputs came through a service: the terms of {who} bind besides the model's own licence, and they are not named.",
            source="declared access of the case; no terms of a service among the licences stated",
            mend="Join the operator's terms to the licence with AND (`kdgov license list` has those known), or say `hosted_by: self`.",
        )
    if upstream.hosted_by and not any(_operates(upstream.hosted_by, entry) for entry in contracts):
        return at_least_review(
            ruling,
            clause=f"operator's terms (hosted_by: {upstream.hosted_by}): another's are named",
            reason=f"{upstream.hosted_by} operates the model, and the terms named are those of {', '.join(e.name for e in contracts)}.",
            source="declared operator of the case",
            mend=f"Name the terms of {upstream.hosted_by} with AND, or correct hosted_by.",
        )
    return ruling


def _is_own(hosted_by: str, organization: Organization) -> bool:
    return is_own_operation(hosted_by) or bool(organization.name and is_licensor(hosted_by, [organization.name]))


def _is_first_party_alone(entries: list[License | None], upstream: Upstream) -> bool:
    return not upstream.hosted_by and all(entry is not None and entry.id == FIRST_PARTY for entry in entries)


def _operates(hosted_by: str, terms: License) -> bool:
    return is_operated_by(hosted_by, terms.licensor) or is_licensor(hosted_by, terms.licensor)


def with_filled_name(upstream: Upstream, facts: Facts) -> Upstream:
    """The upstream with the lineage that the fact files know of its name, where the case is silent on it."""
    known = known_upstream(upstream, facts)
    if known is None or not known.made_by:
        return upstream
    declared = {inner.name.casefold().rpartition("/")[2] for inner in _behind(upstream)}
    own = _ids(_names(upstream), facts)
    added = []
    for use, name, licence in known.made_by:
        child = Upstream(use=use, name=name, license=licence)  # type: ignore[arg-type]
        ids = _ids([licence], facts)
        is_told = any(inner.use == use and ids & _ids(_names(inner), facts) for inner in _behind(upstream))
        deeper = known_upstream(child, facts)
        # What adds no other terms, and nothing behind it, is not repeated.
        is_same = ids <= own and (deeper is None or not deeper.made_by)
        if name.casefold().rpartition("/")[2] not in declared and not is_told and not is_same:
            added.append(child)
    return replace(upstream, made_by=(*upstream.made_by, *added)) if added else upstream
