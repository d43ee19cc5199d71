"""Licence reasoning done again: the sealed case, with the facts this version of kdgov knows today."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from kdgov import license as licensing
from kdgov.auditing.review.audit_findings import AuditFinding, unverifiable, verified, violated
from kdgov.auditing.review.result import LicenceReview, LineageEdge
from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import LICENCE_ANSWER, LICENCE_CASE
from kdgov.evidence.bundle_reader import BundleReader

_GATES = ("promote", "hold", "block")
_VERDICTS = {"pass": "allow", "warn": "allow", "review": "needs_review", "block": "deny", "invalid": "needs_review"}


def review_licences(material: BundleReader, *, today: datetime.date) -> tuple[LicenceReview, tuple[AuditFinding, ...]]:
    """Today's answer beside that of the day of release, and what the difference means."""
    sealed, case = material.document(LICENCE_ANSWER), material.document(LICENCE_CASE)
    then = _then(material, sealed)
    if not case:
        why = "The evidence holds no licence case to reason about again"
        return LicenceReview(then=then), (
            unverifiable("licence", LICENCE_CASE, f"{why}; the findings of the day of release stand.", mend="Record it anew."),
        )
    try:
        answer = _reason(material, case, today)
    except InputError as error:
        fault = f"The case cannot be reasoned about: {error.what}."
        return LicenceReview(then=then), (unverifiable("licence", LICENCE_CASE, fault, mend=error.mend, required=True),)
    changes = tuple(_changes(sealed, answer)) if sealed else ()
    review = LicenceReview(then=then, now=_told(answer), changes=changes, uses=tuple(_uses(answer)))
    return review, (_finding(material, sealed, answer, changes),)


def _reason(material: BundleReader, case: Mapping[str, Any], today: datetime.date) -> dict[str, Any]:
    # A day written into the case would keep every expiry on the day of release.
    undated = {key: value for key, value in case.items() if key != "as_of"}
    read = licensing.case_from_json(undated, file=LICENCE_CASE, read_text=lambda name: _text(material, name), as_of=today)
    return licensing.check(read).as_json()


def _text(material: BundleReader, name: str) -> str:
    try:
        return (material.folder / name).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"the licence text {name} is not part of the evidence", mend="Record the release again.") from error


def _finding(material: BundleReader, sealed: Mapping[str, Any], answer: Mapping[str, Any], changes: tuple[str, ...]) -> AuditFinding:
    digest, gate = material.digest(LICENCE_CASE), str(answer["gate"])
    before = str(sealed.get("gate", "promote"))
    if gate == before and not changes:
        return verified(
            "licence", LICENCE_CASE, f"Reasoned again with today's facts: {_told(answer)}, as on the day of release.", digest=digest
        )
    if _GATES.index(gate) <= _GATES.index(before):
        return verified(
            "licence",
            LICENCE_CASE,
            f"Reasoned again: {_told(answer)}; {len(changes)} answers read differently today, none stricter.",
            digest=digest,
        )
    reason = f"On the day of release it was {_told(sealed) if sealed else before}; today it is {_told(answer)}: {answer['reason']}"
    if gate == "block":
        return violated("licence", LICENCE_CASE, reason, mend="Lift what the clause names, or take the version out of use.", digest=digest)
    return unverifiable("licence", LICENCE_CASE, reason, mend="Have the named clause reviewed.", required=True)


def _then(material: BundleReader, sealed: Mapping[str, Any]) -> str:
    if sealed:
        return _told(sealed)
    verdicts = [str(row.get("verdict")) for row in material.findings if row.get("check") == "licence"]
    worst = next((v for v in ("block", "invalid", "review", "warn", "pass") if v in verdicts), "")
    return _VERDICTS[worst].replace("_", " ") if worst else ""


def _told(answer: Mapping[str, Any]) -> str:
    return f"{str(answer.get('verdict', 'unknown')).replace('_', ' ')} ({answer.get('gate', 'unknown')})"


def _changes(sealed: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[str]:
    before, now = dict(_edges(sealed)), dict(_edges(answer))
    for path in sorted(before.keys() | now.keys()):
        old, new = before.get(path), now.get(path)
        if old is None or new is None:
            yield f"{path}: {'only today' if old is None else 'only on the day of release'}."
        elif (old.get("verdict"), old.get("clause")) != (new.get("verdict"), new.get("clause")):
            yield f"{path}: was {old.get('verdict')} (clause {old.get('clause')}), today {new.get('verdict')} (clause {new.get('clause')})."
    duties = [
        {(o.get("kind"), o.get("license"), o.get("text")): o.get("met") for o in a.get("obligations") or []} for a in (sealed, answer)
    ]
    for duty in sorted(duties[0].keys() ^ duties[1].keys(), key=str):
        word = "asked for today" if duty in duties[1] else "no longer asked for"
        yield f"{duty[1]}: {duty[2]} is {word}."
    for duty in sorted(duties[0].keys() & duties[1].keys(), key=str):
        if duties[0][duty] != duties[1][duty]:
            yield f"{duty[1]}: {duty[2]} was {_met(duties[0][duty])}, today {_met(duties[1][duty])}."


def _met(value: Any) -> str:
    return {True: "met", False: "unmet"}.get(value, "open")


def _edges(answer: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for edge in answer.get("uses") or answer.get("made_by") or []:
        yield f"{edge.get('path')} ({edge.get('use')})", edge
        yield from _edges({"made_by": edge.get("made_by")})


def _uses(answer: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for path, edge in _edges(answer):
        yield {
            "path": path,
            "verdict": str(edge.get("verdict")),
            "reason": str(edge.get("reason")),
            "source": ", ".join(str(edge[k]) for k in ("license", "clause", "source") if edge.get(k)),
        }


def lineage_of(material: BundleReader) -> tuple[LineageEdge, ...]:
    """What went into the student: from the licence case, else from release and cards."""
    student = str((material.release.get("student") or {}).get("name") or material.release.get("name") or "student")
    case = material.document(LICENCE_CASE)
    if case:
        return tuple(dict.fromkeys(_case_edges(case.get("uses") or [], student)))
    return tuple(dict.fromkeys(_card_edges(material, student)))


def _case_edges(uses: Any, target: str) -> Iterator[LineageEdge]:
    for use in uses:
        name = str(use.get("name") or "unnamed")
        yield LineageEdge(source=name, target=target, use=str(use.get("use")), license=str(use.get("license") or ""))
        yield from _case_edges(use.get("made_by") or [], name)


def _card_edges(material: BundleReader, student: str) -> Iterator[LineageEdge]:
    subject = material.decision.get("subject") or {}
    declared = str(subject.get("teacher") or (material.release.get("teacher") or {}).get("model") or "")
    teacher = declared.rsplit("/", 1)[-1]
    cards = list(material.cards_of("model_card"))
    own = next((c for c in cards if str(c.get("name")) in declared or teacher == c.get("name")), cards[0] if len(cards) == 1 else {})
    if teacher:
        name = str(own.get("name") or teacher)
        yield LineageEdge(source=name, target=student, use="teacher", license=str(own.get("license") or ""))
        yield from _case_edges(own.get("lineage") or [], name)
    for card in material.cards_of("dataset_card"):
        name = str(card.get("name") or "data")
        yield LineageEdge(source=name, target=student, use="dataset_train", license=str(card.get("license") or ""))
        yield from _case_edges(card.get("lineage") or [], name)
