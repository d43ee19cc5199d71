"""What the owner of a registry signs: which policies count for which models, and who must have signed what before a promotion.

Two files lie beside the trust store, each an envelope signed for the purpose ``policy``:

====================== ==============================================================================================
``policies.dsse.json`` policy digests, each with patterns of model names (`kdgov registry policy allow`)
``layout.dsse.json``   per pattern of model names: purposes that must be signed, by which keys, how many
                       (`kdgov registry layout`), in the manner of an in-toto layout
====================== ==============================================================================================

A file that lies there and does not count refuses every promotion: a broken rule is no absent rule. Without a list of policies those that
come with kdgov count, and no other; the standing says which kind it is. Whoever asks a guarded registry and has no list of their own goes
by the one its guard shows, as far as their own trust store knows the key under it.
"""

from __future__ import annotations

import datetime
import fnmatch
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field
from securesystemslib.signer import Signer  # type: ignore[attr-defined]

from kdgov.declarations.load import Declared, validate
from kdgov.declarations.policy_file import decides_releases, load_policy
from kdgov.digest import digest_json, write_atomic
from kdgov.errors import KdgovError
from kdgov.evidence.derivation.replay_statement import replayed
from kdgov.evidence.release_statement import Refusal
from kdgov.evidence.signing import LAYOUT_PREDICATE, POLICIES_PREDICATE, sign_statement, statement, verify_statement
from kdgov.evidence.trust_store import Purpose, TrustStore
from kdgov.resources import data_folder
from kdgov.safe_parse import json_file, json_value

_Words = TypeVar("_Words", bound=Declared)
NO_LIST = "policy-list"
"""Criterion of a policy that nobody listed: on a guarded registry the guard's own list says so too."""
POLICIES_FILE, LAYOUT_FILE = "policies.dsse.json", "layout.dsse.json"
_MOST_SHOWN = 1_000_000


class AllowedPolicy(Declared):
    """One policy and the models it counts for."""

    name: str
    """Its name."""
    version: str
    """Its version."""
    digest: str
    """Its digest: what counts."""
    models: list[str] = Field(min_length=1)
    """Shell patterns of registered models."""


class PolicyList(Declared):
    """Every policy that counts."""

    number: int = Field(default=1, ge=1)
    """Counted up with every change."""
    allow: list[AllowedPolicy] = Field(default_factory=list)
    """What counts; nothing else does."""


class Demand(Declared):
    """Signatures of one purpose."""

    keys: list[str] = Field(default_factory=list)
    """Names or identifiers of keys that count; empty: every key trusted for the purpose."""
    threshold: int = Field(default=1, ge=1)
    """How many different ones."""


class LayoutRule(Declared):
    """What must be signed before versions of some models are promoted."""

    models: list[str] = Field(min_length=1)
    """Shell patterns of registered models."""
    signatures: dict[Purpose, Demand] = Field(default_factory=dict)
    """Purpose → who and how many."""
    replay: int = Field(default=0, ge=0)
    """Items per task that somebody must have asked the recorded model again (`kdgov audit --replay N --attest`); 0: none."""


