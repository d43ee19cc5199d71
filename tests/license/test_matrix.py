"""Every licence × use × distribution × aim in one golden table: a changed clause shows which answers it changes.

Rewrite it with ``KDGOV_WRITE_GOLDEN=1`` and read the difference line by line: each new A is a claim that nothing is asked.
"""

from __future__ import annotations

import os
from pathlib import Path

from kdgov.license import case_from_json, check
from kdgov.license.catalogue.facts import documents
from kdgov.license.vocabulary import DISTRIBUTIONS, USES

GOLDEN = Path(__file__).parent / "matrix.txt"
LETTER = {"allow": "A", "allow_with_obligations": "O", "needs_review": "?", "deny": "N"}
HEAD = "# A allow, O with obligations, ? review, N deny; columns internal hosted weights data: commercial, then research"


def _letter(license_: str, use: str, distribution: str, commercial: bool) -> str:
    document = {
        "student": {"name": "acme", "license": "LicenseRef-acme", "kind": "generative"},
        "uses": [{"use": use, "license": license_, "name": "upstream"}],
        "release": {"distribution": distribution, "commercial": commercial, "research": not commercial},
        "organization": {"kind": "company", "principal_place": "US", "annual_revenue_usd": 5e5, "monthly_active_users": 5e5},
        "choices": {"outputs_derivative": False},
    }
    return LETTER[check(case_from_json(document)).verdict]


def _table() -> str:
    lines = [HEAD]
    for _, document in documents():
        for raw in document.get("licenses", ()):
            lines.append(raw["id"])
            for use in USES:
                columns = " ".join("".join(_letter(raw["id"], use, d, aim) for d in DISTRIBUTIONS) for aim in (True, False))
                lines.append(f"  {use:<16}{columns}")
    return "\n".join(lines) + "\n"


def test_the_table_of_all_answers_is_the_one_that_was_read_by_hand() -> None:
    table = _table()
    if os.environ.get("KDGOV_WRITE_GOLDEN"):
        GOLDEN.write_text(table, encoding="utf-8")
    assert table == GOLDEN.read_text(encoding="utf-8")
