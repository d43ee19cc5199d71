"""Licence facts as data: what each licence says of each use, read once from the packaged YAML files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.license.catalogue.fact_release import DATA, facts_folder
from kdgov.license.catalogue.known_ids import KnownIds, read_known_ids
from kdgov.license.catalogue.names import parenthesised, plain, plain_keys, spellings
from kdgov.license.vocabulary import USE_GROUPS, Basis, Confidence, Distribution, ObligationKind, Trigger, Use, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """An obligation as a fact file states it."""

    kind: ObligationKind
    """What sort of duty."""
    value: str = ""
    """Its argument: the prefix of a name, the words to display, the limit of a threshold."""
    text: str = ""
    """What is to be done, in one sentence."""
    trigger: Trigger = "distribute"
    """Release intent from which it applies."""
    only: tuple[Distribution, ...] = ()
    """Distributions it applies to at all; empty for every one that the trigger reaches."""
    condition: str = ""
    """Fact that must hold besides, where the case may not tell; such a duty never blocks by itself."""
    met_by: tuple[ObligationKind, ...] = ()
    """Other duties of the same licence whose evidence meets this one too."""
    carried_by: tuple[str, ...] = ()
    """Licences whose outbound use fulfils the duty: share-alike and flow-down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one licence says of some uses under some facts."""

    uses: frozenset[Use]
    """Uses it speaks of."""
    when: Mapping[str, Any]
    """Facts that must all hold (`kdgov.license.reasoning.conditions`); empty for always."""
    verdict: Verdict
    """allow, needs_review or deny; obligations are added by the reasoner."""
    duties: tuple[Duty, ...]
    """Obligations that come with it."""
    basis: Basis
    """Whether the text says so, a reader infers it, or the policy chose it."""
    clause: str
    """Section of the text, or ``silent``."""
    says: str
    """Paraphrase, in our words."""
    source: str
    """Where the clause was read."""
    seen: str
    """Day it was read, ISO 8601."""
    confidence: Confidence
    """How well it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class License:
    """One licence or contract, with its rules."""

    id: str
    """SPDX id or LicenseRef."""
    name: str
    """Name as people know it."""
    family: str
    """Fact file it stands in."""
    aliases: tuple[str, ...]
    """Hub tags, scancode keys and other names that mean exactly this text."""
    licensor: tuple[str, ...]
    """Who grants it, by every name in use; empty for a licence anyone may use."""
    kind: str
    """generic, model, data or api."""
    traits: frozenset[str]
    """As an outbound licence: ``unrestricted`` carries no use limits, ``no_further_restrictions`` forbids adding any."""
    or_later: str
    """Id of the -or-later form; empty where there is none."""
    edition_of: str
    """What this and other ids are editions of, whose rules do not differ: a text of one is no conflict with another."""
    superseded_by: str
    """Id of the later edition that took its place; empty where it is the one in force."""
    bars: tuple[Rule, ...]
    """Rules that are all weighed: thresholds, territories, conflicts with the outbound licence."""
    rules: tuple[Rule, ...]
    """Rules of which the first that fits decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """Something known about one published model or dataset, whatever its tag says."""

    pattern: str
    """Regular expression over its name, case ignored."""
    made_by: tuple[Mapping[str, str], ...]
    """Upstreams that its card declares: use, license, name."""
    source: str
    """Where that was read."""
    seen: str
    """Day it was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All fact files together."""

    licenses: Mapping[str, License]
    """Licence id → licence."""
    names: Mapping[str, str]
    """Any name, lower case → licence id."""
    families: Mapping[str, str]
    """Family name, lower case → what it may stand for: never a licence."""
    members: Mapping[str, tuple[str, ...]]
    """Family name, lower case → ids of its editions, where their answers may be taken together."""
    exceptions: Mapping[str, str]
    """SPDX exception id, lower case → why it leaves the base licence's rules as they are."""
    artifacts: tuple[Artifact, ...] = ()
    """Known artifacts."""
    texts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Licence id → what identifies its text."""
    plain_names: Mapping[str, str] = field(default_factory=dict)
    """Plain key of a name (`names.plain`) → licence id, where only one licence has it."""
    known_ids: KnownIds = field(default_factory=KnownIds)
    """Published models and datasets with the licences they were ever given."""

    folder: Path = DATA
    """Folder they were read from."""
    digest: str = ""
    """Digest of the content of every fact file: what an answer rested on."""

    def find(self, name: str) -> License | None:
        """The licence that a name stands for; None where it is unknown or only a family."""
        found = next((entry for spelling in spellings(name) if (entry := self._by_spelling(spelling))), None)
        if found is None and "(" in name:
            outside, inside = parenthesised(name)
            whole = self.find(outside) if outside and "(" not in outside else None
            return whole if whole is not None and inside and all(self.find(part) is whole for part in inside) else None
        return self.licenses[found] if found else None

    def _by_spelling(self, spelling: str) -> str | None:
        found = self.names.get(spelling)
        if found is None and spelling.endswith("+"):
            base = self.names.get(spelling[:-1])
            found = self.licenses[base].or_later or None if base else None
        # A parenthesis or a plus that is no part of a known name may change what the rest means.
        if found is None and spelling not in self.families and not set("()+") & set(spelling):
            found = self.plain_names.get(plain(spelling))
        return found

    def family(self, name: str) -> str | None:
        """The family that a name stands for, as `families` spells it; None where it is none."""
        for spelling in spellings(name):
            for key in (spelling, plain(spelling), plain(spelling).replace(" ", "-")):
                if key in self.families:
                    return key
        return None


def documents(folder: Path = DATA) -> Iterator[tuple[str, Any]]:
    """File name and parsed content of every fact file, in the order of their names.

    Raises:
        InputError: if a file is not YAML.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted(folder.glob("*.yaml")):
        try:
            yield path.name, yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - a safe loader either way
        except yaml.YAMLError as error:
            raise InputError(f"is not valid YAML: {error}", where=str(path), mend="Correct the file at that line.") from error


