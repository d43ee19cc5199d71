"""Does a signed statement follow from the evidence beside it? The one answer that guard, promote, verify, load_model and audit share.

Nothing is believed that can be derived: the bundle is hashed, its decision is judged again from the item tables by the sealed policy, and
waivers and approvals are settled by the trust store of whoever asks. What cannot be derived (that the tables came from the model) is
covered by the signature of the evaluation, and the answer says where there is none.

Pure but for reading the folder, which must be one that nobody else can write: callers hand in a copy of their own.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdgov import __version__
from kdgov.checkpoints.model_files import model_digest
from kdgov.decision.decision import Decision
from kdgov.digest import digest_file, digest_json
from kdgov.errors import InputError
from kdgov.evidence.bundle import bundle_digest, compare_bundle
from kdgov.evidence.bundle_layout import DECISION, EVALUATION, IDENTITY, PAIR, PLAN, RELEASE, STATEMENTS, of_role
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.evidence.derivation.decision_difference import decision_differences
from kdgov.evidence.derivation.evaluation_statement import EvaluationStanding, evaluation_standing
from kdgov.evidence.derivation.owner_rules import OwnerRules
from kdgov.evidence.rejudge import DECIDE_AGAIN, other_judge, rejudge
from kdgov.evidence.release_statement import Refusal
from kdgov.evidence.trust_store import TrustStore

OTHER_JUDGE = "judged-otherwise"
"""Criterion of a decision that other code made, by its own word, and that does not follow by today's."""
_RECORD = "Record the release again from the evidence as it is."


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, and what that one believes."""

    trust: TrustStore
    """Whose signatures count."""
    received: datetime.datetime
    """When the registry received the statement, with a zone: now for a new one."""
    at: datetime.datetime
    """Now, with a zone: waivers must not have ended."""
    signers: tuple[str, ...] = ()
    """Identifiers of the keys under the statement."""
    rules: OwnerRules = field(default_factory=OwnerRules)
    """What the registry's owner signed: policies that count, the layout of signatures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """What became of deriving a statement from its evidence."""

    refusals: tuple[Refusal, ...] = ()
    """What does not follow; empty where everything does."""
    ruled_out: tuple[Refusal, ...] = ()
    """What the owner's rules hold against a promotion of what does follow."""
    standing: tuple[str, ...] = ()
    """What a pass rests on beside the evidence, or lacks: to be shown wherever the verdict is."""
    verdict: str = "invalid"
    """The verdict that follows from the evidence."""

    @property
    def against_promotion(self) -> tuple[Refusal, ...]:
        """Everything that stands against a guarded alias, but for a verdict that is honestly no pass."""
        return (*self.refusals, *self.ruled_out)

    @property
    def is_derived_pass(self) -> bool:
        """Whether the statement follows, the verdict is a pass, and no rule of the owner stands against it."""
        return not self.against_promotion and self.verdict == "pass"


