"""What the scan found, as findings: damaged files, withdrawn people, identifiers, credentials, contaminated items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from kdgov.checks.contamination import KINDS
from kdgov.checks.identifiers import NOT_COVERED, PERSONAL, SECRETS
from kdgov.checks.materials import Body, Materials
from kdgov.checks.rules import Stances, passed
from kdgov.checks.scan import ShardReport
from kdgov.checks.suite_items import SuiteItems
from kdgov.finding import Finding

PERSONAL_PER_MB = {"internal": 50.0, "hosted": 10.0, "weights": 5.0, "data": 0.0}
"""Personal identifiers per million bytes of text above which `privacy.pii-found` speaks, by the release's distribution."""

NAMED_ITEMS = 20
"""Contaminated items named in a finding; the rest stand in ``contamination.json``."""

_RULE_OF_KIND: dict[str, str] = {kind: f"contamination.{kind.replace('_', '-')}" for kind in KINDS}
_WORDS_OF_KIND: dict[str, str] = {
    "verbatim": "word for word",
    "edited": "lightly edited",
    "near_duplicate": "as near-duplicates",
    "overlap": "by a phrase of thirteen words",
}


def scan_findings(materials: Materials, reports: Sequence[tuple[Body, ShardReport]], items: SuiteItems, stances: Stances) -> list[Finding]:
    """Every finding the scan of the data gives rise to."""
    findings: list[Finding] = []
    for body, report in reports:
        findings += [*_damage(body, report, stances), *_withdrawn(body, report, stances)]
    for body in (*materials.bodies, *materials.prompts):
        findings += _identifiers(body, [report for owner, report in reports if owner is body], materials, stances)
    return findings + contamination_findings([report for _, report in reports], items, stances)


def _damage(body: Body, report: ShardReport, stances: Stances) -> Iterable[Finding]:
    subject = f"{body.key}/{report.name}"
    if report.damage:
        mend = "Write the file again and pin its new digest."
        yield stances.finding("provenance.file-unreadable", subject, f"Reading it ended early: {report.damage}.", mend=mend)
    elif report.unreadable_count:
        lines = ", ".join(str(n) for n in report.unreadable[:5])
        yield stances.finding(
            "provenance.file-unreadable",
            subject,
            f"{report.unreadable_count} of its lines are no JSON (line {lines}).",
            mend="Mend or remove those lines and pin the new digest.",
        )
    elif report.rows == 0:
        yield stances.finding("provenance.file-empty", subject, "It holds no example.", mend="Remove it from the card, or fill it.")
    if report.invalid_utf8:
        yield stances.finding(
            "provenance.file-not-utf8",
            subject,
            f"{report.invalid_utf8} byte sequences are not UTF-8; they were read as U+FFFD.",
            mend="Save the file as UTF-8.",
        )
    if report.long_lines:
        yield stances.finding(
            "provenance.file-long-lines",
            subject,
            f"{report.long_lines} line(s) are too long to parse and were scanned as raw text: rows and offsets are not exact.",
            mend="Write one example per line.",
        )
    declared = next((f.declared.rows for f in body.files if f.name == report.name and f.declared is not None), None)
    if declared is not None and declared != report.rows and not report.long_lines:
        yield stances.finding(
            "provenance.rows-differ",
            subject,
            f"It holds {report.rows} examples, its card says {declared}.",
            mend="Correct the card or the file.",
        )


def _withdrawn(body: Body, report: ShardReport, stances: Stances) -> Iterable[Finding]:
    subject = f"{body.key}/{report.name}"
    if report.withdrawn_count:
        rows = ", ".join(str(n) for n in report.withdrawn_rows[:5])
        yield stances.finding(
            "privacy.withdrawn-present",
            subject,
            f"{report.withdrawn_count} rows are about people who withdrew (row {rows}).",
            mend="Remove those rows and pin the new digest.",
            details={"rows": report.withdrawn_rows},
        )
    if report.rows_without_id:
        yield stances.finding(
            "privacy.withdrawn-unchecked",
            subject,
            f"{report.rows_without_id} rows have no id column, so withdrawn people could not be looked for in them.",
            mend="Correct `personal_data.id_field`, or give every row its id.",
        )


def _identifiers(body: Body, reports: Sequence[ShardReport], materials: Materials, stances: Stances) -> Iterable[Finding]:
    subject = f"{body.key} {body.name}"
    megabytes = sum(report.megabytes for report in reports)
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(report.identifiers)
    personal: dict[str, int] = {kind: counts[kind] for kind in PERSONAL if counts[kind]}
    secrets: dict[str, int] = {kind: counts[kind] for kind in SECRETS if counts[kind]}
    if secrets:
        yield stances.finding(
            "privacy.secret-found",
            subject,
            f"It holds credentials: {_counted(secrets)}; first at {_first_place(reports, secrets)}.",
            mend="Revoke them, remove them from the data and pin the new digest.",
            details={"counts": secrets, "places": _places(reports, secrets)},
        )
    if personal:
        yield _personal(body, subject, personal, megabytes, reports, materials, stances)
    if reports and not personal and not secrets:
        reason = f"No identifier and no credential in {megabytes:.2f} MB of text. Not looked for: {NOT_COVERED}."
        yield passed("privacy", "privacy.scanned", subject, reason, text_bytes=sum(report.text_bytes for report in reports))