class Layout(Declared):
    """Every rule; all that match a model's name hold together."""

    number: int = Field(default=1, ge=1)
    """Counted up with every change."""
    rules: list[LayoutRule] = Field(default_factory=list)
    """In the order they were written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerRules:
    """The owner's signed words, as far as there are any."""

    policies: PolicyList | None = None
    """Policies that count; None: no list was signed."""
    layout: Layout | None = None
    """Signatures that are demanded; None: none are."""
    faults: tuple[str, ...] = ()
    """Files that lie there and do not count."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Identifier → name of every key of the trust store."""
    replayed: Callable[[str], int] = field(default=lambda _decision: 0)
    """Decision → items per task that somebody trusted asked again."""
    shown_fault: str = ""
    """Why the list that the registry's guard shows does not count here; empty where it shows none, or it counts."""

    @property
    def digest(self) -> str:
        """Names this state of the rules."""
        parts = [None if part is None else part.model_dump(mode="json") for part in (self.policies, self.layout)]
        return digest_json([*parts, list(self.faults), dict(self.names)])

    def refusals(self, *, model: str, policy: Mapping[str, str], signed: Mapping[str, Sequence[str]], decision: str = "") -> list[Refusal]:
        """What the rules say against a promotion.

        Args:
            model: registered model.
            policy: name, version and digest of the policy that judged.
            signed: purpose → identifiers of the keys that signed and count.
            decision: digest of the decision, by which replays are named.
        """
        found = [Refusal(criterion="policy", reason=fault, mend="Let the owner sign it again.") for fault in self.faults]
        if (unlisted := self._unlisted(model, policy)) is not None:
            found.append(unlisted)
        for rule in self.layout.rules if self.layout is not None else []:
            if _matches(model, rule.models):
                found += [r for purpose, demand in rule.signatures.items() if (r := self._lacking(purpose, demand, signed)) is not None]
                found += _unreplayed(rule.replay, self.replayed(decision) if rule.replay else 0)
        return found

    def standing(self, *, model: str, policy: Mapping[str, str]) -> list[str]:
        """What a pass lacks or rests on, for whoever reads it."""
        if self.policies is not None:
            return []
        match shipped_policies().get(policy["digest"]):
            case True:
                counts = "a shipped policy, counts"
            case False:
                counts = "a shipped policy that judges a part of a release or one claim alone, counts"
            case None:
                counts = "not a shipped policy, does not count"
        return [f"no list of policies is signed by the registry's owner: {policy['name']} {policy['version']}, {counts} for {model}"]

    def _unlisted(self, model: str, policy: Mapping[str, str]) -> Refusal | None:
        """Why a policy does not count for a model; None where it does."""
        told = f"policy {policy['name']} {policy['version']} ({policy['digest'][:19]}…) does not count for {model}: "
        allow = f"kdgov registry policy allow POLICY --models {model!r}"
        if self.policies is not None:
            if any(a.digest == policy["digest"] and _matches(model, a.models) for a in self.policies.allow):
                return None
            mend = f"Judge by a policy of the list, or let the owner sign: {allow}."
            return Refusal(criterion="policy", reason=f"{told}the owner's list lacks it", mend=mend)
        if policy["digest"] in shipped_policies():
            return None
        told += "it does not come with kdgov, and no list of the registry's owner allows it"
        mend = f"Judge by a shipped policy, or let the owner sign the list: {allow}."
        if self.shown_fault:
            told, mend = f"{told} ({self.shown_fault})", "Trust the owner's key: kdgov keys trust OWNER.pub --for policy."
        return Refusal(criterion=NO_LIST, reason=told, mend=mend)

    def _lacking(self, purpose: str, demand: Demand, signed: Mapping[str, Sequence[str]]) -> Refusal | None:
        keys = {key for key in signed.get(purpose, ()) if not demand.keys or key in demand.keys or self.names.get(key) in demand.keys}
        if len(keys) >= demand.threshold:
            return None
        whose = f" of {', '.join(demand.keys)}" if demand.keys else ""
        word = "evaluation unsigned" if purpose == "evaluation" else f"{purpose} not signed as demanded"
        told = f"{word}: the registry's layout demands {demand.threshold} {purpose} signature(s){whose}, and {len(keys)} count"
        return Refusal(criterion="layout", reason=told, mend=f"Have it signed with a key trusted for the purpose {purpose}.")


