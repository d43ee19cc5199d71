"""Data that leaves for an endpoint: which body, where to, and whether its people's record allows that."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from kdgov.checks.cards.release_inputs import Body, ReleaseInputs
from kdgov.checks.findings.accountability import is_reference
from kdgov.checks.findings.privacy import needed_purposes
from kdgov.checks.findings.rules import Stances
from kdgov.checks.pii.match import PERSONAL, SECRETS
from kdgov.checks.scan.scan import ShardReport, unread_parts
from kdgov.declarations.data_origin import PersonalData
from kdgov.declarations.effects.asked_endpoints import endpoint_roles, serving_endpoints
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.finding import Finding
from kdgov.passing_rules import passing


def sent_findings(
    materials: ReleaseInputs, reports: Sequence[tuple[Body, ShardReport]], stances: Stances, *, today: datetime.date
) -> Iterable[Finding]:
    """One finding per body of texts that is sent to an endpoint; nothing where nothing is sent."""
    for body, endpoint in _sent(materials):
        own = [report for owner, report in reports if owner is body]
        subject = f"{body.key} {body.name} → {_host(endpoint)}"
        faults = list(_faults(body, own, endpoint, materials, today))
        if faults:
            yield stances.finding(
                "privacy.sent-to-endpoint",
                subject,
                " ".join(faults),
                mend="Write `region:`, `retention_days:` and `processor_agreement:` of the endpoint, or mask the data.",
                details={"region": endpoint.region, "retention_days": endpoint.retention_days, "agreement": endpoint.processor_agreement},
            )
        else:
            kept = "" if endpoint.retention_days is None else f", kept for {endpoint.retention_days} days"
            where = endpoint.region or ("this machine or network" if _is_local(endpoint) else "a place that nobody stated")
            found = f"It is sent to {where}{kept}; no identifier was found in it."
            counted = {"bytes": sum(report.text_bytes for report in own)}
            yield passing("privacy", "privacy.sent", subject, found, looked_for=counted, left_out=unread_parts(own))


def _sent(materials: ReleaseInputs) -> Iterator[tuple[Body, Endpoint]]:
    terms = materials.release.distillation.terms if materials.release.distillation is not None else []
    for number, term in enumerate(terms):
        if isinstance(term, TeacherText) and term.endpoint is not None:
            named = [body for body in materials.prompts if body.key == f"distillation.terms[{number}].prompts"]
            yield from ((body, term.endpoint) for body in named or materials.bodies)
    cache = materials.release.distillation.cache if materials.release.distillation is not None else None
    if cache is not None and (engine := cache.asked(materials.release.teacher.endpoint)) is not None:
        yield from ((body, engine) for body in materials.bodies)
    if materials.logged is not None:
        asked = {**serving_endpoints(materials.release), **endpoint_roles(materials.release)}
        yield from ((materials.logged, endpoint) for endpoint in asked.values())


def _faults(
    body: Body, reports: Sequence[ShardReport], endpoint: Endpoint, materials: ReleaseInputs, today: datetime.date
) -> Iterator[str]:
    record = body.dataset.personal_data if body.dataset is not None else None
    found = {kind: sum(report.identifiers.get(kind, 0) for report in reports) for kind in (*PERSONAL, *SECRETS)}
    counted = ", ".join(f"{count} {kind}" for kind, count in found.items() if count)
    is_personal = bool(record) or bool(counted)
    yield from _places(body, record, endpoint)
    if not sum(report.text_bytes for report in reports):
        yield "No text of it could be read, so nobody knows what would be sent."
    if not is_personal or _is_local(endpoint):
        return
    yield f"It holds {f'identifiers ({counted})' if counted else 'personal data, as its card says,'} and is sent to {_host(endpoint)}."
    if endpoint.region is None:
        yield "Nothing says in which country the endpoint works."
    agreement = endpoint.processor_agreement
    if agreement is None or not is_reference(agreement):
        yield "No agreement with the processor is named" + (f": {agreement!r} is none." if agreement else ".")
    if endpoint.retention_days is None:
        yield "Nothing says for how long it is kept there."
    elif isinstance(record, PersonalData) and record.retention_until is not None:
        last = today + datetime.timedelta(days=endpoint.retention_days)
        if last > record.retention_until:
            yield f"It would be kept there until {last.isoformat()}, and may be kept until {record.retention_until.isoformat()}."
    if isinstance(record, PersonalData) and (missing := [p for p in needed_purposes(materials) if p not in record.purposes]):
        yield f"Its people agreed to {', '.join(record.purposes) or 'nothing stated'}, not to {', '.join(missing)}."


def _places(body: Body, record: PersonalData | bool | None, endpoint: Endpoint) -> Iterator[str]:
    own = record if isinstance(record, PersonalData) else None
    dataset = body.dataset
    allowed = [*(own.geography_allowed if own else []), *(dataset.processing_included if dataset else [])]
    forbidden = [*(own.geography_forbidden if own else []), *(dataset.processing_excluded if dataset else [])]
    if not allowed and not forbidden:
        return
    if endpoint.region is None:
        if not _is_local(endpoint):
            yield "Its card limits where it may be processed, and nothing says in which country the endpoint works."
    elif endpoint.region in forbidden or (allowed and endpoint.region not in allowed):
        limits = f"in {', '.join(allowed)} only" if allowed else f"not in {', '.join(forbidden)}"
        yield f"It may be processed {limits}; the endpoint works in {endpoint.region}."


def _host(endpoint: Endpoint) -> str:
    return urlsplit(endpoint.base_url).hostname or endpoint.base_url


def _is_local(endpoint: Endpoint) -> bool:
    host = _host(endpoint)
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or host.endswith((".local", ".internal", ".localhost"))
