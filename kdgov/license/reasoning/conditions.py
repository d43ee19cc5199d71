"""Whether the facts of a case fulfil the `when` of a rule: one small test per condition, all of which must hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kdgov.license.case.case import LicenseCase, Organization, Student, Upstream
from kdgov.license.case.countries import country_code
from kdgov.license.catalogue.expression import Expression, One, alternatives
from kdgov.license.catalogue.facts import Facts
from kdgov.license.reasoning.operators import is_operated_by
from kdgov.license.vocabulary import PLACE_GROUPS, Use, members


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One edge in its case: what a rule's conditions are judged against."""

    case: LicenseCase
    """The whole question."""
    upstream: Upstream
    """The edge's upstream."""
    taken: Use
    """What is taken from the upstream itself, wherever in the lineage it stands."""
    outbound: Expression | None
    """The student's own licence; None where it states none."""
    init: tuple[tuple[frozenset[str], str], ...]
    """Licence ids and name of everything the student starts from, along its weights."""
    facts: Facts
    """The fact files."""


def holds(when: Mapping[str, Any], situation: Situation) -> bool:
    """Whether every condition holds; an empty `when` always does."""
    return all(CONDITIONS[key](value, situation) for key, value in when.items())


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _student_kind(value: Any, situation: Situation) -> bool:
    return situation.case.student.kind in members(_listed(value))


def _similar(value: Any, situation: Situation) -> bool:
    stated = situation.case.student.similar_to_teacher
    if is_contradicted(situation.case.student):
        stated = True
    if stated is None and situation.case.choice("similar_performance") == "false":
        stated = False
    word = "unstated" if stated is None else "declared" if stated else "denied"
    return word in _listed(value)


def is_contradicted(student: Student) -> bool:
    """Whether the student is said not to resemble its teacher while its recipe distils from one."""
    return student.is_distilled and student.similar_to_teacher is False


def place_status(places: list[str], organization: Organization) -> str:
    """``inside``, ``outside`` or ``undeclared``: where the organisation sits against a list of territories.

    A seat that stands for no country is undeclared: it lies outside nothing.
    """
    place = country_code(organization.principal_place)
    if place is None:
        return "undeclared"
    inside = any(place in PLACE_GROUPS.get(name, frozenset({name})) for name in places)
    return "inside" if inside else "outside"


def users_status(limit: float, as_of: str, organization: Organization) -> str:
    """``over``, ``within``, ``unclear`` or ``undeclared``: monthly active users against a limit at a month.

    ``as_of: latest`` takes the last month declared. A month that is not declared is taken from its neighbours where
    both fall on the same side of the limit, or from one within six months; otherwise it is unclear.
    """
    users = organization.monthly_active_users
    if users is None or users == {}:
        return "undeclared"
    if not isinstance(users, Mapping):
        return "over" if users > limit else "within"
    side = {_month(month): ("over" if number > limit else "within") for month, number in users.items()}
    if as_of == "latest":
        return side[max(side)]
    wanted = _month(as_of)
    if wanted in side:
        return side[wanted]
    near = [max((m for m in side if m < wanted), default=None), min((m for m in side if m > wanted), default=None)]
    sides = {side[month] for month in near if month is not None}
    if len(sides) > 1:
        return "unclear"
    is_bracketed = None not in near
    is_close = any(month is not None and abs(month - wanted) <= 6 for month in near)
    return sides.pop() if is_bracketed or is_close else "unclear"


def _month(text: str) -> int:
    year, _, month = text.partition("-")
    return int(year) * 12 + (int(month[:2]) if month else 1)


def _users(value: Mapping[str, Any], situation: Situation) -> bool:
    return users_status(float(value["over"]), str(value["as_of"]), situation.case.organization) in _listed(value["is"])


def revenue_status(limit: float, organization: Organization) -> str:
    """``over``, ``within`` or ``undeclared``: annual revenue against a limit."""
    revenue = organization.annual_revenue_usd
    if revenue is None:
        return "undeclared"
    return "over" if revenue > limit else "within"


def _init(value: Mapping[str, Any], situation: Situation) -> bool:
    wanted = frozenset(value.get("licenses", ()))
    pattern = value.get("name", "")
    return any(ids & wanted or (pattern and re.search(pattern, name, re.IGNORECASE)) for ids, name in situation.init)


def outbound_lacks(accepted: frozenset[str], outbound: Expression | None, facts: Facts) -> bool:
    """Whether some choice a recipient has holds none of the accepted licences; True where no licence is stated."""
    if outbound is None:
        return True
    return not all(any(_ids(one, facts) & accepted for one in choice) for choice in alternatives(outbound))


def outbound_has_trait(trait: str, outbound: Expression | None, facts: Facts) -> bool:
    """Whether some choice a recipient has consists of known licences that all have a trait."""
    if outbound is None:
        return False
    for choice in alternatives(outbound):
        found = [facts.find(one.name) for one in choice]
        if found and all(entry is not None and trait in entry.traits for entry in found):
            return True
    return False