@cache
def facts() -> Facts:
    """The facts in force, read once per process: a newer release that was taken over, else the shipped ones."""
    folder = facts_folder()
    return build(dict(documents(folder)), known_ids=read_known_ids(folder), folder=folder)


def build(content: Mapping[str, Any], *, known_ids: KnownIds | None = None, folder: Path = DATA) -> Facts:
    """Facts from parsed files; `kdgov.license.catalogue.fact_validation` says what is wrong with files that do not fit."""
    licenses: dict[str, License] = {}
    raw_by_id = {raw["id"]: raw for document in content.values() for raw in document.get("licenses", ())}
    families: dict[str, str] = {}
    members: dict[str, tuple[str, ...]] = {}
    exceptions: dict[str, str] = {}
    artifacts: list[Artifact] = []
    texts: dict[str, Mapping[str, Any]] = {}
    for file, document in content.items():
        for raw in document.get("licenses", ()):
            licenses[raw["id"]] = _license(raw, raw_by_id, file.removesuffix(".yaml"))
        families |= {str(name).lower(): text for name, text in (document.get("families") or {}).items()}
        members |= {str(name).lower(): tuple(ids) for name, ids in (document.get("members") or {}).items()}
        exceptions |= {str(name).lower(): text for name, text in (document.get("exceptions") or {}).items()}
        artifacts += [_artifact(raw) for raw in document.get("artifacts", ())]
        texts |= document.get("texts") or {}
    names = {alias.lower(): entry.id for entry in licenses.values() for alias in (entry.id, *entry.aliases)}
    for entry in licenses.values():
        names.setdefault(entry.name.lower(), entry.id)
    return Facts(
        licenses=licenses,
        names=names,
        families=families,
        members=members,
        exceptions=exceptions,
        artifacts=tuple(artifacts),
        texts=texts,
        folder=folder,
        plain_names=plain_keys(names),
        known_ids=known_ids or KnownIds(),
        digest=digest_bytes(repr((sorted(content.items(), key=lambda item: item[0]), known_ids)).encode()),
    )


def inherited(raw: Mapping[str, Any], raw_by_id: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A licence's raw entry with what ``like:`` takes over from another: everything it does not state itself."""
    base = raw_by_id.get(raw.get("like", ""))
    return {**inherited(base, raw_by_id), **raw} if base else dict(raw)


def _license(raw: Mapping[str, Any], raw_by_id: Mapping[str, Mapping[str, Any]], family: str) -> License:
    full = inherited(raw, raw_by_id)
    return License(
        id=raw["id"],
        name=raw["name"],
        family=family,
        aliases=tuple(str(alias) for alias in raw.get("aliases", ())),
        licensor=tuple(full.get("licensor", ())),
        kind=full["kind"],
        traits=frozenset(full.get("traits", ())),
        or_later=raw.get("or_later", ""),
        edition_of=raw.get("edition_of", ""),
        superseded_by=raw.get("superseded_by", ""),
        bars=tuple(_rule(rule, full) for rule in (*full.get("bars", ()), *full.get("more_bars", ()))),
        rules=tuple(_rule(rule, full) for rule in full["rules"]),
    )


def uses_of(words: list[str]) -> frozenset[Use]:
    """Uses behind a list of uses and `USE_GROUPS`."""
    found: set[Use] = set()
    for word in words:
        found.update(USE_GROUPS.get(word, (word,)))  # type: ignore[arg-type]
    return frozenset(found)


def _rule(raw: Mapping[str, Any], owner: Mapping[str, Any]) -> Rule:
    words = {"id": owner["id"], "name": owner["name"], **(owner.get("words") or {})}
    return Rule(
        uses=uses_of(raw["uses"]),
        when={key: _filled(value, words) for key, value in raw.get("when", {}).items()},
        verdict=raw["verdict"],
        duties=tuple(_duty(duty, words) for duty in raw.get("duties", ())),
        basis=raw["basis"],
        clause=_filled(raw["clause"], words),
        says=_filled(raw["says"], words),
        source=raw.get("source", owner.get("source", "")),
        seen=str(raw.get("seen", owner.get("seen", ""))),
        confidence=raw.get("confidence", owner.get("confidence", "")),
    )


def _duty(raw: Mapping[str, Any], words: Mapping[str, str]) -> Duty:
    return Duty(
        kind=raw["kind"],
        value=_filled(str(raw.get("value", "")), words),
        text=_filled(raw["text"], words),
        trigger=_filled(raw.get("trigger", "distribute"), words),
        only=tuple(raw.get("only", ())),
        condition=_filled(raw.get("condition", ""), words),
        met_by=tuple(raw.get("met_by", ())),
        carried_by=tuple(_filled(name, words) for name in raw.get("carried_by", ())),
    )


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    # Rules that several versions share name the version by a word of theirs: "{name}", "{released}".
    if isinstance(value, str):
        for key, word in words.items():
            value = value.replace("{" + key + "}", str(word))
        return value
    if isinstance(value, list):
        return [_filled(item, words) for item in value]
    if isinstance(value, Mapping):
        return {key: _filled(item, words) for key, item in value.items()}
    return value


def _artifact(raw: Mapping[str, Any]) -> Artifact:
    return Artifact(pattern=raw["pattern"], made_by=tuple(raw["made_by"]), source=raw["source"], seen=str(raw["seen"]))
