"""The answer of a family name: that of the edition its upstream's name tells, or the one all its editions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kdgov.license.catalogue.facts import Facts, License
from kdgov.license.reasoning.ruling_words import Ruling
from kdgov.license.vocabulary import DATASET_USES, Use

_PASSING = frozenset({"allow", "allow_with_obligations"})


def editions_of(family: str, upstream_name: str, use: Use, facts: Facts) -> tuple[License, ...]:
    """The editions a family name may mean here: those its upstream was ever given, where that is known, else all."""
    members = [facts.licenses[name] for name in facts.members.get(family, ())]
    known = facts.known_ids.find(upstream_name, "dataset" if use in DATASET_USES else "model")
    given = {entry.id for name in (known.licenses if known else ()) if (entry := facts.find(name))}
    narrowed = [entry for entry in members if entry.id in given]
    return tuple(narrowed or members)


def common_answer(
    family: str, editions: tuple[License, ...], rule: Callable[[License], Ruling], join: Callable[[list[Ruling]], Ruling]
) -> Ruling | None:
    """The ruling all editions of a family agree on, with the duties of all; None where they disagree or none is known."""
    rulings = [rule(edition) for edition in editions]
    verdicts = {ruling.verdict for ruling in rulings}
    if not rulings or (len(verdicts) > 1 and not verdicts <= _PASSING):
        return None
    if len(rulings) == 1:
        only = rulings[0]
        told = f"{only.source}; which edition it is: known_ids.tsv, from memory, by the upstream's name"
        return replace(only, reason=f"{only.reason} ('{family}' is a family; the name tells that it is {editions[0].name}.)", source=told)
    shared = join(rulings)
    if len({tuple((o.kind, o.trigger) for o in ruling.obligations) for ruling in rulings}) == 1:
        # The same duties in every edition: those of the newest stand for all.
        shared = replace(shared, obligations=rulings[-1].obligations)
    names = ", ".join(edition.name for edition in editions)
    return replace(shared, reason=f"{shared.reason} ('{family}' is a family; all its editions answer alike: {names}.)")