def outbound_touches(trait: str, outbound: Expression | None, facts: Facts) -> bool:
    """Whether any licence of the outbound expression has a trait."""
    if outbound is None:
        return False
    entries = [facts.find(one.name) for choice in alternatives(outbound) for one in choice]
    return any(entry is not None and trait in entry.traits for entry in entries)


def _ids(one: One, facts: Facts) -> frozenset[str]:
    entry = facts.find(one.name)
    return frozenset({entry.id} if entry else {one.name})


def is_multimodal(upstream: Upstream) -> str:
    """``yes``, ``no`` or ``unclear``: whether an upstream model takes more than text, by declaration or by its name."""
    if upstream.multimodal is not None:
        return "yes" if upstream.multimodal else "no"
    if re.search(r"vision|multimodal|(?<![\d.])(11|90)b", upstream.name, re.IGNORECASE):
        return "yes"
    # Llama 3.2 came as 1B and 3B (text) and as 11B and 90B (vision): other names do not tell.
    return "no" if re.search(r"(?<![\d.])[13]b\b|text", upstream.name, re.IGNORECASE) else "unclear"


def is_named(name: str, names: list[str]) -> bool:
    """Whether a name is one of several or holds one of them as a word, case ignored."""
    words = f" {re.sub(r'[^a-z0-9]+', ' ', name.lower()).strip()} "
    return any(f" {re.sub(r'[^a-z0-9]+', ' ', one.lower()).strip()} " in words for one in names)


def _student_hosted_by(value: Any, situation: Situation) -> bool:
    """Whether all weights the student starts from stay with one of the operators named, and the student with them."""
    starts = [upstream for upstream in situation.case.uses if upstream.use == "weights_init"]
    return bool(starts) and all(is_operated_by(upstream.hosted_by, _listed(value)) for upstream in starts)


def first_party_status(upstream: Upstream, organization: Organization, facts: Facts) -> str:
    """``own``, ``stated`` or ``foreign``: whose a first-party work is, by its stated holder and the organisation's name.

    Without a holder it is the organisation's. A holder who is not the organisation, or who is known to license to others, is
    foreign; a holder beside an organisation whose name the case does not give is taken as stated.
    """
    holder = upstream.rights_holder
    if not holder:
        return "own"
    if organization.name:
        return "own" if is_named(holder, [organization.name]) or is_named(organization.name, [holder]) else "foreign"
    is_licensing = any(is_named(holder, [name]) for entry in facts.licenses.values() for name in entry.licensor)
    return "foreign" if is_licensing else "stated"


CONDITIONS: dict[str, Callable[[Any, Situation], bool]] = {
    "distribution": lambda value, s: s.case.release.distribution in _listed(value),
    "commercial": lambda value, s: s.case.release.commercial is value,
    "research": lambda value, s: s.case.release.research is value,
    "student_kind": _student_kind,
    "student_kind_not": lambda value, s: not _student_kind(value, s),
    "similar": _similar,
    "access": lambda value, s: s.upstream.access in _listed(value),
    "organization": lambda value, s: s.case.organization.kind in _listed(value),
    "organization_not": lambda value, s: s.case.organization.kind not in _listed(value),
    "place": lambda value, s: place_status(value["in"], s.case.organization) in _listed(value["is"]),
    "users": _users,
    "revenue": lambda value, s: revenue_status(float(value["over"]), s.case.organization) in _listed(value["is"]),
    "upstream_name": lambda value, s: re.search(value, s.upstream.name, re.IGNORECASE) is not None,
    "multimodal": lambda value, s: is_multimodal(s.upstream) in _listed(value),
    "personal_data": lambda value, s: s.upstream.personal_data in _listed(value),
    "paid": lambda value, s: s.upstream.paid in _listed(value),
    "init": _init,
    "init_not": lambda value, s: not _init(value, s),
    "outbound_lacks": lambda value, s: outbound_lacks(frozenset(value), s.outbound, s.facts),
    "outbound_carries": lambda value, s: not outbound_lacks(frozenset(value), s.outbound, s.facts),
    "outbound_trait": lambda value, s: outbound_touches(value, s.outbound, s.facts),
    "hosted_by": lambda value, s: is_operated_by(s.upstream.hosted_by, _listed(value)),
    "hosted_by_not": lambda value, s: not is_operated_by(s.upstream.hosted_by, _listed(value)),
    "student_hosted_by": _student_hosted_by,
    "first_party": lambda value, s: first_party_status(s.upstream, s.case.organization, s.facts) in _listed(value),
    "choice": lambda value, s: all(s.case.choice(name) in _listed(stance) for name, stance in value.items()),
}
"""Name of a condition in the fact files → its test. A new kind of fact is one line here; a new licence is none."""
