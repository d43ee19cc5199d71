"""The ruling on one use of one licence expression: rules, duties, separate licences, AND / OR / WITH."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from kdgov.license.answer import Obligation
from kdgov.license.catalogue.expression import NOT_STATED, Expression, One, Several
from kdgov.license.catalogue.facts import License, Rule
from kdgov.license.catalogue.known_ids import Kind
from kdgov.license.catalogue.names import near_names
from kdgov.license.reasoning.conditions import Situation, holds, is_contradicted
from kdgov.license.reasoning.family_answer import common_answer, editions_of
from kdgov.license.reasoning.obligations import SILENT_KINDS, applies, obligation
from kdgov.license.reasoning.ruling_words import Ruling, at_least_review
from kdgov.license.reasoning.separate_licence import missing_separate_licence, separate_fault
from kdgov.license.vocabulary import DATASET_USES, OUTPUT_USES, UNREAD, VERDICTS, Use, Verdict


def rule_on(expression: Expression, use: Use, situation: Situation, rivals: Mapping[str, list[str]]) -> Ruling:
    """The ruling on an expression: AND joins to the strictest, OR takes the mildest and records the choice."""
    if isinstance(expression, One):
        return _on_one(expression, use, situation, rivals)
    rulings = [rule_on(part, use, situation, rivals) for part in expression.parts]
    if expression.word == "AND":
        return joined(rulings)
    return _chosen(expression, rulings, situation)


def joined(rulings: Iterable[Ruling]) -> Ruling:
    """The strictest of several rulings, with the obligations of all."""
    every = list(rulings)
    decisive = max(every, key=lambda ruling: VERDICTS.index(ruling.verdict))
    obligations = unique(o for ruling in every for o in ruling.obligations)
    if decisive.verdict == "needs_review":
        # Whether these duties bind at all is the question under review: they hold the release with it, no more.
        obligations = unique(replace(o, is_contradicted=False) for o in obligations)
    return replace(
        decisive,
        obligations=obligations,
        resolved=tuple(dict.fromkeys(name for ruling in every for name in ruling.resolved)),
        chosen=", ".join(dict.fromkeys(ruling.chosen for ruling in every if ruling.chosen)),
    )


def unique(obligations: Iterable[Obligation]) -> tuple[Obligation, ...]:
    """Obligations without repetition, in order."""
    return tuple(dict.fromkeys(obligations))


def _chosen(expression: Several, rulings: list[Ruling], situation: Situation) -> Ruling:
    def weight(item: tuple[Expression, Ruling]) -> tuple[int, int, int]:
        ruling = item[1]
        contradicted = sum(o.is_contradicted for o in ruling.obligations)
        return VERDICTS.index(ruling.verdict), contradicted, sum(o.met is False for o in ruling.obligations)

    part, best = min(zip(expression.parts, rulings, strict=True), key=weight)
    record = Obligation(
        kind="RECORD",
        text=f"record the choice: choice={part}",
        trigger="internal",
        met=True,
        why="recorded in this answer",
        license=str(part),
        upstream=situation.upstream.name,
        value=f"choice={part}",
        clause=f"{expression}: the licensee chooses",
    )
    return replace(best, obligations=unique((*best.obligations, record)), chosen=str(part))


def _on_one(one: One, use: Use, situation: Situation, rivals: Mapping[str, list[str]]) -> Ruling:
    owner = situation.facts.find(one.name)
    if owner is None:
        return _lifted(_of_family(one, use, situation, rivals) or _missing(one, situation), None, one, situation)
    if one.exception and one.exception.lower() not in situation.facts.exceptions:
        return _unknown_exception(one, owner, situation)
    fitting = [(reading, rule) for reading in _readings(owner, use, situation) for rule in _fitting(owner, reading, situation)]
    ruling = joined(_from_rule(rule, owner, reading, situation, rivals) for reading, rule in fitting)
    is_tag_only = situation.case.choice("tag_only_evidence") == "review" and situation.upstream.license_text is None
    if is_tag_only and owner.kind == "model" and VERDICTS.index(ruling.verdict) < VERDICTS.index("needs_review"):
        ruling = replace(
            ruling,
            verdict="needs_review",
            clause="policy choice tag_only_evidence: review",
            reason="The licence is known by its tag alone, and the policy wants its text.",
            mend="Add license_text: the path of the licence file that came with it.",
        )
    ruling = _against_recipe(ruling, owner, use, situation)
    return _lifted(ruling, owner, one, situation)


def _of_family(one: One, use: Use, situation: Situation, rivals: Mapping[str, list[str]]) -> Ruling | None:
    family = situation.facts.family(one.name)
    if family is None or one.exception:
        return None
    editions = editions_of(family, situation.upstream.name, use, situation.facts)
    return common_answer(family, editions, lambda edition: _on_one(One(name=edition.id), use, situation, rivals), joined)


def _against_recipe(ruling: Ruling, owner: License, use: Use, situation: Situation) -> Ruling:
    """Held where a clause turns on likeness to the teacher, and the statement that there is none contradicts the recipe."""
    asks = [rule for rule in (*owner.bars, *owner.rules) if "similar" in rule.when and use in rule.uses]
    if not asks or not is_contradicted(situation.case.student):
        return ruling
    doubted = at_least_review(
        ruling,
        clause=f"{asks[0].clause} (student.similar_to_teacher: false, against the recipe)",
        reason=f"The student is said not to be meant to perform like its teacher, and its recipe distils from one. {asks[0].says}",
        source=asks[0].source,
        mend="Remove similar_to_teacher: false, or have a named person sign why a distilled student is not meant to resemble its teacher.",
    )
    # A denial of the duties' ground is a statement to be looked at, not a breach.
    return replace(doubted, verdict="needs_review", obligations=tuple(replace(o, is_contradicted=False) for o in doubted.obligations))


def _readings(owner: License, use: Use, situation: Situation) -> list[Use]:
    """The uses under which a licence is read: mostly the one, sometimes another besides."""
    is_generic = owner.kind == "generic"
    if use in {"dataset_eval", "dataset_publish"} and situation.taken not in DATASET_USES and is_generic:
        # Outputs of a model are not copies of it: a licence over copies says of them what it says of outputs.
        return ["generated_text"]
    if situation.case.release.distribution != "data":
        return [use]
    if situation.case.student.kind == "dataset" and (use in OUTPUT_USES or use == "dataset_train"):
        # What goes out is the data itself: no model is made, so clauses on models made from outputs are not reached.
        return ["dataset_publish"]
    if use == "dataset_train" or (use == "generated_text" and not is_generic):
        # What is learnt from and also handed out is published besides: both uses must stand.
        return [use, "dataset_publish"]
    return [use]


def _fitting(owner: License, use: Use, situation: Situation) -> list[Rule]:
    """The first rule that fits, and every bar."""
    bars = [rule for rule in owner.bars if use in rule.uses and holds(rule.when, situation)]
    decision = next((rule for rule in owner.rules if use in rule.uses and holds(rule.when, situation)), None)
    # Bars first: where both ask for something, the more particular clause is the one to name.
    return [*bars, decision or _no_rule(owner, use)]


def _from_rule(rule: Rule, owner: License, use: Use, situation: Situation, rivals: Mapping[str, list[str]]) -> Ruling:
    obligations = [
        obligation(duty, owner, situation, rule.clause, rivals.get(duty.kind, []))
        for duty in rule.duties
        if applies(duty, situation.case, use)
    ]
    verdict = rule.verdict
    # Share-alike is broken by the student's own licence, not by having none yet: that is for a person to settle first.
    awaits_outbound = verdict == "deny" and "outbound_lacks" in rule.when and situation.outbound is None
    if awaits_outbound:
        verdict = "needs_review"
    if verdict == "allow" and any(o.kind not in SILENT_KINDS and o.met is not None for o in obligations):
        verdict = "allow_with_obligations"
    if verdict == "deny":
        obligations.append(missing_separate_licence(owner, situation, rule.clause))
    if is_unread := rule.confidence == UNREAD and verdict != "needs_review":
        # What nobody read neither grants nor forbids; its duties are no breach until somebody reads them.
        verdict = "needs_review"
        obligations = [replace(o, is_contradicted=False) for o in obligations if o.kind != "SEPARATE_LICENCE"]
    return Ruling(
        verdict=verdict,
        clause=rule.clause,
        reason=f"From memory, not read: {rule.says}" if is_unread else rule.says,
        source=rule.source,
        confidence=rule.confidence,
        basis=rule.basis,
        mend=_READ_IT if is_unread else "State student.license." if awaits_outbound else _mend(rule, owner),
        obligations=tuple(obligations),
        resolved=(owner.id,),
    )


_READ_IT = "Read the text that came with the upstream and have a named person waive this review, or add its clauses to the fact files."


def _mend(rule: Rule, owner: License) -> str:
    who = owner.licensor[0] if owner.licensor else "the rights holder"
    if rule.verdict == "deny":
        return f"Take another upstream, change the facts the clause turns on, or enter evidence of a separate licence from {who}."
    if rule.verdict == "needs_review":
        names = sorted(rule.when.get("choice", {}))
        if names:
            return f"Let the policy decide ({', '.join(names)}), or have a named person waive this review."
        return "Declare the fact that is missing, or have a named person look and waive this review."
    return ""


def _no_rule(owner: License, use: Use) -> Rule:
    return Rule(
        uses=frozenset({use}),
        when={},
        verdict="needs_review",
        duties=(),
        basis="inferred",
        clause=f"no rule of {owner.id} speaks of {use}",
        says=f"The facts on {owner.name} do not speak of this use.",
        source=owner.rules[0].source if owner.rules else owner.id,
        seen="",
        confidence="recalled",
    )


def _missing(one: One, situation: Situation) -> Ruling:
    stance = situation.case.choice("missing")
    verdict: Verdict = "deny" if stance == "deny" else "needs_review"
    key = one.name.lower()
    source = "policy choice missing"
    if key in NOT_STATED:
        known = _known_under(situation)
        reason = f"No licence is stated ({one.name}), and no licence is not permission."
        mend = f"{known}Find the licence file and name its licence."
        source += f"; {known.strip()}" if known else ""
    elif (family := situation.facts.family(one.name)) is not None:
        reason = f"'{one.name}' names a family, not a licence: {situation.facts.families[family]}."
        mend = "Name the licence and its version, or give its file as license_text."
    else:
        reason = f"'{one.name}' is not a licence known here."
        near = near_names(one.name, situation.facts.names)
        meant = f"Did you mean {' or '.join(f'`{name}`' for name in near)}? " if near else ""
        mend = f"{meant}Correct the name, give its file as license_text, or add it to the fact files with its clauses."
    return Ruling(
        verdict=verdict,
        clause=f"policy choice missing: {stance} (no known licence, no clause)",
        reason=reason,
        source=source,
        confidence="seen",
        basis="policy-choice",
        mend=mend,
        resolved=(one.name,),
    )


def _known_under(situation: Situation) -> str:
    """What the fact files know of the upstream's name, as a start for whoever looks."""
    kind: Kind = "dataset" if situation.taken in DATASET_USES else "model"
    row = situation.facts.known_ids.find(situation.upstream.name, kind)
    names = [name for name in row.licenses if name.lower() not in NOT_STATED] if row is not None else []
    if row is None or not names:
        return ""
    return f"{situation.upstream.name} is known under {' or '.join(names[:3])} ({row.source}, {row.seen}): state it where that holds. "


