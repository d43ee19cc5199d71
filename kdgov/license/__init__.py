"""Licence reasoning: typed uses × licence versions × facts of a release → verdict, obligations, gate.

Facts live in ``data/*.yaml``; `facts` reads them, `conditions` and `duties` judge them, `ruling` joins expressions,
`lineage` follows upstreams, `check` answers. Pure: no clock, no file beside the shipped facts.
"""

from __future__ import annotations

from kdgov.license.answer import Edge, LicenseAnswer, Obligation
from kdgov.license.answer_findings import findings
from kdgov.license.case.case import Evidence, LicenseCase, Organization, Release, Student, Upstream
from kdgov.license.case.case_from_json import case_from_json
from kdgov.license.reasoning.reason import check

__all__ = [
    "Edge",
    "Evidence",
    "LicenseAnswer",
    "LicenseCase",
    "Obligation",
    "Organization",
    "Release",
    "Student",
    "Upstream",
    "case_from_json",
    "check",
    "findings",
]
