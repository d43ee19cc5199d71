"""What is wrong with a case as a whole: no upstream, an expression that does not parse, a circle."""

from __future__ import annotations

import difflib

from kdgov.errors import DeclarationError, Fault
from kdgov.license.case.case import CHOICE_VALUES, LicenseCase, Upstream
from kdgov.license.case.countries import country_code, place_mend
from kdgov.license.case.values import Reader
from kdgov.license.catalogue.expression import parse
from kdgov.license.vocabulary import KNOWN_KINDS, ORGANIZATION_KINDS

MAX_DEPTH = 64
"""Deepest lineage that is read; deeper ones are written by machines that loop."""


def case_faults(case: LicenseCase) -> None:
    """Check a case that was built in code.

    Raises:
        DeclarationError: if it names no upstream, an expression does not parse, a choice is unknown or the lineage is circular.
    """
    reader = Reader("", {})
    faults = faults_of(case, reader)
    if faults:
        raise DeclarationError(faults)


def faults_of(case: LicenseCase, reader: Reader) -> list[Fault]:
    """Faults of a case as a whole, placed by a reader's file and lines."""
    mine = Reader(reader.file, reader.lines)
    if not case.uses and not reader.faults:
        mine.fault(("uses",), "names no upstream", "List what the student starts from, learns from and is tested on.")
    if case.student.license and isinstance(why := parse(case.student.license), str):
        mine.fault(
            ("student", "license"), f"{case.student.license!r} does not parse: {why}", "Write an SPDX expression such as Apache-2.0."
        )
    _word_faults(case, mine)
    for name, stance in case.choices.items():
        if stance not in CHOICE_VALUES.get(name, ()):
            mine.fault(
                ("choices", name), f"{stance!r} is not a known stance", f"Known: {', '.join(CHOICE_VALUES.get(name, CHOICE_VALUES))}."
            )
    _upstream_faults(case.uses, ("uses",), (), case.student.name, mine)
    return mine.faults


def _word_faults(case: LicenseCase, reader: Reader) -> None:
    """Words that no clause knows, and which would therefore pass every clause that turns on them."""
    kind, seat, student = case.organization.kind, case.organization.principal_place, case.student.kind
    if kind and kind not in ORGANIZATION_KINDS:
        reader.fault(
            ("organization", "kind"), f"{kind!r} is not one of the allowed values", f"Write one of {', '.join(ORGANIZATION_KINDS)}."
        )
    if seat and country_code(seat) is None:
        reader.fault(("organization", "principal_place"), f"{seat!r} is not a country", place_mend(seat))
    # Kinds are open, and an unknown one leaves such clauses to review; a slip of the pen is none of them.
    slip = difflib.get_close_matches(student, sorted(KNOWN_KINDS), n=1, cutoff=0.9)
    if slip and student not in KNOWN_KINDS:
        reader.fault(("student", "kind"), f"{student!r} is not a known kind of student", f"Did you mean `{slip[0]}`?")


def _is_same(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two named upstreams are the same thing: same name, and no licence that tells them apart."""
    (name, license_), (other_name, other_license) = one, other
    return name == other_name and (license_ == other_license or not license_ or not other_license)


def _upstream_faults(
    uses: tuple[Upstream, ...], at: tuple[str | int, ...], above: tuple[tuple[str, str], ...], student: str, reader: Reader
) -> None:
    for index, upstream in enumerate(uses):
        here = (*at, index)
        if upstream.license and isinstance(why := parse(upstream.license), str):
            reader.fault(
                (*here, "license"), f"{upstream.license!r} does not parse: {why}", "Write an SPDX expression, a LicenseRef or a hub tag."
            )
        key = (upstream.name, upstream.license)
        is_own_ancestor = bool(upstream.name) and (
            any(_is_same(key, other) for other in above) or (bool(above) and upstream.name == student)
        )
        if is_own_ancestor or len(above) > MAX_DEPTH:
            circle = " ← ".join(["student", *(name for name, _ in above), upstream.name])
            reader.fault(
                here, f"is its own upstream: the lineage is circular ({circle})", "Break the circle; nothing can be made by itself."
            )
            continue
        _upstream_faults(upstream.made_by, (*here, "made_by"), (*above, key), student, reader)
