"""The report as Markdown: for a pull request, a job summary or a wiki."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kdgov.auditing.report.crosswalk_notes import crosswalk_notes, general_purpose_note
from kdgov.auditing.report.html import header_of, informed_words, outcome_words
from kdgov.auditing.review.audit_findings import AREAS
from kdgov.auditing.review.practice_record import SHOWN
from kdgov.report.escaping import markdown, visible_characters

Document = Mapping[str, Any]


def render_summary(document: Document) -> str:
    """The audit of one version as GitHub-flavoured Markdown; words of others are escaped."""
    subject, counts, header = document["subject"], document["counts"], header_of(document)
    told = f"{counts['verified']} verified, {counts['not_verifiable']} not verifiable, {counts['violated']} violated"
    parts = [
        f"# Audit of {plain(subject['name'])} version {subject['version']}",
        f"**{header.shape} {plain(header.answer)}**",
        "\n".join(f"- {label}: {plain(sentence)}" for label, sentence in header.lines()),
        f"**{outcome_words(document)}**",
        f"{told}. Audited for {document['as_of']}. Verdict of the sealed decision: **{plain(document['verdict'])}**.",
        plain(document["reason"]),
        f"## Who may use what\n\n**{plain(document['permission']['headline'])}**",
        _bullets("Covered", document["permission"]["may"]),
        _bullets("Not covered", document["permission"]["may_not"]),
        _conditions(document),
        _made_from(document),
        _practice(document),
        _findings(document),
        _clauses(document),
        _licences(document),
        "\n\n".join(plain(note) for note in general_purpose_note(document)),
        *(_framework(framework) for framework in document["frameworks"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(value: object) -> str:
    """One line of text that Markdown and HTML take as text."""
    return markdown(visible_characters(value, instead=" "), limit=100_000)


def rows(head: Iterable[str], body: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    titles = list(head)
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return "\n".join(lines + ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in body])


def _bullets(title: str, lines: Iterable[str]) -> str:
    listed = [f"- {plain(line)}" for line in lines]
    return f"{title}:\n\n" + "\n".join(listed) if listed else ""


def _conditions(document: Document) -> str:
    conditions = document["permission"]["conditions"]
    if not conditions:
        return "Open conditions: none."
    return rows(("Open condition", "Until", "Owner"), [(c["text"], c["until"] or "no end", c["by"] or "nobody named") for c in conditions])


def _made_from(document: Document) -> str:
    made = document["made_from"]
    return "## Made from\n\n" + rows(("Part", "What"), [(m["label"], m["value"]) for m in made]) if made else ""


def _practice(document: Document) -> str:
    practice = document["practice"]
    measured = rows(
        ("Measure", "Criterion", "Items", *(name.capitalize() for name in SHOWN), "Verdict"),
        [
            (f"{m['place']} {m['group']}".strip(), m["id"], m["n"], *(m["shown"][name] for name in SHOWN), m["verdict"])
            for m in practice["measures"]
        ],
    )
    informed = rows(
        ("Role", "Held by", "Informed on"),
        [(r["role"], r["holder"] or "nobody named", informed_words(r) or "no date kept") for r in practice["roles"]],
    )
    note = plain(practice["trade_offs"]) or "No note was written."
    return f"## Practice record\n\n{measured}\n\nTrade-offs: {note}\n\n{informed}"


def _findings(document: Document) -> str:
    shown = [f for f in document["findings"] if f["standing"] != "verified"]
    quiet = f"{len(document['findings']) - len(shown)} statements were verified."
    if not shown:
        return f"## What was done again\n\n{quiet} Nothing else was found."
    body = [(AREAS[f["area"]], f["subject"], f["standing"].replace("_", " "), f["reason"], f["mend"]) for f in shown]
    return f"## What was done again\n\n{quiet}\n\n" + rows(("Part", "What", "Standing", "How it was found", "Mend"), body)


def _clauses(document: Document) -> str:
    body = [(c["id"], c["demanded"], c["verdict"], c["reason"], c["waived_by"] or "–") for c in document["clauses"]]
    return "## Policy, clause by clause\n\n" + rows(("Clause", "Demanded", "Result", "Why", "Waived by"), body) if body else ""


def _licences(document: Document) -> str:
    licences = document["licences"]
    head = f"## Licences\n\nOn the day of release: {licences['then'] or 'not recorded'}. Today: {licences['now'] or 'not possible'}."
    return "\n\n".join(part for part in (head, _bullets("Changed", licences["changes"])) if part)


def _framework(framework: Mapping[str, Any]) -> str:
    body = [(c["id"], c["title"], ", ".join(c["tags"]), c["support"]) for c in framework["controls"]]
    table = rows(("Control", "What it asks, in our words", "About", "Evidence"), body)
    notes = "\n".join(f"- {plain(note.strip())}" for note in crosswalk_notes(framework))
    return f"## {plain(framework['title'])}\n\n{plain(framework['disclaimer'])}\n\n{notes}\n\n{table}"
