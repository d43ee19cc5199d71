"""What the scan found, as findings: damaged files, withdrawn people, identifiers, credentials, contaminated items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgov.checks.cards.release_inputs import Body, ReleaseInputs
from kdgov.checks.findings.identifier_findings import identifier_findings
from kdgov.checks.findings.rules import Stances
from kdgov.checks.pii.person_names import NameCount
from kdgov.checks.scan.contamination import KINDS
from kdgov.checks.scan.retold_items import retold_items
from kdgov.checks.scan.scan import ShardReport, unread_parts
from kdgov.checks.scan.suite_items import SuiteItems
from kdgov.finding import Finding
from kdgov.passing_rules import passing
from kdgov.quantities import quantity

NAMED_ITEMS = 20
"""Contaminated items named in a finding; the rest stand in ``contamination.json``."""

_RULE_OF_KIND: dict[str, str] = {kind: f"contamination.{kind.replace('_', '-')}" for kind in KINDS}
_WORDS_OF_KIND: dict[str, str] = {
    "verbatim": "word for word",
    "edited": "lightly edited",
    "near_duplicate": "as near-duplicates",
    "overlap": "by a phrase of thirteen words",
}

_NAMED = 9


def scan_findings(
    materials: ReleaseInputs,
    reports: Sequence[tuple[Body, ShardReport]],
    items: SuiteItems,
    stances: Stances,
    names: Mapping[str, NameCount] | None = None,
    *,
    not_looked_for: Collection[str] = (),
    media: Mapping[str, int] | None = None,
) -> list[Finding]:
    """Every finding the scan of the data gives rise to; ``names`` by the body's key, where a model counted them.

    ``not_looked_for`` are items that no scan could find: they are never counted as absent. ``media`` counts the images and
    sounds of each body, which no scan reads.
    """
    findings: list[Finding] = []
    for body, report in reports:
        findings += [*_damage(body, report, stances), *_withdrawn(body, report, stances)]
    intent = materials.release.release.distribution
    for body in materials.scanned:
        own = [report for owner, report in reports if owner is body]
        said_none = body.personal_data is False
        counted = (names or {}).get(body.key)
        beside = (media or {}).get(body.key, 0)
        subject = f"{body.key} {body.name}"
        findings += identifier_findings(subject, own, intent=intent, said_none=said_none, stances=stances, names=counted, media=beside)
    return findings + contamination_findings(taught_reports(materials, reports), items, stances, not_looked_for=not_looked_for)


def taught_reports(materials: ReleaseInputs, reports: Sequence[tuple[Body, ShardReport]]) -> list[ShardReport]:
    """Reports of what the student is taught: logged production inputs are scanned too, and an item in them gives nothing away."""
    return [report for body, report in reports if body is not materials.logged]


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
            f"{quantity(report.unreadable_count, 'of its lines is', 'of its lines are')} not JSON (line {lines}).",
            mend="Correct or remove those lines and pin the new digest.",
        )
    elif report.rows == 0:
        yield stances.finding("provenance.file-empty", subject, "It holds no example.", mend="Remove it from the card, or fill it.")
    if report.invalid_utf8:
        yield stances.finding(
            "provenance.file-not-utf8",
            subject,
            f"{quantity(report.invalid_utf8, 'byte sequence is', 'byte sequences are')} not UTF-8, read as U+FFFD.",
            mend="Save the file as UTF-8.",
        )
    if report.long_lines:
        yield stances.finding(
            "provenance.file-long-lines",
            subject,
            f"{quantity(report.long_lines, 'line')} too long to parse, scanned as raw text: rows and offsets are not exact.",
            mend="Write one example per line.",
        )
    declared = next((f.declared.rows for f in body.files if f.name == report.name and f.declared is not None), None)
    if declared is not None and declared != report.rows and not report.long_lines:
        yield stances.finding(
            "provenance.rows-differ",
            subject,
            f"It holds {quantity(report.rows, 'example')}, its card says {declared}.",
            mend="Correct the card or the file.",
        )


def _withdrawn(body: Body, report: ShardReport, stances: Stances) -> Iterable[Finding]:
    subject = f"{body.key}/{report.name}"
    if report.withdrawn_count:
        rows = ", ".join(str(n) for n in report.withdrawn_rows[:5])
        yield stances.finding(
            "privacy.withdrawn-present",
            subject,
            f"{quantity(report.withdrawn_count, 'row is', 'rows are')} about people who withdrew (row {rows}).",
            mend="Remove those rows and pin the new digest.",
            details={"rows": report.withdrawn_rows},
        )
    if report.rows_without_id:
        yield stances.finding(
            "privacy.withdrawn-unchecked",
            subject,
            f"{quantity(report.rows_without_id, 'row has', 'rows have')} no id column, so withdrawn people could not be looked for there.",
            mend="Correct `personal_data.id_field`, or give every row its id.",
        )


def contamination_findings(
    reports: Sequence[ShardReport], items: SuiteItems, stances: Stances, *, subject: str = "data", not_looked_for: Collection[str] = ()
) -> list[Finding]:
    """Which items of the suites occur in some text, how, and in what role; what could not be looked for."""
    found, missed = contaminated_items(reports), set(not_looked_for)
    findings = []
    for kind in KINDS:
        named = sorted(item for item, match in found.items() if match["kind"] == kind)
        if named:
            findings.append(
                _contaminated(kind, named, found, len({item.key for item in items.items} - missed | found.keys()), stances, subject)
            )
    if items.absent:
        more = f" and {len(items.absent) - _NAMED} more" if len(items.absent) > _NAMED else ""
        findings.append(
            stances.finding(
                "contamination.items-absent",
                "suites",
                f"The items of {quantity(len(items.absent), 'task')} are not at hand: {'; '.join(items.absent[:_NAMED])}{more}.",
                mend="Give these tasks a `data:` file, or scan the data where the items are.",
                details={"tasks": list(items.absent)},
            )
        )
    return findings if found else [*findings, *_absent(reports, items, missed, subject)]


def _absent(reports: Sequence[ShardReport], items: SuiteItems, missed: Collection[str], subject: str) -> list[Finding]:
    """No item was found: a pass over the items that were looked for in what could be read; nothing where there were none."""
    looked_for = len({item.key for item in items.items} - set(missed))
    read = sum(report.text_bytes for report in reports)
    if not looked_for or not read:
        return []
    short = quantity(len(items.items) - looked_for, "item")
    left_out = [f"{short} with fewer than five words of text" if len(items.items) > looked_for else "", *unread_parts(reports)]
    left_out += [f"the items of {quantity(len(items.absent), 'task')} that are not at hand"] if items.absent else []
    return [
        passing(
            "contamination",
            "contamination.scanned",
            subject,
            f"None of the {looked_for} items that were looked for occurs in the {subject}, word for word, lightly edited or nearly.",
            looked_for={"items": looked_for, "bytes": read},
            left_out=left_out,
            items=looked_for,
            tasks=dict(items.digests),
        )
    ]


def retold_findings(
    items: SuiteItems, files: Sequence[tuple[str, Path]], stances: Stances, *, known: Collection[str] = (), subject: str = "data"
) -> list[Finding]:
    """Items told in other words or in another language, where the policy asks for them; nothing where it does not.

    Args:
        items: the items of the suites.
        files: name and place of each file that the student is taught from.
        stances: the policy's levels.
        known: items that the scan found already.
        subject: what the files are, in words.

    Raises:
        UnavailableError: if the policy asks and no encoder is installed.
    """
    if not stances.looks_for_retold or not items.items or not files:
        return []
    retold = retold_items([item for item in items.items if item.key not in set(known)], files)
    beyond = f"{retold.left_out} passages beyond the {retold.passages} that were drawn" if retold.left_out else ""
    if not retold.found:
        if not retold.looked_for or not retold.passages:
            return []
        reason = (
            f"None of {retold.looked_for} items is told in other words or another language in {retold.passages} passages of the {subject}."
        )
        counted = {"items": retold.looked_for, "passages": retold.passages}
        return [passing("contamination", "contamination.retold-compared", subject, reason, looked_for=counted, left_out=[beyond])]
    shown = [f"{item} at {at['file']} row {at['row']} (cosine {at['cosine']})" for item, at in retold.found.items()][:NAMED_ITEMS]
    return [
        stances.finding(
            "contamination.retold",
            f"{subject} ← {next(iter(retold.found)).rsplit('/', 1)[0]}",
            f"{len(retold.found)} of {retold.looked_for} items seem to be told in other words or another language: {', '.join(shown)}."
            + (f" Not looked at: {beyond}." if beyond else ""),
            mend="Read the pairs: about one look-alike in a hundred items is none. Remove from the data those that are.",
            details={"items": retold.found},
        )
    ]


def not_testable_finding(not_testable: Sequence[str], total: int, stances: Stances) -> list[Finding]:
    """Items with too few words to be looked for, as one finding."""
    if not not_testable:
        return []
    tasks = Counter(key.rsplit("/", 1)[0] for key in not_testable)
    return [
        stances.finding(
            "contamination.not-testable",
            "suites",
            f"{len(not_testable)} of {quantity(total, 'item')} could not be looked for (fewer than five words and no file): "
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


def _contaminated(kind: str, named: list[str], found: dict[str, dict[str, Any]], total: int, stances: Stances, subject: str) -> Finding:
    roles: Counter[str] = Counter()
    for item in named:
        roles.update(found[item]["roles"])
    first = found[named[0]]
    said = {"text": "training text", "prompt": "teacher prompts", "output": "teacher outputs"}
    where = ", ".join(f"{said[role]} ({count})" for role, count in sorted(roles.items()))
    shown = ", ".join(named[:NAMED_ITEMS]) + (f" and {len(named) - NAMED_ITEMS} more" if len(named) > NAMED_ITEMS else "")
    return stances.finding(
        _RULE_OF_KIND[kind],
        f"{subject} ← {named[0].rsplit('/', 1)[0]}",
        f"{len(named)} of {total} items {'occurs' if len(named) == 1 else 'occur'} {_WORDS_OF_KIND[kind]} in {where}; "
        f"first {named[0]} at {first['file']} row {first['row']}. Items: {shown}.",
        mend=_mend(kind, stances),
        details={"items": named, "roles": dict(roles), "file": first["file"], "row": first["row"]},
    )


def _mend(kind: str, stances: Stances) -> str:
    if kind == "overlap":
        return "Look at the rows named: common phrases need no mending."
    remove = "Remove those rows from the data and pin the new digest"
    if stances.judges_apart:
        return f"{remove}; otherwise these items are left out of the judgement and compared with the unseen ones."
    return f"{remove}, or let the policy judge by the items the student has not seen (`data: {{contaminated_items: judge_apart}}`)."
