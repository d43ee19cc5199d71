"""The files that a release ships to meet its obligations: NOTICE, attribution, flow-down terms, and what is left to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kdgov.license.answer import Edge, LicenseAnswer, Obligation
from kdgov.license.case.case import LicenseCase
from kdgov.license.catalogue.facts import Facts, facts

NOTICE_FILE = "NOTICE"
ATTRIBUTION_FILE = "ATTRIBUTION.md"
FLOW_DOWN_FILE = "USE_RESTRICTIONS.md"
TO_DO_FILE = "LICENSE_OBLIGATIONS.md"
COPIES = "LICENSES"
"""Folder of full licence texts."""
CARRIERS: dict[str, tuple[str, ...]] = {
    "NOTICE": (NOTICE_FILE,),
    "ATTRIB": (ATTRIBUTION_FILE,),
    "PRODUCED_WORK_NOTICE": (ATTRIBUTION_FILE,),
    "DISPLAY": (ATTRIBUTION_FILE,),
    "STATE_CHANGES": (ATTRIBUTION_FILE,),
    "FLOW_DOWN": (FLOW_DOWN_FILE,),
    "AUP": (FLOW_DOWN_FILE,),
}
"""Kind of obligation → the written file that meets it; licence copies have a file each."""

_NOTICE_KINDS = ("NOTICE",)
_CREDIT_KINDS = ("ATTRIB", "PRODUCED_WORK_NOTICE", "DISPLAY", "STATE_CHANGES")
_FLOW_KINDS = ("FLOW_DOWN", "AUP", "TERRITORY", "RESEARCH_ONLY")


def notice_files(
    case: LicenseCase, answer: LicenseAnswer, *, texts: Mapping[str, str] | None = None, known: Facts | None = None
) -> dict[str, str]:
    """File name → text of everything the obligations ask to ship beside the student; only files that are needed.

    Args:
        case: the question.
        answer: its answer, with every obligation.
        texts: licence id → its full text, proven to be that text; what is absent here is named in `TO_DO_FILE`.
        known: fact files; default the shipped ones.
    """
    known = known or facts()
    texts = texts or {}
    copies = {copy_name(license_): texts[license_] for license_ in wanted_texts(answer) if license_ in texts}
    files = {
        NOTICE_FILE: _notice(case, _of(answer, _NOTICE_KINDS)),
        ATTRIBUTION_FILE: _attribution(case, answer, known),
        FLOW_DOWN_FILE: _flow_down(case, _of(answer, _FLOW_KINDS), known, texts),
        **copies,
    }
    files = {name: text for name, text in files.items() if text}
    to_do = _to_do(case, answer, known, files)
    return {**files, TO_DO_FILE: to_do} if to_do else files


def wanted_texts(answer: LicenseAnswer) -> tuple[str, ...]:
    """Licences of which a copy is to be shipped."""
    return tuple(dict.fromkeys(o.license for o in answer.obligations if o.kind in ("LICENSE_COPY", "FLOW_DOWN")))


def copy_name(license_id: str) -> str:
    """Where the copy of a licence lies beside the student, as the REUSE specification has it."""
    return f"{COPIES}/{license_id}.txt"


def _of(answer: LicenseAnswer, kinds: Iterable[str]) -> list[Obligation]:
    wanted = frozenset(kinds)
    return [o for o in answer.obligations if o.kind in wanted]


def _student(case: LicenseCase) -> str:
    return case.student.name or "This model"


def _notice(case: LicenseCase, obligations: list[Obligation]) -> str:
    if not obligations:
        return ""
    lines = [_student(case), ""]
    for o in obligations:
        # Where a licence prescribes its words the value holds them; otherwise the upstream's own notices are to be copied in.
        is_prescribed = o.value != o.license
        unless = ", or remove this line if it ships none" if o.met is None else ""
        lines.append(o.value if is_prescribed else f"[Copy the notices of {o.upstream or 'the upstream'} here{unless}: {o.text}.]")
        lines.append("")
    return "\n".join(lines)


def _attribution(case: LicenseCase, answer: LicenseAnswer, known: Facts) -> str:
    credits = _of(answer, _CREDIT_KINDS)
    if not credits:
        return ""
    lines = [f"# Attribution for {_student(case)}", ""]
    for o in credits:
        match o.kind:
            case "DISPLAY":
                lines.append(f"**{o.value.split(' or ')[0]}**")
            case "PRODUCED_WORK_NOTICE":
                lines.append(f"{_student(case)} was made with {_named(o)}, which is made available under {_title(o.license, known)}.")
            case "STATE_CHANGES":
                lines.append(f"Changes: {_student(case)} is a modified work, made with {_named(o)} by further training.")
            case _:
                lines.append(f"{_student(case)} uses {_named(o)}, licensed under {_title(o.license, known)}. [Creator and link]")
        lines.append("")
    return "\n".join(dict.fromkeys(lines[:2])) + "\n" + "\n".join(dict.fromkeys(line for line in lines[2:] if line)) + "\n"


def _named(o: Obligation) -> str:
    return o.upstream or "its upstream"


def _title(license_id: str, known: Facts) -> str:
    entry = known.find(license_id)
    return f"{entry.name} ({entry.id})" if entry else license_id


def _flow_down(case: LicenseCase, obligations: list[Obligation], known: Facts, texts: Mapping[str, str]) -> str:
    passed_on = [
        o for o in obligations if o.kind != "AUP" or not any(f.kind == "FLOW_DOWN" and f.license == o.license for f in obligations)
    ]
    if not passed_on:
        return ""
    lines = [
        f"# Terms that come with {_student(case)}",
        "",
        f"By using or passing on {_student(case)}, its weights, or a service built on it, you agree to the following terms.",
        "They are an enforceable part of the licence under which you receive it; pass them on with every copy or derivative.",
        "",
    ]
    for number, o in enumerate(passed_on, 1):
        subject = f"{_named(o)}, {_title(o.license, known)}"
        lines.append(f"{number}. {_term(o)} This stems from {subject}, {o.clause}.")
    lines.append("")
    for license_ in dict.fromkeys(o.license for o in passed_on if o.kind in ("FLOW_DOWN", "AUP")):
        if license_ in texts:
            lines.append(
                f"The restrictions of {_title(license_, known)} are set out in {copy_name(license_)}, which is part of these terms."
            )
        else:
            lines.append(f"[Attach the restrictions of {_title(license_, known)} in full, from the copy that came with the upstream.]")
    return "\n".join([*lines, ""])


def _term(o: Obligation) -> str:
    match o.kind:
        case "FLOW_DOWN":
            return f"You must not use the model for what {o.value} forbids, and you must bind those you pass it on to in the same way."
        case "AUP":
            return f"Use must keep to the acceptable use policy named by the licence ({o.value})."
        case "TERRITORY":
            return f"The model is offered within these limits only: {o.text}."
        case _:
            return f"Purpose is limited: {o.text}."


def _to_do(case: LicenseCase, answer: LicenseAnswer, known: Facts, files: Mapping[str, str]) -> str:
    if not answer.obligations:
        return ""
    lines = [f"# Licence obligations of {_student(case)}", "", f"Verdict {answer.verdict}, gate {answer.gate}.", ""]
    for edge in answer.uses:
        lines += _edge_lines(edge, known)
    absent = [license_ for license_ in wanted_texts(answer) if copy_name(license_) not in files]
    if absent:
        lines += ["## Texts to add", ""]
        lines += [f"- {copy_name(license_)}: {_where_to_find(license_, answer, known)}" for license_ in absent]
        lines.append("")
    lines += [
        "## Evidence",
        "",
        "Once nothing stands in square brackets any more, enter into the release what the files show:",
        "",
        "```yaml",
    ]
    return "\n".join([*lines, "evidence:", *_evidence_lines(answer), "```", ""])


def _where_to_find(license_: str, answer: LicenseAnswer, known: Facts) -> str:
    whose = ", ".join(dict.fromkeys(o.upstream for o in answer.obligations if o.license == license_ and o.upstream)) or "the upstream"
    entry = known.find(license_)
    is_listed = entry is not None and entry.kind in ("generic", "data") and not license_.startswith("LicenseRef-")
    page = f"; its canonical text is https://spdx.org/licenses/{license_}.html" if is_listed else ""
    return f"the licence file that came with {whose}, unchanged{page}"


def _evidence_lines(answer: LicenseAnswer) -> list[str]:
    pieces = []
    for o in answer.obligations:
        names = (copy_name(o.license),) if o.kind == "LICENSE_COPY" else CARRIERS.get(o.kind, ())
        pieces += [f"  - {{obligation: {o.kind}, license: {o.license}, file: {name}}}" for name in names]
    return list(dict.fromkeys(pieces))


def _edge_lines(edge: Edge, known: Facts) -> list[str]:
    marks: Mapping[bool | None, str] = {True: "x", False: " ", None: "-"}
    lines = [f"## {edge.path} ({edge.use}, {edge.license})", ""]
    lines += [f"- [{marks[o.met]}] {o.kind}: {o.text} ({_title(o.license, known)}, {o.clause}; {o.why})" for o in edge.obligations]
    return [*lines, ""] if edge.obligations else [*lines, "Nothing is asked at this release intent.", ""]
