"""Whether a duty applies to a release, and whether evidence or the facts show it met."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kdgov.license.answer import Obligation
from kdgov.license.case.case import Evidence, LicenseCase
from kdgov.license.catalogue.facts import Duty, License
from kdgov.license.reasoning.conditions import (
    Situation,
    outbound_has_trait,
    outbound_lacks,
    outbound_touches,
    place_status,
    revenue_status,
    users_status,
)
from kdgov.license.reasoning.shipped_texts import file_fault
from kdgov.license.vocabulary import TRIGGERS, Use, reach

SILENT_KINDS = frozenset({"RECORD", "THRESHOLD", "TERRITORY"})
"""Duties that a release keeps by being what it is: they turn no ``allow`` into ``allow_with_obligations``."""

# One statement about the student's own files or purpose answers every licence that asks for it.
_ABOUT_THE_STUDENT = frozenset({"STATE_CHANGES", "SOURCE_OFFER", "RESEARCH_ONLY", "IMPACT_REPORT", "RECORD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether one duty is met."""

    met: bool | None
    """True, False, or None where the case cannot tell whether it applies."""
    why: str
    """What met it, or what is missing."""
    is_contradicted: bool = False
    """Whether the facts themselves show it unmet."""


def applies(duty: Duty, case: LicenseCase, use: Use) -> bool:
    """Whether the release has reached a duty's trigger; publishing a dataset reaches all of them."""
    distribution = case.release.distribution
    if use == "dataset_publish":
        return True
    if duty.only and distribution not in duty.only:
        return False
    return reach(distribution) >= TRIGGERS.index(duty.trigger)


def judge(duty: Duty, owner: License, situation: Situation, rivals: Sequence[str]) -> Standing:
    """Whether a duty of a licence is met; ``rivals`` are the licences that ask for the same kind of duty."""
    shown = _by_facts(duty, situation)
    if shown is not None:
        return shown
    reasons = []
    for kind in (duty.kind, *duty.met_by):
        for evidence in situation.case.evidence:
            fault = _fault(evidence, kind, duty, owner, situation, rivals)
            if fault is None:
                return Standing(met=True, why=f"evidence: {_describe(evidence)}")
            if fault:
                reasons.append(fault)
    if duty.condition and not _is_known_to_apply(duty, situation):
        return Standing(met=None, why=f"due only if {duty.condition}")
    return Standing(met=False, why="; ".join(dict.fromkeys(reasons)) or "no evidence")


def _is_known_to_apply(duty: Duty, situation: Situation) -> bool:
    return duty.kind == "NOTICE" and situation.upstream.notice_file is True


def _by_facts(duty: Duty, situation: Situation) -> Standing | None:
    case = situation.case
    match duty.kind:
        case "NAME_PREFIX":
            name = case.student.name
            if begins_with(name, duty.value):
                return Standing(met=True, why=f"the student's name is '{name}'")
            return Standing(met=False, why=f"the student's name '{name}' does not begin with '{duty.value}'", is_contradicted=True)
        case "RESEARCH_ONLY":
            return _research_only(situation)
        case "SHARE_ALIKE" | "FLOW_DOWN":
            return _carried(duty, situation)
        case "NO_DATA_REDISTRIBUTION":
            is_kept = case.release.distribution != "data"
            return Standing(met=is_kept, why=f"the release goes out as {case.release.distribution}", is_contradicted=not is_kept)
        case "NOTICE" if duty.condition and situation.upstream.notice_file is False:
            return Standing(met=True, why="the upstream ships no NOTICE file")
        case "THRESHOLD":
            return _threshold(duty, case)
        case "TERRITORY":
            return _territory(duty, case)
        case "RECORD":
            return Standing(met=True, why="recorded in this answer") if not duty.condition else None
        case _:
            return None


def _territory(duty: Duty, case: LicenseCase) -> Standing | None:
    seat = case.organization.principal_place
    match place_status(duty.value.replace("-", "").split(","), case.organization):
        case "inside":
            return Standing(met=False, why=f"the organisation sits in {seat}", is_contradicted=True)
        case "outside" if duty.trigger == "internal":
            # A duty from the start is about the organisation's own seat; one from hosting on is about where it offers.
            return Standing(met=True, why=f"the organisation sits in {seat}")
        case _:
            return None


def begins_with(name: str, prefix: str) -> bool:
    """Whether a model's name (without its owner) begins with a prefix; case is ignored, and spaces, hyphens and underscores count alike.

    A prefix that ends in a digit is not met by a longer number: ``Llama 30B`` does not begin with ``Llama 3``.
    """
    plain = re.sub(r"[\s_\-]+", "", name.rsplit("/", 1)[-1]).lower()
    wanted = re.sub(r"[\s_\-]+", "", prefix).lower()
    if not plain.startswith(wanted):
        return False
    rest = plain[len(wanted) :]
    return not (wanted[-1].isdigit() and rest[:1].isdigit())


