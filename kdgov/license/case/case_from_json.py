"""A case as other programs write it: plain values in, a `LicenseCase` out, every fault named at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from kdgov.errors import DeclarationError, InputError
from kdgov.license.case.case import (
    CHOICE_VALUES,
    Evidence,
    LicenseCase,
    Organization,
    Release,
    Student,
    Upstream,
)
from kdgov.license.case.case_validation import MAX_DEPTH, faults_of
from kdgov.license.case.countries import country_code
from kdgov.license.case.values import Reader, kind_of
from kdgov.license.vocabulary import ACCESSES, DISTRIBUTIONS, OBLIGATION_KINDS, ORGANIZATION_KINDS, USES

MAX_UPSTREAMS = 4096
"""Most upstreams that are read: aliases of aliases double with every level."""

_CASE_KEYS = ("schema", "id", "title", "note", "why", "student", "uses", "release", "organization", "choices", "evidence", "as_of")
_STUDENT_KEYS = ("name", "license", "kind", "similar_to_teacher", "distilled", "rights_holder")
_USE_KEYS = (
    "use", "license", "name", "access", "license_text", "licensor", "rights_holder", "hosted_by", "personal_data", "notice_file",
    "multimodal", "paid", "made_by",
)  # fmt: skip
_RELEASE_KEYS = ("distribution", "commercial", "research")
_ORGANIZATION_KEYS = ("name", "kind", "principal_place", "monthly_active_users", "annual_revenue_usd")
_EVIDENCE_KEYS = (
    "obligation",
    "license",
    "text",
    "where",
    "file",
    "separate_license",
    "licensor",
    "expires",
    "registration",
    "date",
    "signed_by",
    "note",
)

# Words that people write for a stance; everything else is a fault.
_STANCE_WORDS: dict[str, dict[Any, str]] = {
    "nc_data": {True: "deny", False: "allow"},
    "nc_eval": {True: "deny", False: "allow"},
    "nc_covers_running": {True: "deny", False: "allow"},
    "competing": {True: "competing", False: "not_competing", "yes": "competing", "no": "not_competing"},
}


def case_from_json(
    document: Any,
    *,
    file: str = "",
    lines: Mapping[tuple[str | int, ...], int] | None = None,
    read_text: Callable[[str], str] | None = None,
    as_of: date | None = None,
) -> LicenseCase:
    """The case that a parsed YAML or JSON document states.

    Args:
        document: mapping as in ``kdgov license check``.
        file: name for messages.
        lines: line of every key, from `kdgov.declarations.load.read_yaml`.
        read_text: gives the text behind a ``license_text`` or an evidence's ``file``; without it such a use goes to review
            and such evidence shows nothing. It may raise `InputError`, whose words become a fault.
        as_of: day on which expiries are judged. The document's own ``as_of`` can only move it later: no file may wind
            the clock back to revive an expired agreement. Without either, no separate licence lifts anything.

    Raises:
        DeclarationError: naming every fault at once.
    """
    reader = Reader(file, lines or {})
    if not isinstance(document, Mapping):
        what = "is empty" if document is None else f"holds {kind_of(document)}, not a mapping of keys"
        reader.fault((), what, "Write `student:` and `uses:`; `kdgov license check --help` shows an example.")
        raise DeclarationError(reader.faults)
    top = reader.mapping(document, (), _CASE_KEYS)
    case = LicenseCase(
        student=_student(top.get("student"), reader),
        uses=_uses(top.get("uses"), ("uses",), reader, read_text, ()),
        release=_release(top.get("release"), reader),
        organization=_organization(top.get("organization"), reader),
        choices=_choices(top.get("choices"), reader),
        evidence=tuple(_evidence(top.get("evidence"), reader, read_text)),
        as_of=_later(reader.day(top.get("as_of"), ("as_of",)), as_of),
    )
    reader.faults += [f for f in faults_of(case, reader) if f not in reader.faults]
    if reader.faults:
        raise DeclarationError(reader.faults)
    return case


def _later(stated: date | None, given: date | None) -> date | None:
    return max((day for day in (stated, given) if day is not None), default=None)


def _student(value: Any, reader: Reader) -> Student:
    raw = reader.mapping(value if value is not None else {}, ("student",), _STUDENT_KEYS)
    return Student(
        name=reader.text(raw.get("name"), ("student", "name")),
        license=reader.licence(raw.get("license"), ("student", "license")),
        kind=re.sub(r"[\s-]+", "_", reader.text(raw.get("kind"), ("student", "kind")).lower()) or "generative",
        similar_to_teacher=reader.flag(raw.get("similar_to_teacher"), ("student", "similar_to_teacher"), None),
        is_distilled=reader.flag(raw.get("distilled"), ("student", "distilled"), False),
        rights_holder=reader.text(raw.get("rights_holder"), ("student", "rights_holder")),
    )


def _uses(
    value: Any, at: tuple[str | int, ...], reader: Reader, read_text: Callable[[str], str] | None, above: tuple[int, ...]
) -> tuple[Upstream, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        reader.fault(at, f"holds {kind_of(value)}, not a list of uses", "Write `- {use: …, license: …, name: …}` per upstream.")
        return ()
    found = []
    for index, item in enumerate(value):
        here = (*at, index)
        reader.upstreams += 1
        if reader.upstreams > MAX_UPSTREAMS:
            if reader.upstreams == MAX_UPSTREAMS + 1:
                reader.fault(
                    here, f"is upstream number {reader.upstreams}: no more are read", "Name each shared upstream once, where it is used."
                )
            break
        if id(item) in above or len(above) > MAX_DEPTH:
            reader.fault(here, "is its own upstream: the lineage is circular", "Break the circle; nothing can be made by itself.")
            continue
        raw = reader.mapping(item, here, _USE_KEYS)
        if not isinstance(item, Mapping):
            continue
        if raw.get("use") is None:
            reader.fault((*here, "use"), "is missing", f"Write one of {', '.join(USES)}.")
        path = reader.text(raw.get("license_text"), (*here, "license_text"))
        found.append(
            Upstream(
                use=reader.word(raw.get("use"), (*here, "use"), USES, "weights_init"),
                license=reader.licence(raw.get("license"), (*here, "license")),
                name=reader.text(raw.get("name"), (*here, "name")),
                access=reader.word(raw.get("access"), (*here, "access"), ACCESSES, "weights"),
                license_text_path=path,
                license_text=_read(path, (*here, "license_text"), reader, read_text),
                licensor=reader.text(raw.get("licensor"), (*here, "licensor")),
                rights_holder=reader.text(raw.get("rights_holder"), (*here, "rights_holder")),
                hosted_by=reader.text(raw.get("hosted_by"), (*here, "hosted_by")),
                personal_data=reader.flag(raw.get("personal_data"), (*here, "personal_data"), None),
                notice_file=reader.flag(raw.get("notice_file"), (*here, "notice_file"), None),
                multimodal=reader.flag(raw.get("multimodal"), (*here, "multimodal"), None),
                paid=reader.flag(raw.get("paid"), (*here, "paid"), None),
                made_by=_uses(raw.get("made_by"), (*here, "made_by"), reader, read_text, (*above, id(item))),
            )
        )
    return tuple(found)


def _read(path: str, at: Sequence[str | int], reader: Reader, read_text: Callable[[str], str] | None) -> str | None:
    if not path or read_text is None:
        return None
    try:
        return read_text(path)
    except InputError as error:
        reader.faults += error.faults
    except (OSError, UnicodeError) as error:
        what = f"is not UTF-8 text (byte {error.start})" if isinstance(error, UnicodeDecodeError) else f"cannot be read: {error}"
        reader.fault(at, f"{path} {what}", "Check the path; it is relative to the file that names it, then to the working folder.")
    return None


def _release(value: Any, reader: Reader) -> Release:
    raw = reader.mapping(value if value is not None else {}, ("release",), _RELEASE_KEYS)
    return Release(
        distribution=reader.word(raw.get("distribution"), ("release", "distribution"), DISTRIBUTIONS, "weights"),
        commercial=reader.flag(raw.get("commercial"), ("release", "commercial"), True),
        research=reader.flag(raw.get("research"), ("release", "research"), False),
    )


def _organization(value: Any, reader: Reader) -> Organization:
    raw = reader.mapping(value if value is not None else {}, ("organization",), _ORGANIZATION_KEYS)
    place, kind = raw.get("principal_place"), raw.get("kind")
    # YAML 1.1 reads the country code of Norway as false.
    seat = "NO" if place is False else reader.text(place, ("organization", "principal_place"))
    kind = kind.strip().lower() or None if isinstance(kind, str) else kind
    users = raw.get("monthly_active_users")
    return Organization(
        name=reader.text(raw.get("name"), ("organization", "name")),
        kind=reader.word(kind, ("organization", "kind"), ORGANIZATION_KINDS, ""),
        # What stands for no country is kept as it is: `faults_of` names it, in files and in cases built in code alike.
        principal_place=country_code(seat) or seat,
        monthly_active_users=_months(users, reader)
        if isinstance(users, Mapping)
        else reader.number(users, ("organization", "monthly_active_users")),
        annual_revenue_usd=reader.number(raw.get("annual_revenue_usd"), ("organization", "annual_revenue_usd")),
    )


def _months(users: Mapping[Any, Any], reader: Reader) -> dict[str, float]:
    found: dict[str, float] = {}
    for month, number in users.items():
        at = ("organization", "monthly_active_users", str(month))
        if isinstance(month, date):
            month = month.isoformat()
        if not re.fullmatch(r"\d{4}(-(0[1-9]|1[0-2])(-\d\d)?)?", str(month)):
            reader.fault(at, f"{month!r} is not a month", "Write months such as 2024-06.")
        elif (value := reader.number(number, at)) is not None:
            # Two days of one month: the larger count is the one that may cross a limit.
            found[str(month)[:7]] = max(value, found.get(str(month)[:7], 0.0))
    return found


def _choices(value: Any, reader: Reader) -> dict[str, str]:
    raw = reader.mapping(value if value is not None else {}, ("choices",), tuple(CHOICE_VALUES))
    found = {}
    for name, stance in raw.items():
        if name not in CHOICE_VALUES or stance is None:
            continue
        # Only these two: 0 and 1 would pass for false and true, and a list for nothing at all.
        word = _STANCE_WORDS.get(name, {}).get(stance, stance) if isinstance(stance, (bool, str)) else stance
        word = str(word).lower() if isinstance(word, bool) else word
        found[name] = reader.word(word, ("choices", name), CHOICE_VALUES[name], CHOICE_VALUES[name][0])
    return found


def _evidence(value: Any, reader: Reader, read_text: Callable[[str], str] | None) -> Iterator[Evidence]:
    if value is None:
        return
    if not isinstance(value, list):
        reader.fault(("evidence",), f"holds {kind_of(value)}, not a list", "Write `- {obligation: …, license: …, where: …}` per piece.")
        return
    for index, item in enumerate(value):
        at = ("evidence", index)
        raw = reader.mapping(item, at, _EVIDENCE_KEYS)
        if not raw:
            continue
        subjects = [key for key in ("obligation", "separate_license", "registration") if raw.get(key)]
        if len(subjects) != 1:
            reader.fault(at, "must name one of obligation, separate_license, registration", "Write one piece of evidence per entry.")
        file = reader.text(raw.get("file"), (*at, "file"))
        yield Evidence(
            obligation=reader.word(raw.get("obligation"), (*at, "obligation"), OBLIGATION_KINDS, ""),
            license=reader.text(raw.get("license"), (*at, "license")),
            text=reader.text(raw.get("text"), (*at, "text")),
            where=reader.text(raw.get("where"), (*at, "where")),
            file=file,
            contents=_read(file, (*at, "file"), reader, read_text),
            separate_license=reader.text(raw.get("separate_license"), (*at, "separate_license")),
            licensor=reader.text(raw.get("licensor"), (*at, "licensor")),
            expires=reader.day(raw.get("expires"), (*at, "expires")),
            registration=reader.text(raw.get("registration"), (*at, "registration")),
            dated=reader.day(raw.get("date"), (*at, "date")),
            signed_by=reader.text(raw.get("signed_by"), (*at, "signed_by")),
        )
