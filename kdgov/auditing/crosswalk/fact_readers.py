"""The catalogue of facts for one release: what its evidence shows, in part or not at all, and where that was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kdgov.auditing.crosswalk import people_facts as people
from kdgov.auditing.crosswalk import training_facts as training
from kdgov.auditing.crosswalk.fact_catalogue import FACTS, Fact
from kdgov.auditing.crosswalk.fact_source import (
    Answer,
    Evidence,
    card_fields,
    cards_of,
    checked,
    either,
    findings_of,
    is_verified,
    never,
    release,
    results_of,
    rule,
    said,
    suite,
)
from kdgov.auditing.crosswalk.general_purpose_fact import general_purpose
from kdgov.evidence.bundle_layout import (
    DECISION,
    DISTILLATION,
    EFFICIENCY,
    EVALUATION,
    FINDINGS,
    IDENTITY,
    ITEMS,
    LICENCE_ANSWER,
    LICENCE_CASE,
    PLAN,
    POLICY,
    RELEASE,
    in_run,
    of_role,
)
from kdgov.quantities import quantity


def facts_of(evidence: Evidence) -> dict[str, Fact]:
    """Every fact of the catalogue, in its order."""
    found = {}
    for key in FACTS:
        status, text, source = READERS[key](evidence)
        found[key] = Fact(key=key, status=status, text=text, source=source, digest=evidence.material.digest(source) if source else "")
    return found


def _uncertainty(e: Evidence) -> Answer:
    rows = results_of(e, kind="non_inferiority")
    full = [r for r in rows if r.get("bound") is not None and r.get("confidence") and r.get("n")]
    if rows and len(full) < len(rows):
        return "partly", f"{len(full)} of {len(rows)} comparisons carry bound, confidence and n.", DECISION
    return either(bool(full), f"All {len(full)} comparisons carry bound, confidence and n.", "No comparison is recorded.", DECISION)


def _assay(e: Evidence) -> Answer:
    rows = results_of(e, kind="non_inferiority")
    checked = [r for r in rows if r.get("assay") and "not checked" not in str(r["assay"])]
    if checked and len(checked) < len(rows):
        return "partly", f"Checked for {len(checked)} of {len(rows)} comparisons.", DECISION
    return either(bool(checked), f"Checked for all {len(checked)} comparisons.", "It was not checked.", DECISION)


def _efficiency(e: Evidence) -> Answer:
    if e.material.has(EFFICIENCY):
        return "shown", "Speed and size of both models were measured.", EFFICIENCY
    counts = {role: identity.get("parameters") for role, identity in e.material.identities.items()}
    told = f"Only sizes: {counts['teacher']} and {counts['student']} parameters."
    return ("partly", told, of_role("student", IDENTITY)) if all(counts.values()) else ("absent", "Nothing was measured.", "")


def _obligations(e: Evidence) -> Answer:
    answer = e.material.document(LICENCE_ANSWER)
    if not answer:
        return "absent", "No licence answer is part of the evidence.", ""
    duties = answer.get("obligations") or []
    unmet = [d for d in duties if d.get("met") is not True]
    told = f"{quantity(len(duties), 'obligation')}, {len(unmet)} not shown met."
    return ("partly" if unmet else "shown"), told, LICENCE_ANSWER


def _synthetic(e: Evidence) -> Answer:
    cards = cards_of(e, "dataset_card")
    records = [c for c in cards if c.get("generation") or any(isinstance(f, Mapping) and f.get("generation") for f in c.get("files") or [])]
    if records:
        return "shown", f"{len(records)} of {len(cards)} cards name what generated their data.", FINDINGS
    return ("partly", "No card speaks of generated data.", "") if cards else ("absent", "There is no card.", "")


def _withdrawal(e: Evidence) -> Answer:
    cards = cards_of(e, "dataset_card")
    records = [c["personal_data"] for c in cards if isinstance(c.get("personal_data"), Mapping)]
    if cards and all(c.get("personal_data") is False for c in cards):
        return "shown", "The cards say that no personal data is held.", FINDINGS
    able = [r for r in records if r.get("withdrawal_process")]
    return either(bool(able), f"{quantity(len(able), 'card says', 'cards say')} how people withdraw.", "No card says how people withdraw.")


def _architecture(e: Evidence) -> Answer:
    identity = e.material.identities["student"]
    size = f"{quantity(identity.get('parameters', 0), 'parameter')}, {quantity(identity.get('layers', '?'), 'layer')}"
    told = f"{identity.get('architecture', 'unknown architecture')}, {size}."
    return either(
        bool(identity.get("architecture") and identity.get("parameters")), told, "No identity is recorded.", of_role("student", IDENTITY)
    )


def _licence(e: Evidence) -> Answer:
    stated = (e.material.release.get("student") or {}).get("license")
    return either(bool(stated), f"{stated}.", "The student states no licence.", RELEASE)


def _intent(e: Evidence) -> Answer:
    intent = e.material.release.get("release") or {}
    told = f"Distribution {intent.get('distribution')}, {'commercial' if intent.get('commercial') else 'not commercial'}."
    return either(bool(intent), told, "No intent is recorded.", RELEASE)


def _versions(e: Evidence) -> Answer:
    versions = e.material.evaluations["student"].get("versions") or {}
    made = (e.material.distillation.get("environment") or {}).get("versions") or {}
    if versions and (made or not e.material.distillation):
        return "shown", ", ".join(f"{k} {v}" for k, v in sorted({**versions, **made}.items())), of_role("student", EVALUATION)
    return (
        ("partly", "Versions of one of training and evaluation are kept.", "")
        if versions or made
        else ("absent", "No versions are kept.", "")
    )


def _limits(e: Evidence) -> Answer:
    cards = [c for c in cards_of(e, "model_card") if said(c, "limitations") or said(c, "limits")]
    note = str(e.material.release.get("trade_offs") or "")
    if cards:
        return "shown", "A model card states limits.", FINDINGS
    return ("partly", "Only the trade-off note speaks of losses.", RELEASE) if note else ("absent", "No limits are stated.", "")


def _intended_use(e: Evidence) -> Answer:
    described = e.material.release.get("description")
    return either(bool(described), str(described)[:160], "The release does not say what the model is for.", RELEASE)


def _acts_logged(e: Evidence) -> Answer:
    if e.log.reason:
        return "absent", f"{e.log.reason[:1].upper()}{e.log.reason[1:]}.", ""
    is_whole = not any(f.area == "log" and f.standing == "violated" for f in e.findings)
    told = f"{quantity(len(e.log.entries), 'entry', 'entries')} in one chain."
    return either(is_whole, told, "The chain is broken.", otherwise="partly")


def _teacher_pinned(e: Evidence) -> Answer:
    digest = e.material.identities["teacher"].get("weights") or (e.material.decision.get("digests") or {}).get("teacher_weights")
    return either(bool(digest), f"{digest}.", "No digest of the teacher's weights is kept.", of_role("teacher", IDENTITY))


def _modalities(e: Evidence) -> Answer:
    kind = (e.material.release.get("student") or {}).get("kind")
    return either(bool(kind), f"Kind of model: {kind}.", "Not stated.", RELEASE, otherwise="absent")


def _licence_reasoned(e: Evidence) -> Answer:
    rows = findings_of(e, "licence")
    if e.material.document(LICENCE_CASE):
        return "shown", f"{quantity(len(rows), 'finding')} with clause and source; the case is kept and was reasoned again.", LICENCE_CASE
    return (
        ("partly", f"{quantity(len(rows), 'finding')}; the case itself is not kept.", FINDINGS)
        if rows
        else ("absent", "No finding speaks of licences.", "")
    )


READERS: dict[str, Callable[[Evidence], Answer]] = {
    "model.general_purpose": general_purpose,
    "output.marked": card_fields("model_card", "output_marking", "watermarking"),
    "inventory.version": lambda e: either(
        bool(e.shown.registered_at), f"Registered on {e.shown.registered_at}.", "No date of registration."
    ),
    "decision.sealed": lambda e: either(
        bool(e.material.decision), f"Verdict {e.material.decision.get('verdict')}.", "No decision.", DECISION
    ),
    "decision.rejudged": lambda e: either(
        is_verified(e, "decision", in_run(DECISION)), "The same result.", "Not the same, or not possible.", DECISION
    ),
    "decision.expiry": lambda e: either(
        bool(e.attested.predicate.get("expires")), f"Until {e.attested.predicate.get('expires')}.", "No end is stated."
    ),
    "policy.sealed": lambda e: either(
        bool(e.material.policy.get("criteria")), "With its margins.", "No policy is part of the evidence.", POLICY
    ),
    "plan.identical": lambda e: either(is_verified(e, "plan", "plan root"), "One root for both.", "Not shown.", PLAN),
    "items.recorded": lambda e: either(
        all(e.material.has(of_role(r, ITEMS)) for r in ("teacher", "student")),
        "For both models.",
        "A table is missing.",
        of_role("student", ITEMS),
    ),
    "findings.recorded": lambda e: either(
        bool(e.material.findings), f"{quantity(len(e.material.findings), 'finding')}.", "None is kept.", FINDINGS
    ),
    "suite.capability": suite("capability*"),
    "suite.safety": suite("safety*"),
    "suite.bias": suite("bias*"),
    "suite.privacy": suite("privacy*"),
    "groups.measured": lambda e: either(
        bool(results_of(e, group="?*")),
        f"{quantity(len(results_of(e, group='?*')), 'result')} by group.",
        "No criterion looks at groups.",
        DECISION,
    ),
    "efficiency.measured": _efficiency,
    "uncertainty.stated": _uncertainty,
    "assay.checked": _assay,
    "licence.reasoned": _licence_reasoned,
    "licence.obligations": _obligations,
    "lineage.recorded": lambda e: either(
        bool(e.material.cards or e.material.document(LICENCE_CASE)),
        f"{quantity(len(e.material.cards), 'card')}.",
        "No card or licence case is kept.",
        RELEASE,
    ),
    "teacher.pinned": _teacher_pinned,
    "teacher.card": lambda e: either(bool(cards_of(e, "model_card")), "A model card is part of the evidence.", "There is none.", RELEASE),
    "data.cards": lambda e: either(
        bool(cards_of(e, "dataset_card")), f"{len(cards_of(e, 'dataset_card'))} dataset cards.", "There is none.", RELEASE
    ),
    "data.digests": training.data_digests,
    "data.sizes": lambda e: either(
        bool(e.material.distillation.get("examples") or e.material.distillation.get("tokens")),
        "Examples and tokens are counted.",
        "Not counted.",
        DISTILLATION,
    ),
    "data.provenance": checked("provenance", "Checked."),
    "data.synthetic": _synthetic,
    "data.personal": checked("privacy", "Searched."),
    "data.withdrawal": _withdrawal,
    "data.contamination": checked("contamination", "Searched."),
    "data.duplicates": rule("contamination.near-duplicate*", "*.duplicate*"),
    "training.recipe": lambda e: either(
        bool(e.material.distillation.get("recipe") or e.material.release.get("distillation")),
        "Recipe and seed are kept.",
        "Trained elsewhere; nothing is kept.",
        RELEASE,
    ),
    "training.compute": training.compute,
    "training.energy": training.energy,
    "model.architecture": _architecture,
    "model.modalities": _modalities,
    "model.context": training.context,
    "model.intended_use": _intended_use,
    "model.acceptable_use": card_fields("model_card", "out_of_scope", "prohibited_use", "acceptable_use"),
    "model.limits": _limits,
    "model.licence": _licence,
    "release.intent": _intent,
    "release.date": lambda e: either(bool(e.shown.registered_at), f"{e.shown.registered_at}.", "Unknown."),
    "software.versions": _versions,
    "practice.roles": people.roles,
    "practice.informed": people.informed,
    "practice.trade_offs": release("trade_offs", "A note is written.", "No note is written."),
    "approvals.given": people.approvals,
    "waivers.bounded": people.waivers,
    "acts.logged": _acts_logged,
    "signature.valid": lambda e: either(e.attested.is_signed, f"Signed by {', '.join(e.attested.signers)}.", "No trusted signature."),
    "weights.sealed": lambda e: either(
        bool(e.attested.predicate.get("weights")), f"{e.attested.predicate.get('weights')}.", "No digest is signed."
    ),
    "weights.served": lambda e: either(is_verified(e, "weights"), "The same bytes.", "The weights were not read.", otherwise="absent"),
    "audit.redone": lambda e: ("shown", "By this report.", ""),
    "copyright.policy": never("No policy is part of the evidence."),
}
"""Fact → how it is read. A test binds these names to the catalogue's."""
