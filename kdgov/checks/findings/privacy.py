"""Privacy: may these people's data be in here, is more in here than was said, and are those who withdrew gone?"""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from kdgov.checks.cards.release_inputs import Body, ReleaseInputs
from kdgov.checks.findings.rules import Stances
from kdgov.declarations.cards import DatasetCard
from kdgov.declarations.data_origin import PersonalData
from kdgov.declarations.load import resolve
from kdgov.errors import InputError
from kdgov.finding import Finding


def personal_data_findings(body: Body, materials: ReleaseInputs, stances: Stances, *, today: datetime.date) -> Iterable[Finding]:
    """The data-subject record of one body against the release: basis, purposes, retention, geography."""
    subject = f"{body.key} {body.name}"
    dataset = body.dataset
    if dataset is None:
        return
    said = dataset.personal_data
    if said is None:
        yield stances.finding(
            "privacy.personal-data-unsaid",
            subject,
            "Its card does not say whether it holds personal data.",
            mend="Write `personal_data: false`, or the record of lawful basis, purposes and retention.",
        )
    elif said is True:
        yield stances.finding(
            "privacy.lawful-basis-missing",
            subject,
            "Its card says that it holds personal data and not on what ground.",
            mend="Write `personal_data:` as a record: lawful_basis, purposes, retention_until, withdrawal_process.",
        )
    elif isinstance(said, PersonalData):
        yield from _record_findings(subject, said, dataset, materials, stances, today)


def _record_findings(
    subject: str, record: PersonalData, dataset: DatasetCard, materials: ReleaseInputs, stances: Stances, today: datetime.date
) -> Iterable[Finding]:
    if record.lawful_basis == "not_established":
        mend = "Write `lawful_basis:`, or leave the data out."
        yield stances.finding("privacy.lawful-basis-missing", subject, "Its personal data has no lawful basis.", mend=mend)
    if record.lawful_basis == "consent" and not (record.consent or dataset.consents):
        mend = "Write `consent:` with the id of the consent record."
        yield stances.finding("privacy.consent-unrecorded", subject, "It rests on consent and names no record of it.", mend=mend)
    if missing := [purpose for purpose in needed_purposes(materials) if purpose not in record.purposes]:
        yield stances.finding(
            "privacy.purpose-not-covered",
            subject,
            f"Its people's data may be used for {', '.join(record.purposes) or 'nothing stated'}; this release needs {', '.join(missing)}.",
            mend="Leave the data out, or obtain a ground for the purpose and record it.",
            details={"missing": missing},
        )
    if record.retention_until is None:
        mend = "Write `retention_until:`."
        yield stances.finding("privacy.retention-unsaid", subject, "It does not say until when it may be kept.", mend=mend)
    elif today > record.retention_until:
        yield stances.finding(
            "privacy.retention-over",
            subject,
            f"It could be kept and used until {record.retention_until.isoformat()}.",
            mend="Delete it and leave it out of the release.",
        )
    if withdrawn_ids_named(record) and record.id_field is None:
        yield stances.finding(
            "privacy.withdrawn-unchecked",
            subject,
            "It names people who withdrew and no column that says whom a row is about.",
            mend="Write `personal_data.id_field:`.",
        )
    yield from _geography_findings(subject, record, dataset, materials, stances)


def withdrawn_ids_named(record: PersonalData) -> bool:
    """Whether a record names anybody who withdrew."""
    return bool(record.withdrawn_ids or record.withdrawn_file)


def needed_purposes(materials: ReleaseInputs) -> list[str]:
    """Purposes this release uses data for: always ``model_training``, and ``commercial`` or ``research`` as it declares."""
    intent = materials.release.release
    return ["model_training"] + (["commercial"] if intent.commercial else []) + (["research"] if intent.research else [])


def _geography_findings(
    subject: str, record: PersonalData, dataset: DatasetCard, materials: ReleaseInputs, stances: Stances
) -> Iterable[Finding]:
    place = materials.release.organization.principal_place
    allowed = [*record.geography_allowed, *dataset.processing_included]
    forbidden = [*record.geography_forbidden, *dataset.processing_excluded]
    if not allowed and not forbidden:
        return
    if place is None:
        reason = "It limits where it may be processed, and the release does not say where that is."
        mend = "Write `organization.principal_place:` with the country code."
    elif place in forbidden or (allowed and place not in allowed):
        limits = f"in {', '.join(allowed)} only" if allowed else f"not in {', '.join(forbidden)}"
        reason = f"It may be processed {limits}; the organization's principal place is {place}."
        mend = "Process it where that is allowed, or leave it out."
    else:
        return
    yield stances.finding("privacy.geography-forbidden", subject, reason, mend=mend)


def withdrawn_ids(body: Body) -> set[str]:
    """Ids (or digests of ids) of people who withdrew from this body of data, from its card and the file the card names.

    Raises:
        InputError: if that file cannot be read.
    """
    record = body.dataset.personal_data if body.dataset is not None else None
    if not isinstance(record, PersonalData) or body.card is None:
        return set()
    found = set(record.withdrawn_ids)
    if record.withdrawn_file is not None:
        path = resolve(record.withdrawn_file, beside=body.card.path)
        try:
            found |= {line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"personal_data.withdrawn_file: {record.withdrawn_file!r} cannot be read: {error}",
                where=body.card.name,
                mend="Name a UTF-8 file with one id per line.",
            ) from error
    return found