def _research_only(situation: Situation) -> Standing:
    release = situation.case.release
    if release.commercial:
        return Standing(met=False, why="the release is commercial", is_contradicted=True)
    is_part = situation.upstream.use in ("weights_init", "tokenizer")
    frees = outbound_has_trait("unrestricted", situation.outbound, situation.facts)
    if is_part and reach(release.distribution) == 2 and frees:
        return Standing(
            met=False,
            why=f"the student's own licence {situation.case.student.license} lets recipients use it commercially",
            is_contradicted=True,
        )
    return Standing(met=True, why="the release is not commercial" + (" and serves research" if release.research else ""))


def _carried(duty: Duty, situation: Situation) -> Standing | None:
    license_ = situation.case.student.license
    if not outbound_lacks(frozenset(duty.carried_by), situation.outbound, situation.facts):
        return Standing(met=True, why=f"the student's own licence {license_} carries it")
    if duty.condition:
        return Standing(met=None, why=f"due only if {duty.condition}")
    if duty.kind == "FLOW_DOWN" and (
        outbound_has_trait("unrestricted", situation.outbound, situation.facts)
        or outbound_touches("no_further_restrictions", situation.outbound, situation.facts)
    ):
        why = f"the student's own licence {license_} grants use without restriction and cannot carry it; join the terms with AND"
        return Standing(met=False, why=why, is_contradicted=True)
    return None


def _threshold(duty: Duty, case: LicenseCase) -> Standing:
    what, limit, *as_of = duty.value.split()
    is_users = what == "users"
    match users_status(float(limit), as_of[0], case.organization) if is_users else revenue_status(float(limit), case.organization):
        case "within":
            return Standing(met=True, why=f"declared {what} are within the limit")
        case "undeclared":
            return Standing(met=None, why=f"{duty.condition}: it is not, and the limit is taken as kept")
        case "unclear":
            return Standing(met=None, why=f"the declared months do not settle {what} at {as_of[0]}")
        case status:
            return Standing(met=False, why=f"declared {what} are {status}", is_contradicted=status == "over")


def _fault(evidence: Evidence, kind: str, duty: Duty, owner: License, situation: Situation, rivals: Sequence[str]) -> str | None:
    """None if the evidence meets the duty, "" if it is about something else, otherwise why it falls short."""
    if evidence.registration and kind == "REGISTER":
        return _registration_fault(evidence, owner, situation.case)
    if evidence.obligation != kind:
        return ""
    if evidence.license:
        named = situation.facts.find(evidence.license)
        # A policy or section is as good a name as the licence it belongs to: "NVIDIA Trustworthy AI", "Gemma 3.2".
        is_meant = evidence.license.casefold() == duty.value.casefold() if named is None else named.id == owner.id
        if not is_meant and evidence.license != owner.id:
            return ""
    elif kind not in _ABOUT_THE_STUDENT and len(set(rivals)) > 1:
        return f"evidence of {kind} names no licence, and several ask for it: {', '.join(sorted(set(rivals)))}"
    if not (evidence.text or evidence.where or evidence.file or evidence.dated or evidence.signed_by):
        return f"evidence of {kind} says neither what nor where: add text, where, file, date or signed_by"
    if evidence.file:
        return file_fault(kind, duty, owner, evidence, situation)
    if kind == "DISPLAY" and duty.value and evidence.text:
        wanted = duty.value.split("|")
        if not any(words.casefold() in evidence.text.casefold() for words in wanted):
            return f"evidence shows '{evidence.text}', not {' or '.join(repr(words) for words in wanted)}"
    return None


def _registration_fault(evidence: Evidence, owner: License, case: LicenseCase) -> str | None:
    if not is_licensor(evidence.registration, owner.licensor):
        return ""
    if evidence.dated and case.as_of and evidence.dated > case.as_of:
        return f"registration with {evidence.registration} is dated {evidence.dated}, after {case.as_of}"
    return None


def is_licensor(name: str, licensors: Sequence[str]) -> bool:
    """Whether a name is one of a licence's licensors, case and legal form ignored."""

    def plain(text: str) -> str:
        return re.sub(r"\b(ltd|llc|inc|co|corp|corporation|gmbh|limited|pbc|platforms)\b|[^a-z0-9]+", "", text.lower())

    return bool(plain(name)) and plain(name) in {plain(licensor) for licensor in licensors}


def _describe(evidence: Evidence) -> str:
    if evidence.registration:
        return f"registration with {evidence.registration}" + (f" on {evidence.dated}" if evidence.dated else "")
    if evidence.file:
        return f"{evidence.obligation} in {evidence.file}, which was read and holds it"
    parts = [evidence.obligation, f"'{evidence.text}'" if evidence.text else "", f"in {evidence.where}" if evidence.where else ""]
    return " ".join(part for part in parts if part)


def obligation(duty: Duty, owner: License, situation: Situation, clause: str, rivals: Sequence[str]) -> Obligation:
    """The obligation that a duty becomes in a case."""
    standing = judge(duty, owner, situation, rivals)
    return Obligation(
        kind=duty.kind,
        text=duty.text,
        trigger=duty.trigger,
        met=standing.met,
        why=standing.why,
        license=owner.id,
        upstream=situation.upstream.name,
        value=duty.value.replace("|", " or ") or owner.id,
        clause=clause,
        is_contradicted=standing.is_contradicted,
    )
