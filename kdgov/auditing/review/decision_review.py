"""The decision judged again, and the questions both models answered compared: pure, from the fetched bundle."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kdgov import __version__
from kdgov.auditing.review.audit_findings import AuditFinding, unverifiable, verified, violated
from kdgov.digest import digest_bytes, digest_json, merkle_root
from kdgov.evidence.bundle_layout import DECISION, EVALUATION, IDENTITY, ITEMS, PLAN, in_run, of_role
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.evidence.rejudge import DECIDE_AGAIN, other_judge
from kdgov.quantities import quantity

_CLOSE = 1e-6
"""Numbers of another processor or SciPy may differ in the last digits; verdicts may not."""


_NAMES = {"policy.digest", *(f"digests.{role}_items" for role in ("teacher", "student", "control", "root_teacher"))}
"""Digests of meaning, not of bytes: another version of kdgov may compute them otherwise."""


_SENTENCES = ("reason", "mend", "assay")
"""Fields of a result or finding that are words for people: everything else decides."""
_FIGURE = re.compile(r"(?:(?<!\w)[-+])?\d(?:[\d,.]*\d)?")


@dataclass(frozen=True, slots=True)
class _Difference:
    place: str
    told: str
    is_wording: bool = False
    """Whether only words differ, with the same figures in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudged:
    """A decision made again from the bundle's own items, policy and findings."""

    document: Mapping[str, Any] = field(default_factory=dict)
    """The new decision; empty where it could not be made."""
    canonical: bytes = b""
    """Its bytes."""
    items: Mapping[str, str] = field(default_factory=dict)
    """``teacher`` and ``student`` → content digest of the item table."""
    fault: str = ""
    """Why it could not be made; empty where it was."""


def review_decision(material: BundleReader, again: Rejudged) -> Iterator[AuditFinding]:
    """The sealed decision against the one made again, field by field."""
    subject = in_run(DECISION)
    sealed = material.decision
    if not sealed:
        yield unverifiable("decision", subject, "There is no readable decision.", mend="Record the release again.", required=True)
        return
    if again.fault:
        why = f"It could not be judged again: {again.fault}"
        yield unverifiable("decision", subject, why, mend="Correct what is named.", required=True)
        return
    if digest_bytes(again.canonical) == material.digest(DECISION):
        count = len(again.document["criteria"])
        told = f"All {count} results judged again from the item tables by the sealed policy: the same, byte for byte."
        yield verified("decision", subject, told, digest=digest_bytes(again.canonical))
        return
    differences = list(_differences(sealed, again.document))
    if not differences:
        yield verified(
            "decision",
            subject,
            "Judged again: the same verdicts, numbers equal to six digits.",
            digest=material.digest(DECISION),
        )
    yield from _told_apart(differences, other_judge(material))


def _told_apart(differences: list[_Difference], other: str) -> Iterator[AuditFinding]:
    """What differs, by what it means: words of other code, findings of other code, or a decision that does not follow."""
    subject = in_run(DECISION)
    words = [one for one in differences if other and one.is_wording]
    graver = [one for one in differences if one not in words]
    if words and not graver:
        # Verdict and numbers were computed again from the tables; only whoever sealed the sentences vouches for their words.
        told = f"Recorded by {other}: {quantity(len(words), 'sentence differs', 'sentences differ')} from those of kdgov {__version__}, "
        told += f"all values agree. First {words[0].place}: {words[0].told}"
        yield unverifiable("decision", subject, told, mend=f"Read the numbers, not these words. {DECIDE_AGAIN}")
        return
    if other and graver and all(one.place in {*_NAMES, "reason"} or one.place.startswith("finding ") for one in graver):
        number = quantity(len(differences), "finding or digest", "findings and digests")
        told = f"Recorded by {other}: the same verdict and numbers, but kdgov {__version__} reads {number} otherwise"
        told += f", first {differences[0].place}."
        yield unverifiable("decision", subject, told, mend=f"{DECIDE_AGAIN} Or audit it with {other}.", required=True)
        return
    note = f" It was recorded by {other} and judged again by kdgov {__version__}. {DECIDE_AGAIN}" if other else ""
    for one in graver:
        mend = f"The sealed decision does not follow from its evidence: do not rely on it.{note}"
        yield violated("decision", f"decision {one.place}", one.told, mend=mend)