def load_owner_rules(trust_file: Path, trust: TrustStore, *, at: datetime.datetime, shown: str = "") -> OwnerRules:
    """The rules that lie beside a trust store.

    Args:
        trust_file: the trust store's file.
        trust: its content: whose signatures count for the purpose ``policy``.
        at: now, with a zone.
        shown: signed list of policies that the registry's guard shows, as text; read where none lies here.
    """
    faults: list[str] = []
    elsewhere: list[str] = []
    policies = _read(trust_file.parent / POLICIES_FILE, POLICIES_PREDICATE, PolicyList, trust, at, faults)
    layout = _read(trust_file.parent / LAYOUT_FILE, LAYOUT_PREDICATE, Layout, trust, at, faults)
    if policies is None and shown and not faults:
        policies = _words_of(
            lambda: json_value(shown, where=POLICIES_FILE), POLICIES_FILE, POLICIES_PREDICATE, PolicyList, trust, at, elsewhere
        )
    names = {key.keyid: key.name for key in trust.keys}
    again = partial(replayed, trust_file, trust, at=at)
    return OwnerRules(policies=policies, layout=layout, faults=tuple(faults), names=names, replayed=again, shown_fault="; ".join(elsewhere))


def shown_policies(trust_file: Path) -> str:
    """The signed list of policies beside a trust store as a guard shows it; empty where there is none."""
    path = trust_file.parent / POLICIES_FILE
    try:
        return path.read_text(encoding="utf-8") if path.stat().st_size <= _MOST_SHOWN else ""
    except (OSError, ValueError):
        return ""


def _unreplayed(wanted: int, found: int) -> list[Refusal]:
    if found >= wanted:
        return []
    told = f"the registry's layout demands that {wanted} items per task are asked again, and {found} were"
    mend = f"Have somebody else run: kdgov audit MODEL VERSION --replay {wanted} --attest, with a key trusted for evaluations."
    return [Refusal(criterion="layout", reason=told, mend=mend)]


def write_policies(trust_file: Path, listed: PolicyList, signers: Sequence[Signer], *, at: datetime.datetime) -> Path:
    """Sign the list of policies and put it beside a trust store; the file written."""
    return _write(trust_file.parent / POLICIES_FILE, POLICIES_PREDICATE, listed, signers, at)


def write_layout(trust_file: Path, layout: Layout, signers: Sequence[Signer], *, at: datetime.datetime) -> Path:
    """Sign the layout and put it beside a trust store; the file written."""
    return _write(trust_file.parent / LAYOUT_FILE, LAYOUT_PREDICATE, layout, signers, at)


@lru_cache(maxsize=1)
def shipped_policies() -> Mapping[str, bool]:
    """Digest of every policy that comes with kdgov → whether it states that it decides releases on its own."""
    return {load_policy(path).digest: decides_releases(path) for path in sorted(data_folder("policies").glob("*.yaml"))}


def _read(path: Path, kind: str, model: type[_Words], trust: TrustStore, at: datetime.datetime, faults: list[str]) -> _Words | None:
    return _words_of(lambda: json_file(path), path.name, kind, model, trust, at, faults) if path.exists() else None


def _words_of(
    read: Callable[[], Any], name: str, kind: str, model: type[_Words], trust: TrustStore, at: datetime.datetime, faults: list[str]
) -> _Words | None:
    try:
        envelope = read()
        answer = verify_statement(envelope, trust, purpose="policy", at=at, predicate_type=kind)
        if answer.is_valid:
            words = {key: value for key, value in answer.predicate.items() if key != "signed_at"}
            return validate(words, model, file=name)
        faults.append(f"{name}, which the registry's owner signs, does not count: {answer.reason}")
    except (KdgovError, OSError, ValueError, TypeError, AttributeError) as error:
        told = error.what if isinstance(error, KdgovError) else type(error).__name__
        faults.append(f"{name}, which the registry's owner signs, cannot be read: {told}")
    return None


def _write(path: Path, kind: str, words: Declared, signers: Sequence[Signer], at: datetime.datetime) -> Path:
    predicate: dict[str, Any] = words.model_dump(mode="json")
    body = statement(kind, predicate, subjects={path.name: digest_json(predicate)})
    write_atomic(path, (json.dumps(sign_statement(body, signers, at=at), indent=1, sort_keys=True) + "\n").encode())
    return path


def _matches(model: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(model, pattern) for pattern in patterns)
