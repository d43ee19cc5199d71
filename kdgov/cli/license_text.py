"""Licence answers as lines for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdgov.checks.licensing.shipped_files import shipped_evidence
from kdgov.digest import write_atomic
from kdgov.errors import InputError
from kdgov.license import Edge, LicenseAnswer, LicenseCase, Obligation, case_from_json, check
from kdgov.license.catalogue.facts import Rule, facts
from kdgov.license.vocabulary import USES

_MARK = {True: "met", False: "UNMET", None: "open"}


def answer_lines(answer: LicenseAnswer) -> Iterator[str]:
    """Verdict, gate, the paths that stop the release, and every obligation."""
    yield f"verdict {answer.verdict}, gate {answer.gate}"
    yield answer.reason
    for path in answer.paths[1:]:
        yield f"also {path}"
    for edge in answer.uses:
        yield f"  {edge.path} ({edge.use}, {edge.license}): {edge.verdict}; clause {edge.clause}"
        if edge.mend:
            yield f"      {edge.mend}"
    if answer.obligations:
        yield "obligations:"
    yield from (_obligation_line(o) for o in answer.obligations)
    yield from (f"note: {remark}" for remark in answer.unused_evidence)


def _obligation_line(o: Obligation) -> str:
    return f"  {_MARK[o.met]:5} {o.kind}: {o.text} [{o.license}, {o.clause}; {o.why}]"


def edge_lines(edge: Edge, indent: str = "") -> Iterator[str]:
    """One edge with its clause, source and confidence, and everything behind it."""
    yield f"{indent}{edge.path}: {edge.verdict}"
    yield f"{indent}  use {edge.use}" + (f", for the student {edge.effective_use}" if edge.effective_use != edge.use else "")
    yield f"{indent}  licence {edge.license} → {', '.join(edge.resolved)}" + (f"; chosen: {edge.chosen}" if edge.chosen else "")
    yield f"{indent}  clause {edge.clause}: {edge.reason}"
    yield f"{indent}  source {edge.source}; {edge.confidence}, {edge.basis}"
    if edge.decided_at != edge.path:
        yield f"{indent}  decided at {edge.decided_at}"
    if edge.mend:
        yield f"{indent}  mend: {edge.mend}"
    yield from (f"{indent}{_obligation_line(o)}" for o in edge.obligations)
    yield from (f"{indent}  note: {remark}" for remark in edge.notes)
    for child in edge.made_by:
        yield from edge_lines(child, indent + "    ")


def expression_lines(expression: str, *, release: Mapping[str, Any], kind: str) -> Iterator[str]:
    """What an expression comes to for each of the nine uses.

    Raises:
        InputError: if it does not parse.
    """
    yield f"{expression}, student kind {kind}, {release['distribution']}, {'commercial' if release['commercial'] else 'research'}"
    for use in USES:
        case = {"student": {"kind": kind}, "uses": [{"use": use, "license": expression}], "release": dict(release)}
        (edge,) = check(case_from_json(case)).uses
        yield f"  {use}: {edge.verdict}; clause {edge.clause}: {edge.reason}"
        for o in edge.obligations:
            yield f"      {o.kind}: {o.text}"


def license_lines(name: str) -> Iterator[str]:
    """Every rule of one licence.

    Raises:
        InputError: if no licence has that name, with what it may have meant.
    """
    known = facts()
    entry = known.find(name)
    if entry is None:
        family = known.families.get(name.lower())
        near = difflib.get_close_matches(name.lower(), list(known.names), n=3, cutoff=0.5)
        mend = f"It is a family: {family}." if family else f"Did you mean {', '.join(near)}?" if near else "See `kdgov license list`."
        raise InputError(f"{name!r} is not a licence known here", mend=mend)
    yield f"{entry.id}: {entry.name} [{entry.kind}, file {entry.family}.yaml]"
    yield f"also: {', '.join(entry.aliases) or '-'}; licensor: {', '.join(entry.licensor) or 'whoever uses it'}"
    yield "weighed together:" if entry.bars else "no thresholds, territories or outbound conflicts"
    for rule in entry.bars:
        yield from _rule_lines(rule)
    yield "the first that fits decides:"
    for rule in entry.rules:
        yield from _rule_lines(rule)


def _rule_lines(rule: Rule) -> Iterator[str]:
    uses = "any use" if rule.uses == frozenset(USES) else ", ".join(use for use in USES if use in rule.uses)
    when = f" when {dict(rule.when)}" if rule.when else ""
    yield f"  {uses}{when}: {rule.verdict}"
    yield f"      {rule.clause}: {rule.says} ({rule.basis}, {rule.confidence} {rule.seen}: {rule.source})"
    for duty in rule.duties:
        yield f"      {duty.kind} from {duty.trigger} on: {duty.text}" + (f" (if {duty.condition})" if duty.condition else "")


def shipped_lines(case: LicenseCase, folder: Path) -> tuple[LicenseAnswer, list[str]]:
    """The answer with a folder's files as evidence, and every obligation with what was read or is missing.

    Raises:
        InputError: if there is no such folder.
    """
    if not folder.is_dir():
        raise InputError("does not exist", where=str(folder), mend="Write the files first: the same command without --check.")
    answer = check(replace(case, evidence=(*case.evidence, *shipped_evidence(check(case), folder))))
    lines = [f"verdict {answer.verdict}, gate {answer.gate}"]
    for edge in answer.uses:
        lines += [f"  {edge.path}", *(f"    {_obligation_line(o)}" for o in edge.obligations)]
    return answer, lines


def write_files(files: Mapping[str, str], out: Path, *, force: bool) -> list[Path]:
    """Write files into a folder, none of them unless all may be written.

    Raises:
        InputError: naming every file that is there already.
    """
    there = [name for name in files if (out / name).exists()]
    if there and not force:
        raise InputError(f"holds {', '.join(there)} already", where=str(out), mend="Choose another --out, or pass --force to replace them.")
    for name, text in files.items():
        write_atomic(out / name, text.encode("utf-8"))
    return [out / name for name in files]