def _differences(sealed: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[_Difference]:
    for key in sorted({*sealed, *again} - {"criteria", "findings"}):
        if not _same(sealed.get(key), again.get(key)):
            wording = key == "reason" and _same_figures(sealed.get(key), again.get(key))
            yield from (_Difference(place, told, is_wording=wording) for place, told in _inside(key, sealed.get(key), again.get(key)))
    yield from _rows("criterion", _criteria(sealed), _criteria(again))
    yield from _rows("finding", _findings(sealed), _findings(again))


def _same_figures(left: Any, right: Any) -> bool:
    """Whether two sentences name the same numbers in the same order, however they write a minus."""
    if not isinstance(left, str) or not isinstance(right, str):
        return False
    first, second = (_FIGURE.findall(text.replace("−", "-")) for text in (left, right))
    return bool(first == second)


def _inside(key: str, sealed: Any, again: Any) -> Iterator[tuple[str, str]]:
    if isinstance(sealed, Mapping) and isinstance(again, Mapping):
        for name in sorted({*sealed, *again}):
            if not _same(sealed.get(name), again.get(name)):
                yield from _inside(f"{key}.{name}", sealed.get(name), again.get(name))
        return
    yield key, f"Sealed says {_short(sealed)}; judged again it is {_short(again)}."


def _rows(kind: str, sealed: Mapping[str, Mapping[str, Any]], again: Mapping[str, Mapping[str, Any]]) -> Iterator[_Difference]:
    for name in sorted(sealed.keys() | again.keys()):
        if name not in again:
            yield _Difference(f"{kind} {name}", "The sealed decision has it; judged again there is none.")
        elif name not in sealed:
            yield _Difference(f"{kind} {name}", "Judged again there is one; the sealed decision lacks it.")
        else:
            old, new = sealed[name], again[name]
            odd = [k for k in sorted({*old, *new}) if not _same(old.get(k), new.get(k))]
            wording = all(key in _SENTENCES and _same_figures(old.get(key), new.get(key)) for key in odd)
            if odd:
                told = "; ".join(f"{k}: sealed {_short(old.get(k))}, judged again {_short(new.get(k))}" for k in odd[:4])
                yield _Difference(f"{kind} {name}", f"{told}.", is_wording=wording)


def _criteria(decision: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    keys = ("id", "suite", "task", "metric", "group", "reference", "kind")
    rows = decision.get("criteria") or []
    return {
        "/".join(str(r.get(k, "")) for k in keys if r.get(k)) + (f"#{i}" if _repeated(rows, r, keys) else ""): r for i, r in enumerate(rows)
    }


def _repeated(rows: Any, row: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    return sum(all(other.get(k) == row.get(k) for k in keys) for other in rows) > 1


def _findings(decision: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {f"{i}: {r.get('rule') or r.get('check')} {r.get('subject', '')}": r for i, r in enumerate(decision.get("findings") or [])}


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, (int, float)) and isinstance(right, (int, float)) and not isinstance(left, bool):
        return math.isclose(left, right, rel_tol=_CLOSE, abs_tol=_CLOSE)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[k], right[k]) for k in left)
    return bool(left == right)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 90 else text[:89] + "…"


def review_plan(material: BundleReader, again: Rejudged) -> Iterator[AuditFinding]:
    """Roots of the plan, of both evaluations and of the decision, and the tables they speak of."""
    roots = {
        PLAN: str(material.plan.get("root", "")),
        of_role("teacher", EVALUATION): str(material.evaluations["teacher"].get("plan", "")),
        of_role("student", EVALUATION): str(material.evaluations["student"].get("plan", "")),
        DECISION: str((material.decision.get("digests") or {}).get("plan", "")),
    }
    known = {name: root for name, root in roots.items() if root}
    if not known:
        yield unverifiable("plan", "plan root", "The release was judged from bare item tables: no plan was recorded.")
        return
    if len(set(known.values())) > 1:
        told = "; ".join(f"{name} says {root[:19]}…" for name, root in known.items())
        yield violated("plan", "plan root", f"Teacher and student did not answer one plan: {told}.", mend="Evaluate both on one plan.")
    elif len(known) < len(roots):
        absent = ", ".join(name for name, root in roots.items() if not root)
        yield unverifiable("plan", "plan root", f"No root is stated in {absent}.", mend="Evaluate with `kdgov evaluate`.", required=True)
    else:
        yield verified("plan", "plan root", "Teacher, student and decision name the root of the one plan.", digest=roots[PLAN])
    yield from _recomputed_root(material)
    yield from _tables(material, again)


def _recomputed_root(material: BundleReader) -> Iterator[AuditFinding]:
    tasks = material.plan.get("tasks")
    if not isinstance(tasks, list) or not all(isinstance(t, Mapping) and isinstance(t.get("leaves"), Mapping) for t in tasks):
        return
    named = []
    for task in tasks:
        root = merkle_root([*map(str, task["leaves"].values()), digest_json({"settings": task.get("settings", {})})])
        name = f"{task.get('suite')}/{task.get('task')}"
        if root != task.get("root"):
            yield violated(
                "plan", f"plan {name}", "The root does not follow from the task's own items and settings.", mend="The plan was changed."
            )
        named.append(digest_json({"task": name, "root": root}))
    named += [digest_json(group) for group in material.plan.get("groups") or ()]
    if merkle_root(named) == material.plan.get("root"):
        told = (
            f"The root was computed again from {quantity(sum(len(t['leaves']) for t in tasks), 'item')} of {quantity(len(tasks), 'task')}."
        )
        yield verified("plan", PLAN, told, digest=str(material.plan["root"]))
    else:
        yield violated("plan", PLAN, "The plan's root does not follow from its items.", mend="The plan was changed.")


def _tables(material: BundleReader, again: Rejudged) -> Iterator[AuditFinding]:
    for role, found in again.items.items():
        stated = material.evaluations.get(role, {}).get("items")
        subject = in_run(of_role(role, ITEMS))
        if not stated:
            yield unverifiable("plan", subject, "Its evidence names no digest of the table.")
        elif stated != found and (other := other_judge(material)):
            told = f"Recorded by {other}, which named its content by another digest than kdgov {__version__} does; its bytes are as sealed."
            yield unverifiable("plan", subject, told, mend=f"{DECIDE_AGAIN} Or audit it with {other}.", required=True)
        elif stated != found:
            yield violated("plan", subject, "The table is not the one its evaluation wrote.", mend="Evaluate again.", digest=found)
        else:
            yield verified("plan", subject, "The table is the one its evaluation wrote.", digest=found)


def review_identities(material: BundleReader) -> Iterator[AuditFinding]:
    """The models evaluated, the models distilled and the models judged are the same."""
    digests = material.decision.get("digests") or {}
    made = {"teacher": material.distillation.get("teacher"), "student": material.distillation.get("student")}
    for role, identity in material.identities.items():
        weights = str(identity.get("weights", ""))
        stated = {"decision": digests.get(f"{role}_weights"), "evaluation": (material.evaluations[role].get("model") or {}).get("weights")}
        training = made[role]
        if isinstance(training, Mapping):
            stated["distillation"] = training.get("weights")
        odd = [name for name, digest in stated.items() if digest and digest != weights]
        subject = in_run(of_role(role, IDENTITY))
        if endpoint := str(identity.get("endpoint") or ""):
            yield _endpoint_identity(material, role, identity, endpoint, subject)
        elif not weights:
            yield unverifiable("plan", subject, "No identity of the model is recorded.")
        elif odd:
            yield violated(
                "plan", subject, f"The {role} of the {odd[0]} is another model.", mend="Judge the model that was evaluated.", digest=weights
            )
        else:
            told = ", ".join(name for name, digest in stated.items() if digest)
            yield verified("plan", subject, f"The same {role} throughout: {told or 'identity only'}.", digest=weights)


def _endpoint_identity(material: BundleReader, role: str, identity: Mapping[str, Any], endpoint: str, subject: str) -> AuditFinding:
    """The endpoint that was declared is the one that was evaluated, and the one that is said to have taught."""
    evaluated, seen = material.evaluations[role].get("model") or {}, material.evaluations[role].get("endpoint") or {}
    named = {"address": (identity.get("base_url"), seen.get("address")), "model name": (identity.get("generator"), seen.get("asked"))}
    taught = material.distillation.get(role)
    if isinstance(taught, Mapping) and taught.get("access") == "api":
        named["model name of the distillation"] = (identity.get("generator"), taught.get("generator"))
    odd = [what for what, (declared, found) in named.items() if declared != found]
    if evaluated.get("endpoint") != endpoint or odd:
        what = odd[0] if odd else "declaration"
        return violated("plan", subject, f"The endpoint evaluated has another {what}.", mend="Judge what was evaluated.", digest=endpoint)
    told = f"The same endpoint throughout ({identity.get('generator')} at {identity.get('base_url')}); its weights are not known."
    return verified("plan", subject, told, digest=endpoint)
