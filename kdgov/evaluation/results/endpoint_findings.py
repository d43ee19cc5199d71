"""What an endpoint's identity and steadiness mean for a comparison, as findings that a policy decides on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kdgov.endpoints.reply import is_same_model
from kdgov.evaluation.results.evidence_faults import RULE, Document
from kdgov.finding import Finding, FindingVerdict
from kdgov.passing_rules import passing
from kdgov.quantities import quantity

IDENTITY, DRIFT, UNFINISHED = f"{RULE}.endpoint-identity", f"{RULE}.endpoint-drift", f"{RULE}.thoughts-unfinished"
EMPTY = f"{RULE}.endpoint-empty"
_PAGE = "docs/endpoints.md"
_TOLD = ("address", "asked", "answered", "fingerprints", "terms", "first_day", "last_day", "answers", "asked_again", "changed", "usage")
MUCH_SILENCE = 0.05
"""Share of empty answers from which a person must look: a teacher that says nothing is easily equalled."""
MUCH_DRIFT = 0.1
"""Share of re-asked requests with another answer from which a person must look, unless the policy says otherwise."""


def endpoint_findings(who: str, document: Document) -> list[Finding]:
    """Findings on the endpoint that answered for one model; nothing where none did."""
    seen = document.get("endpoint")
    if not isinstance(seen, Mapping):
        return []
    return [
        _identity(who, seen),
        *_unproven(who, seen, document),
        *_drift(who, seen, document),
        *_unfinished(who, seen),
        *_empty(who, seen),
    ]


def one_endpoint(teacher: Document, student: Document) -> str:
    """What teacher and student have in common where one endpoint answered for both, in words; empty where two models were asked.

    One address and one name asked for, or one name that answered whatever was asked: nobody can say that two models were compared.
    """
    ours, theirs = teacher.get("endpoint") or {}, student.get("endpoint") or {}
    further = [seen.get("extra") or document["model"].get("extra_body") for seen, document in ((ours, teacher), (theirs, student))]
    if not ours or not theirs or further[0] != further[1] or ours["address"].rstrip("/") != theirs["address"].rstrip("/"):
        return ""
    if ours["asked"] == theirs["asked"]:
        return "address and model name"
    names = [{name for name in seen["answered"] if name} for seen in (ours, theirs)]
    return f"address, and {' and '.join(sorted(names[0]))} answered for both" if names[0] and names[0] == names[1] else ""


def _finding(rule: str, verdict: FindingVerdict, who: str, seen: Mapping[str, Any], reason: str, mend: str) -> Finding:
    return Finding(
        check="evidence",
        verdict=verdict,
        subject=_subject(who, seen),
        reason=reason,
        mend=mend,
        rule=rule,
        source=_PAGE,
        details=_details(seen),
    )


def _subject(who: str, seen: Mapping[str, Any]) -> str:
    return f"{who} {seen['asked']}"


def _details(seen: Mapping[str, Any]) -> dict[str, Any]:
    return {name: seen.get(name) for name in _TOLD}


def _identity(who: str, seen: Mapping[str, Any]) -> Finding:
    names, prints = dict(seen["answered"]), [name for name in seen["fingerprints"] if name]
    if len(names) > 1 and names.get("", 0) <= int(seen.get("withheld") or 0):
        # A prompt that a filter kept from the model was answered by none.
        names.pop("", None)
    when = seen["first_day"] if seen["first_day"] == seen["last_day"] else f"{seen['first_day']} to {seen['last_day']}"
    if len(names) > 1:
        told = ", ".join(f"{name or 'no name'} ({count})" for name, count in sorted(names.items()))
        reason = f"Two models answered for the {who}: {told}. Nobody can say which of them was evaluated."
        return _finding(IDENTITY, "block", who, seen, reason, "Ask for one dated model name, and evaluate again with an empty store.")
    name = next(iter(names), "")
    if not name:
        reason = f"The endpoint never said which model answers for the {who} ({when})."
        return _finding(IDENTITY, "review", who, seen, reason, "Ask whoever runs it which model it serves, and keep that with the release.")
    if not is_same_model(str(seen["asked"]), name, []):
        reason = f"{seen['asked']} was asked for the {who}, and {name} answered, which the release allows under `answers_as` ({when})."
        return _finding(IDENTITY, "review", who, seen, reason, "Confirm that this is the model that is meant.")
    if len(prints) > 1:
        reason = f"The endpoint's fingerprint changed while it was asked for the {who}: {', '.join(sorted(prints))} ({when})."
        return _finding(IDENTITY, "review", who, seen, reason, "Evaluate again in one go, or see in the drift whether its answers changed.")
    by = f", fingerprint {prints[0]}" if prints else ", without a fingerprint"
    told = f"{name} answered all requests for the {who}{by} ({when})."
    count = sum(names.values())
    return passing("evidence", IDENTITY, _subject(who, seen), told, looked_for={"answers": count}, source=_PAGE, **_details(seen))


def _unproven(who: str, seen: Mapping[str, Any], document: Document) -> list[Finding]:
    model = document["model"]
    # A model that is only an address stands by its own declaration: nobody claims that other weights answered.
    if not model.get("weights") or model["weights"] == model.get("endpoint"):
        return []
    reason = f"An endpoint answered in text for the {who}, and text cannot show that it holds the {who}'s weights."
    mend = "Evaluate where the checkpoint can be loaded, or at a completions endpoint, which is tried against it."
    return [_finding(f"{RULE}.served-unproven", "review", who, seen, reason, mend)]


def _drift(who: str, seen: Mapping[str, Any], document: Document) -> list[Finding]:
    asked, changed = int(seen["asked_again"]), int(seen["changed"])
    tasks = document.get("tasks", ())
    if not asked and tasks and all(_is_sampled(task) for task in tasks):
        reason = f"Every answer of the {who} is sampled, and another one each time: none was asked again, and drift is not known."
        return [_finding(DRIFT, "warn", who, seen, reason, "Add a task that is asked without sampling.")]
    if not asked:
        reason = f"No request was asked again: whether the {who} still answers the same is not known."
        return [_finding(DRIFT, "warn", who, seen, reason, "Set `evaluation.reask` to 20 or more.")]
    told = f"{changed} of {quantity(asked, 'request')} asked again at the end got another answer"
    if not changed:
        told = f"None of {quantity(asked, 'request')} asked again at the end got another answer."
        return [passing("evidence", DRIFT, _subject(who, seen), told, looked_for={"requests": asked}, source=_PAGE, **_details(seen))]
    verdict: FindingVerdict = "review" if changed / asked > MUCH_DRIFT else "warn"
    mend = "Ask for a dated model at temperature 0; what stays is noise that the comparison carries."
    return [_finding(DRIFT, verdict, who, seen, f"{told}: the {who} is not one fixed model, or does not answer alike twice.", mend)]


def _is_sampled(task: Mapping[str, Any]) -> bool:
    generation = task["settings"].get("generation") or {}
    return bool(generation.get("do_sample")) or float(generation.get("temperature") or 0.0) > 0


def _empty(who: str, seen: Mapping[str, Any]) -> list[Finding]:
    withheld, empty, of_all = int(seen.get("withheld") or 0), int(seen.get("empty") or 0), int(seen["usage"]["answers"])
    found = []
    if withheld:
        told = f"A filter of the endpoint withheld {withheld} of {of_all} answers of the {who}: what is scored there is empty or cut."
        mend = "Ask an endpoint without that filter, or leave these items out: a filter is neither the model's refusal nor its failure."
        found.append(_finding(EMPTY, "review", who, seen, told, mend))
    if empty:
        verdict: FindingVerdict = "review" if empty / of_all > MUCH_SILENCE else "warn"
        told = f"{empty} of {of_all} answers of the {who} hold no text and no call of a tool: what is scored there is empty."
        mend = "Look at the raw answers; a gateway or a parameter may have lost the text."
        found.append(_finding(EMPTY, verdict, who, seen, told, mend))
    return found


def _unfinished(who: str, seen: Mapping[str, Any]) -> list[Finding]:
    count, of_all = int(seen["thoughts"]["unfinished"]), int(seen["usage"]["answers"])
    if not count:
        return []
    reason = f"{count} of {of_all} answers of the {who} never came to an end of their thoughts: what is scored there is empty."
    return [_finding(UNFINISHED, "review", who, seen, reason, "Raise `evaluation.reasoning.budget_tokens`.")]
