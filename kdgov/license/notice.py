"""The files that a release ships to meet its obligations: NOTICE, attribution, flow-down terms, and what is left to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kdgov.license.answer import Edge, LicenseAnswer, Obligation
from kdgov.license.case import LicenseCase
from kdgov.license.facts import Facts, facts

NOTICE_FILE = "NOTICE"
ATTRIBUTION_FILE = "ATTRIBUTION.md"
FLOW_DOWN_FILE = "USE_RESTRICTIONS.md"
TO_DO_FILE = "LICENSE_OBLIGATIONS.md"

_NOTICE_KINDS = ("NOTICE",)
_CREDIT_KINDS = ("ATTRIB", "PRODUCED_WORK_NOTICE", "DISPLAY", "STATE_CHANGES")
_FLOW_KINDS = ("FLOW_DOWN", "AUP", "TERRITORY", "RESEARCH_ONLY")


def notice_files(case: LicenseCase, answer: LicenseAnswer, *, known: Facts | None = None) -> dict[str, str]:
    """File name → text of everything the obligations ask to ship beside the student; only files that are needed.

    A licence's full text is not among them: it must be the copy that came with the upstream.
    """
    known = known or facts()
    files = {
        NOTICE_FILE: _notice(case, _of(answer, _NOTICE_KINDS)),
        ATTRIBUTION_FILE: _attribution(case, answer, known),
        FLOW_DOWN_FILE: _flow_down(case, _of(answer, _FLOW_KINDS), known),
        TO_DO_FILE: _to_do(case, answer, known),
    }
    return {name: text for name, text in files.items() if text}


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
        lines.append(o.value if is_prescribed else f"[Copy the notices of {o.upstream or 'the upstream'} here: {o.text}.]")
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
                lines.append(
                    f"Changes: {_student(case)} was made from {_named(o)} by further training; files that differ are marked as modified."
                )
            case _:
                lines.append(f"{_student(case)} uses {_named(o)}, licensed under {_title(o.license, known)}. [Creator and link]")
        lines.append("")
    return "\n".join(dict.fromkeys(lines[:2])) + "\n" + "\n".join(dict.fromkeys(line for line in lines[2:] if line)) + "\n"


def _named(o: Obligation) -> str:
    return o.upstream or "its upstream"


def _title(license_id: str, known: Facts) -> str:
    entry = known.find(license_id)
    return f"{entry.name} ({entry.id})" if entry else license_id


def _flow_down(case: LicenseCase, obligations: list[Obligation], known: Facts) -> str:
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
    lines += ["", "[Attach the restrictions named above in full, from the copies that came with the upstreams.]", ""]
    return "\n".join(lines)


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


def _to_do(case: LicenseCase, answer: LicenseAnswer, known: Facts) -> str:
    if not answer.obligations:
        return ""
    lines = [f"# Licence obligations of {_student(case)}", "", f"Verdict {answer.verdict}, gate {answer.gate}.", ""]
    for edge in answer.uses:
        lines += _edge_lines(edge, known)
    return "\n".join(lines)


def _edge_lines(edge: Edge, known: Facts) -> list[str]:
    marks: Mapping[bool | None, str] = {True: "x", False: " ", None: "-"}
    lines = [f"## {edge.path} ({edge.use}, {edge.license})", ""]
    lines += [f"- [{marks[o.met]}] {o.kind}: {o.text} ({_title(o.license, known)}, {o.clause}; {o.why})" for o in edge.obligations]
    return [*lines, ""] if edge.obligations else [*lines, "Nothing is asked at this release intent.", ""]
