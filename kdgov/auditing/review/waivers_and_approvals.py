"""Waivers, approvals, the decision's own end, and who may therefore use what."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdgov.auditing.registry.snapshot import LogShown, VersionShown
from kdgov.auditing.review.audit_findings import AuditFinding, Outcome, unverifiable, verified, violated
from kdgov.auditing.review.receipt import Receipt
from kdgov.auditing.review.result import Condition, Permission
from kdgov.auditing.review.signatures import Attested
from kdgov.evidence.bundle_reader import BundleReader

_WHO = {
    "internal": "people inside the organisation",
    "hosted": "users of a hosted service, without the weights",
    "weights": "whoever receives the weights",
    "data": "whoever receives data the student writes",
}


def review_permission(
    material: BundleReader,
    shown: VersionShown,
    attested: Attested,
    *,
    as_of: datetime.date,
    log: LogShown,
    receipt: Receipt | None = None,
) -> Iterator[AuditFinding]:
    """Waivers and approvals against the day of receipt and of the review, and the decision against its end."""
    guarded = guarded_aliases(shown, log)
    is_served = bool(guarded) or shown.stage.lower() == "production"
    for waiver in material.decision.get("waivers") or []:
        yield _waiver(waiver, as_of, receipt, is_served=is_served)
    for approval in material.decision.get("approvals") or []:
        role = str(approval.get("role"))
        if approval.get("state") == "given":
            yield verified(
                "permission", f"approval {role}", f"Given by {approval.get('by') or role} on {approval.get('issued') or 'an unknown day'}."
            )
        elif material.decision.get("verdict") == "pass":
            yield violated(
                "permission", f"approval {role}", "The decision passes although this approval is awaited.", mend="Let the role approve."
            )
        else:
            yield unverifiable(
                "permission", f"approval {role}", "It is awaited.", mend="Let the role sign with `kdgov approve`.", required=True
            )
    yield from _covered(shown, attested, as_of, guarded)


def guarded_aliases(shown: VersionShown, log: LogShown) -> list[str]:
    """Aliases of the version that the guard does not leave free; without a guard, all of them."""
    return [alias for alias in shown.aliases if alias not in (log.free_aliases or frozenset())]


def _waiver(waiver: Mapping[str, Any], as_of: datetime.date, receipt: Receipt | None, *, is_served: bool) -> AuditFinding:
    subject = f"waiver {waiver.get('criterion')}"
    state, expires = waiver.get("state", "applied"), _day(waiver.get("expires"))
    missing = [key for key in ("owner", "reason", "expires") if not waiver.get(key)]
    if state != "applied":
        return verified("permission", subject, f"It was handed in and does not count: {state}.")
    if missing:
        return violated("permission", subject, f"It lacks {', '.join(missing)}.", mend="Sign it again with `kdgov waive`.")
    held = f"Held by {waiver['owner']} until {waiver['expires']}: {waiver['reason']}."
    if expires is None:
        return violated("permission", subject, f"Its end is not a date: {waiver['expires']!r}.", mend="Sign it again with `kdgov waive`.")
    if receipt is not None and receipt.by and expires < receipt.at.date():
        told = f"{held} It had ended before the decision was received on {receipt.at:%Y-%m-%d} ({receipt.by})."
        return violated("permission", subject, told, mend="Judge again without it.")
    if expires >= as_of:
        return verified("permission", subject, held)
    if not is_served:
        return verified("permission", subject, f"{held} It counted at release and has ended since: what it set aside stands again.")
    told = f"It ended on {expires}, and the version is still served: what it set aside stands again ({waiver['reason']})."
    return violated("permission", subject, told, mend="Judge again without it, or sign a new one and record the new decision.")


def _covered(shown: VersionShown, attested: Attested, as_of: datetime.date, guarded: Sequence[str]) -> Iterator[AuditFinding]:
    if not attested.predicate:
        for alias in guarded:
            if shown.faults:
                told = f"Whether a decision covers the version could not be seen: {'; '.join(shown.faults)}."
                yield unverifiable("permission", f"alias {alias}", told, mend="Audit it where the files can be read.", required=True)
            else:
                yield violated("permission", f"alias {alias}", "It points at a version that no decision covers.", mend="Take it away.")
        return
    verdict, ends = str(attested.predicate.get("verdict")), _day(attested.predicate.get("expires"))
    faults = []
    if verdict != "pass":
        faults.append(f"whose verdict is {verdict}")
    if ends is None or ends < as_of:
        faults.append(f"whose decision ended on {attested.predicate.get('expires')}")
    if "kdgov.revoked" in shown.tags:
        faults.append("that was revoked")
    for alias in guarded:
        for fault in faults:
            yield violated(
                "permission", f"alias {alias}", f"It points at a version {fault}.", mend="Take it away, or judge the version again."
            )
        if not faults:
            yield verified("permission", f"alias {alias}", f"It points at a version whose passing decision holds until {ends}.")


def conditions_of(
    material: BundleReader, attested: Attested, findings: Sequence[AuditFinding], *, as_of: datetime.date, further: Sequence[Condition] = ()
) -> tuple[Condition, ...]:
    """What is open, and what holds only for a while; each with what is true of it on the day of the review."""
    owner = str((material.release.get("accountable") or {}).get("model_owner") or "")
    found = []
    if (ends := str(attested.predicate.get("expires", ""))[:10]) and material.decision.get("verdict") == "pass":
        told = "The decision covers promotions until its end; then the version is judged again."
        ended = "The decision has ended: judge the version again before anything new rests on it."
        found.append(Condition(text=told if _lasts(ends, as_of) else ended, until=ends, by=owner))
    if attested.fault_today:
        told = f"The signature under the decision counted when it was received; today it would not: {attested.fault_today}."
        found.append(Condition(text=f"{told} Have a key that counts sign the next decision.", by=owner))
    found += further
    found += [_waived(w, as_of) for w in material.decision.get("waivers") or [] if w.get("state", "applied") == "applied"]
    found += [
        Condition(text=f"The approval of {a.get('role')} is awaited.", by=str(a.get("role")))
        for a in material.decision.get("approvals") or []
        if a.get("state") != "given"
    ]
    found += [Condition(text=f"Obligation: {duty}", by=owner) for duty in open_obligations(material)]
    found += [Condition(text=f"{f.subject}: {f.reason}", by=owner) for f in findings if f.stops]
    return tuple(found)


def _waived(waiver: Mapping[str, Any], as_of: datetime.date) -> Condition:
    text, until = f"{waiver.get('criterion')} ({waiver.get('reason')})", str(waiver.get("expires", ""))
    told = f"Waived: {text}" if _lasts(until, as_of) else f"Waived at release, and the waiver has ended: {text} stands again."
    return Condition(text=told, until=until, by=str(waiver.get("owner", "")))


def _lasts(until: str, as_of: datetime.date) -> bool:
    day = _day(until)
    return day is not None and day >= as_of


def open_obligations(material: BundleReader) -> tuple[str, ...]:
    """Obligations of the licences that nothing shows met, once each."""
    found = []
    for row in material.findings:
        for duty in (row.get("details") or {}).get("obligations") or []:
            if isinstance(duty, Mapping) and duty.get("met") is not True:
                found.append(f"{duty.get('text') or duty.get('kind')} ({duty.get('license', 'licence')})")
    return tuple(dict.fromkeys(found))


def permission_of(
    material: BundleReader,
    shown: VersionShown,
    attested: Attested,
    *,
    outcome: Outcome,
    as_of: datetime.date,
    findings: Sequence[AuditFinding],
    further: Sequence[Condition] = (),
) -> Permission:
    """Who may use what, in plain words: cautious where anything is open."""
    conditions = conditions_of(material, attested, findings, as_of=as_of, further=further)
    intent = material.release.get("release") or {}
    who = _WHO.get(str(intent.get("distribution", "")), "")
    verdict, ends = str(material.decision.get("verdict", "none")), _day(attested.predicate.get("expires"))
    if "kdgov.revoked" in shown.tags:
        return Permission(
            headline=f"Nobody may use this version: it was revoked ({shown.tags['kdgov.revoked']}).",
            may_not=("Any use.",),
            conditions=conditions,
        )
    if verdict != "pass":
        told = "no decision covers it" if verdict == "none" else f"its decision is {verdict}"
        return Permission(headline=f"Not released: {told}.", may_not=("Promotion and use.",), conditions=conditions)
    if outcome == "violated":
        return Permission(
            headline="Do not use it before the violations below are explained.",
            may_not=("Any use that rests on this record.",),
            conditions=conditions,
        )
    if ends is None or ends < as_of:
        return Permission(
            headline=f"The passing decision ended on {ends or 'an unknown day'}: judge it again before use.",
            may_not=("New promotions.",),
            conditions=conditions,
        )
    commercial = "commercial and non-commercial use" if intent.get("commercial") else "non-commercial use"
    purpose = ", for research only" if intent.get("research") else ""
    may = (f"{commercial.capitalize()}{purpose}.", f"Goes to {who}." if who else "The release does not say who gets it.")
    may_not = (
        *(() if intent.get("commercial") else ("Commercial use.",)),
        *(("Handing on the weights.",) if intent.get("distribution") in ("internal", "hosted") else ()),
        "Uses beyond what the suites measured: a pass says nothing about them.",
    )
    state = "It may be used" if outcome == "clean" else "It may be used once what is open below is settled"
    return Permission(headline=f"{state}: a passing decision covers it until {ends}.", may=may, may_not=may_not, conditions=conditions)


def _day(value: Any) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(str(value)[:10])
    except ValueError:
        return None