def derive(folder: Path, predicate: Mapping[str, Any], asker: Asker) -> Derivation:
    """Whether the words of a release statement follow from a bundle.

    Args:
        folder: the bundle; a copy that nobody else can write.
        predicate: of the verified statement.
        asker: who asks.
    """
    try:
        if fault := seal_fault(folder, predicate):
            return Derivation(refusals=(_refusal("evidence", fault, "Record the release again; the evidence is never edited."),))
        decision, _ = rejudge(folder, asker.trust, received=asker.received)
    except InputError as error:
        place = Path(error.where)
        criterion = "permission" if place.parent.name == STATEMENTS else "decision"
        told = f"the decision cannot be judged again: {place.name} {error.what}"
        return Derivation(refusals=(_refusal(criterion, told, error.mend),))
    except (OSError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        told = f"the evidence is not of the shape that the gate writes ({type(error).__name__})"
        return Derivation(refusals=(_refusal("evidence", told, _RECORD),))
    try:
        bundle = BundleReader(folder)
        asked_in_part = tuple(_asked_in_part(bundle))
        evaluated = evaluation_standing(bundle, asker.trust, received=asker.received)
        faults = [
            *_decision_faults(bundle, decision, predicate),
            *_model_faults(bundle, predicate),
            *_plan_faults(bundle, decision),
            *_permission_faults(decision, asker),
            *(_refusal("evaluation", fault, evaluated.mend) for fault in evaluated.faults),
        ]
    except InputError as error:
        return Derivation(refusals=(_refusal("evidence", f"{Path(error.where).name} {error.what}".strip(), error.mend),))
    except (OSError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        told = f"the evidence is not of the shape that the gate writes ({type(error).__name__})"
        return Derivation(refusals=(_refusal("evidence", told, _RECORD),))
    ruled = _ruled(decision, predicate, asker, evaluated)
    ruled["ruled_out"] = (*asked_in_part, *ruled["ruled_out"])
    return Derivation(refusals=tuple(faults), verdict=decision.verdict, **ruled)


def seal_fault(folder: Path, predicate: Mapping[str, Any]) -> str:
    """Why a folder is not the bundle that was signed, every file of it hashed; empty when it is."""
    difference = compare_bundle(folder)
    if difference:
        return str(difference)
    if bundle_digest(folder) != predicate["bundle"]:
        return "the evidence's manifest is not the one that was signed"
    return "" if digest_file(folder / DECISION) == predicate["decision"] else "the evidence holds another decision than was signed"


def question_of(predicate: Mapping[str, Any], asker: Asker) -> str:
    """Digest of everything that a derivation depends on, given that the folder is the bundle the statement names (`seal_fault`)."""
    again = asker.rules.replayed(str(predicate.get("decision")))
    believed = [asker.trust.model_dump(mode="json", by_alias=True), asker.rules.digest, again, list(asker.signers)]
    return digest_json([dict(predicate), believed, asker.received.isoformat(), asker.at.astimezone(datetime.UTC).date().isoformat()])


class RememberedDerivations:
    """Derivations by what they depend on: the same bytes need no second judgement."""

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._known: dict[str, Derivation] = {}

    def of(self, question: str, find: Callable[[], Derivation]) -> Derivation:
        """The answer to a question, found once."""
        if question not in self._known:
            if len(self._known) >= self._limit:
                self._known.clear()
            self._known[question] = find()
        return self._known[question]


def _ruled(decision: Decision, predicate: Mapping[str, Any], asker: Asker, evaluated: EvaluationStanding) -> dict[str, Any]:
    """What the owner's rules say, and what the standing is to tell."""
    model = str(predicate.get("name"))
    told = [*evaluated.standing, *asker.rules.standing(model=model, policy=decision.policy)]
    if asker.trust.separation == "off":
        told.append("separation is off in the trust store: whoever signed the decision may also have approved or waived it")
    signed = {**evaluated.signers, "decision": asker.signers, **_permission_signers(decision)}
    ruled = asker.rules.refusals(model=model, policy=decision.policy, signed=signed, decision=str(predicate["decision"]))
    return {"ruled_out": tuple(ruled), "standing": tuple(told)}


def _decision_faults(bundle: BundleReader, again: Decision, predicate: Mapping[str, Any]) -> Iterator[Refusal]:
    """The sealed decision and the statement, each against the decision made again."""
    if again.canonical != (bundle.folder / DECISION).read_bytes():
        for told in decision_differences(bundle.decision, json.loads(again.canonical)):
            if other := other_judge(bundle):
                told = f"recorded by {other}; kdgov {__version__} judges the same evidence otherwise: {told}"
                yield _refusal(OTHER_JUDGE, told, DECIDE_AGAIN)
                break
            yield _refusal("decision", f"the sealed decision does not follow from its evidence: {told}", "Do not rely on it. " + _RECORD)
            break
    if predicate.get("verdict") != again.verdict:
        told = f"the statement says {predicate.get('verdict')}; judged again from the evidence it is {again.verdict}: {again.reason}"
        yield _refusal("verdict", told, "Train or evaluate again, then judge and record the new student.")
    stated = dict(predicate.get("policy") or {})
    if stated != dict(again.policy):
        told = f"the statement names policy {stated.get('name')} ({str(stated.get('digest'))[:19]}…), the evidence was judged by "
        told += f"{again.policy['name']} ({again.policy['digest'][:19]}…)"
        yield _refusal("policy", told, _RECORD)
    subject = str(again.subject.get("release", ""))
    for name, where in ((subject, "the decision"), (str(bundle.release.get("name", subject)), RELEASE)):
        if name != predicate.get("name"):
            told = f"the evidence is about {name or 'no named release'} ({where}), and this is {predicate.get('name')}"
            yield _refusal("subject", told, "Record the release under its own name.")
            return
    for tag, key in (("kdgov.verdict", again.verdict.upper()), ("kdgov.decision", predicate["decision"])):
        if dict(predicate.get("tags") or {}).get(tag) != key:
            yield _refusal("tags", f"the statement's tag {tag} is not {key}", _RECORD)


def _model_faults(bundle: BundleReader, predicate: Mapping[str, Any]) -> Iterator[Refusal]:
    """Identity, evaluation and decision must name the model of the statement."""
    identity, evaluated = bundle.identities["student"], bundle.evaluations["student"].get("model")
    evaluated = evaluated if isinstance(evaluated, Mapping) else {}
    digests = dict(bundle.decision.get("digests") or {})
    for part in ("weights", "model"):
        named = {
            of_role("student", IDENTITY): identity.get(part),
            of_role("student", EVALUATION): evaluated.get(part),
            DECISION: digests.get(f"student_{part}"),
        }
        for place, digest in named.items():
            if digest != predicate[part]:
                found = f"{str(digest)[:19]}…" if digest else "none"
                told = f"the {part} of the statement ({predicate[part][:19]}…) was not evaluated: {place} names {found}"
                yield _refusal(part, told, "Record the model that was evaluated, or evaluate this one.")
                break
    files = predicate.get("model_files")
    if not isinstance(files, Mapping) or (files and model_digest({str(k): str(v) for k, v in files.items()}) != predicate["model"]):
        yield _refusal("model", "the files that the statement lists are not those of its model digest", _RECORD)


def _plan_faults(bundle: BundleReader, again: Decision) -> Iterator[Refusal]:
    roots = {PLAN: bundle.plan.get("root"), DECISION: again.digests.get("plan")}
    roots |= {of_role(role, EVALUATION): bundle.evaluations[role].get("plan") for role in ("teacher", "student")}
    if len(set(roots.values())) != 1 or not roots[PLAN]:
        told = "; ".join(f"{place} says {str(root)[:19]}…" if root else f"{place} names none" for place, root in roots.items())
        yield _refusal("plan", f"teacher and student did not answer one plan: {told}", "Evaluate both on one plan.")


def _asked_in_part(bundle: BundleReader) -> Iterator[Refusal]:
    """A limit makes a look of an evaluation: whoever may choose how much is asked may choose what passes."""
    for role in PAIR:
        for task in bundle.evaluations[role].get("tasks", ()):
            if int(task.get("items") or 0) < int(task.get("of_suite") or 0):
                told = f"only {task['items']:,} of {task['of_suite']:,} items of {task['suite']}/{task['task']} were asked, by a limit"
                yield _refusal("limited", told, "Evaluate all of them: leave `evaluation.limit` (`--limit`) out.")
                return


def _permission_signers(decision: Decision) -> dict[str, tuple[str, ...]]:
    return {
        "waiver": tuple(key for waiver in decision.waivers for key in _keys(waiver) if waiver.get("state") == "applied"),
        "approval": tuple(key for approval in decision.approvals for key in _keys(approval) if approval.get("state") == "given"),
    }


def _permission_faults(decision: Decision, asker: Asker) -> Iterator[Refusal]:
    """Waivers that have ended since, and statements by whoever signed the decision."""
    for waiver in decision.waivers:
        if waiver.get("state") == "applied" and not _lasts(str(waiver.get("expires")), asker.at):
            yield _refusal("permission", f"the waiver of {waiver['criterion']} ended on {waiver['expires']}", "Judge again without it.")
    if asker.trust.separation == "off":
        return
    holders = {_holder(key, asker.trust) for key in asker.signers}
    for kind, keys in _permission_signers(decision).items():
        for key in keys:
            if _holder(key, asker.trust) in holders:
                told = f"{_holder(key, asker.trust)} signed the decision and its {kind}"
                told += ": whoever signs a decision neither approves nor waives it"
                yield _refusal("separation", told, f"Let another key sign the {kind} or the decision.")
                return


def _holder(keyid: str, trust: TrustStore) -> str:
    key = trust.key(keyid)
    return key.name if key is not None else keyid


def _keys(statement: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(part.strip() for part in str(statement.get("signer", "")).split(",") if part.strip())


def _lasts(day: str, at: datetime.datetime) -> bool:
    try:
        return datetime.date.fromisoformat(str(day)[:10]) >= at.astimezone(datetime.UTC).date()
    except ValueError:
        return False


def _refusal(criterion: str, reason: str, mend: str) -> Refusal:
    return Refusal(criterion=criterion, reason=reason.rstrip("."), mend=mend)