def _unknown_exception(one: One, owner: License, situation: Situation) -> Ruling:
    missing = _missing(one, situation)
    return replace(
        missing,
        clause=f"{one}: the exception is not known",
        reason=f"What the exception '{one.exception}' changes in {owner.name} is not known here.",
        mend="Name the licence without the exception where that suffices, or add the pair to the fact files.",
        resolved=(owner.id,),
    )


def _lifted(ruling: Ruling, owner: License | None, one: One, situation: Situation) -> Ruling:
    """The ruling after a separate licence, which alone lifts an explicit deny."""
    if VERDICTS.index(ruling.verdict) < VERDICTS.index("needs_review"):
        return ruling
    for evidence in situation.case.evidence:
        if evidence.separate_license and separate_fault(evidence, owner, one.name, situation) is None:
            met = Obligation(
                kind="SEPARATE_LICENCE",
                text=f"keep to separate licence {evidence.separate_license} of {evidence.licensor}",
                trigger="internal",
                met=True,
                why=f"evidence: {evidence.separate_license}, until {evidence.expires}",
                license=owner.id if owner else one.name,
                upstream=situation.upstream.name,
                value=evidence.licensor,
                clause=ruling.clause,
            )
            kept = tuple(o for o in ruling.obligations if o.kind != "SEPARATE_LICENCE" and not o.is_contradicted)
            return replace(
                ruling,
                verdict="allow_with_obligations",
                reason=f"{ruling.reason} Separate licence {evidence.separate_license} of {evidence.licensor} grants it.",
                mend="",
                obligations=(*kept, met),
            )
    return ruling