def _personal(
    body: Body,
    subject: str,
    personal: dict[str, int],
    megabytes: float,
    reports: Sequence[ShardReport],
    materials: Materials,
    stances: Stances,
) -> Finding:
    total = sum(personal.values())
    rate = total / max(megabytes, 1e-6)
    intent = materials.release.release.distribution
    limit = PERSONAL_PER_MB[intent]
    is_above = rate > limit
    said_none = body.personal_data is False
    rule = "privacy.pii-contradicts-card" if is_above and said_none else "privacy.pii-found" if is_above else "privacy.pii-noted"
    said = " Its card says that it holds no personal data." if said_none else ""
    return stances.finding(
        rule,
        subject,
        f"{_counted(personal)}: {rate:.1f} per MB, where a release of kind `{intent}` may have {limit:g}; "
        f"first at {_first_place(reports, personal)}.{said} Not looked for: {NOT_COVERED}.",
        mend="Mask or remove them and pin the new digest" + (", or correct the card's `personal_data`." if said_none else "."),
        details={
            "counts": personal,
            "per_megabyte": {kind: round(count / max(megabytes, 1e-6), 3) for kind, count in personal.items()},
            "limit_per_megabyte": limit,
            "places": _places(reports, personal),
        },
    )


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _first_place(reports: Sequence[ShardReport], kinds: Iterable[str]) -> str:
    for report in reports:
        for kind in kinds:
            for place in report.places.get(kind, [])[:1]:
                return f"{report.name} row {place['row']}" + (f", {place['field']}" if place["field"] else "")
    return "an unknown place"


def _places(reports: Sequence[ShardReport], kinds: Iterable[str]) -> list[dict[str, object]]:
    return [{"file": r.name, "kind": kind, **place} for r in reports for kind in kinds for place in r.places.get(kind, [])]


def contamination_findings(reports: Sequence[ShardReport], items: SuiteItems, stances: Stances) -> list[Finding]:
    """Which items of the suites occur in the data, how, and in what role; what could not be looked for."""
    found = contaminated_items(reports)
    findings = []
    for kind in KINDS:
        named = sorted(item for item, match in found.items() if match["kind"] == kind)
        if named:
            findings.append(_contaminated(kind, named, found, len(items.items), stances))
    if items.absent:
        findings.append(
            stances.finding(
                "contamination.items-absent",
                "suites",
                f"The items of {len(items.absent)} task(s) are not at hand: {'; '.join(items.absent)}.",
                mend="Give these tasks a `data:` file, or scan the data where the items are.",
            )
        )
    if items.items and reports and not found:
        reason = f"None of {len(items.items)} items of the suites occurs in the data, word for word, lightly edited or nearly."
        findings.append(passed("contamination", "contamination.scanned", "data", reason, items=len(items.items), tasks=dict(items.digests)))
    return findings


def not_testable_finding(not_testable: Sequence[str], total: int, stances: Stances) -> list[Finding]:
    """Items with too few words to be looked for, as one finding."""
    if not not_testable:
        return []
    tasks = Counter(key.rsplit("/", 1)[0] for key in not_testable)
    return [
        stances.finding(
            "contamination.not-testable",
            "suites",
            f"{len(not_testable)} of {total} items have fewer than five words and were not looked for: "
            + ", ".join(f"{count} of {task}" for task, count in sorted(tasks.items()))
            + ".",
            mend="Keep their templates or combinations apart from the training data by construction.",
        )
    ]


def contaminated_items(reports: Sequence[ShardReport]) -> dict[str, dict[str, Any]]:
    """Item → its strongest match over all files, with the file and how often it was found in which role."""
    strength: dict[str, int] = {kind: n for n, kind in enumerate(reversed(KINDS))}
    found: dict[str, dict[str, Any]] = {}
    for report in reports:
        for item, match in report.matches.items():
            known = found.get(item)
            roles = Counter(match["roles"]) + Counter(known["roles"] if known is not None else {})
            here = {**match, "file": report.name, "roles": dict(sorted(roles.items()))}
            is_stronger = known is None or (strength[match["kind"]], match["share"]) > (strength[str(known["kind"])], known["share"])
            found[item] = here if is_stronger else {**(known or {}), "roles": here["roles"]}
    return dict(sorted(found.items()))


def _contaminated(kind: str, named: list[str], found: dict[str, dict[str, Any]], total: int, stances: Stances) -> Finding:
    roles: Counter[str] = Counter()
    for item in named:
        roles.update(found[item]["roles"])
    first = found[named[0]]
    said = {"text": "training text", "prompt": "teacher prompts", "output": "teacher outputs"}
    where = ", ".join(f"{said[role]} ({count})" for role, count in sorted(roles.items()))
    shown = ", ".join(named[:NAMED_ITEMS]) + (f" and {len(named) - NAMED_ITEMS} more" if len(named) > NAMED_ITEMS else "")
    return stances.finding(
        _RULE_OF_KIND[kind],
        f"data ← {named[0].rsplit('/', 1)[0]}",
        f"{len(named)} of {total} items occur {_WORDS_OF_KIND[kind]} in {where}; first {named[0]} at {first['file']} row {first['row']}. "
        f"Items: {shown}.",
        mend="Look at the rows named: common phrases need no mending."
        if kind == "overlap"
        else "Remove those rows from the data and pin the new digest, or judge by items the student has not seen.",
        details={"items": named, "roles": dict(roles), "file": first["file"], "row": first["row"]},
    )
