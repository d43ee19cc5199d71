"""What is wrong with fact files: a rule without clause, source, date or confidence is no fact."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from kdgov.errors import Fault
from kdgov.license.case.case import CHOICE_VALUES
from kdgov.license.case.values import kind_of
from kdgov.license.catalogue.facts import inherited
from kdgov.license.reasoning.conditions import CONDITIONS
from kdgov.license.vocabulary import BASES, CONFIDENCES, DISTRIBUTIONS, OBLIGATION_KINDS, TRIGGERS, USE_GROUPS, USES

_TOP = ("family", "licenses", "families", "members", "exceptions", "artifacts", "texts", "blocks")
_LICENSE = (
    "id", "name", "aliases", "licensor", "kind", "traits", "or_later", "edition_of", "superseded_by", "words", "source", "seen",
    "confidence", "like", "bars", "more_bars", "rules",
)  # fmt: skip
_TEXTS = ("id", "name", "aliases", "licensor", "or_later", "edition_of", "superseded_by", "source", "like")
_RULE = ("uses", "when", "verdict", "duties", "basis", "clause", "says", "source", "seen", "confidence")
_DUTY = ("kind", "value", "text", "trigger", "only", "condition", "met_by", "carried_by")
_KINDS = ("generic", "model", "data", "api")
_VERDICTS = ("allow", "needs_review", "deny")


def fact_faults(content: Mapping[str, Any]) -> list[Fault]:
    """Every fault of parsed fact files, in their order; none for files that may be shipped."""
    raw_by_id = {raw.get("id"): raw for document in content.values() for raw in (document or {}).get("licenses", ())}
    faults: list[Fault] = []
    for file, document in content.items():
        if not isinstance(document, Mapping):
            faults.append(_fault(file, "", "holds no mapping", "Start it with `family:` and `licenses:`."))
            continue
        faults += _unknown(file, "", document, _TOP)
        faults += _not_text(file, "families", document.get("families") or {})
        faults += _not_text(file, "exceptions", document.get("exceptions") or {})
        faults += _member_faults(file, document, raw_by_id)
        for index, raw in enumerate(document.get("artifacts", ())):
            faults += _not_text(file, f"artifacts[{index}]", raw, ("pattern", "source"))
            for number, upstream in enumerate(raw.get("made_by", ())):
                faults += _not_text(file, f"artifacts[{index}].made_by[{number}]", upstream)
        for raw in document.get("licenses", ()):
            faults += _license_faults(file, raw, raw_by_id)
    return [*faults, *_repeated(content)]


def _member_faults(file: str, document: Mapping[str, Any], raw_by_id: Mapping[Any, Any]) -> Iterator[Fault]:
    families = document.get("families") or {}
    for name, ids in (document.get("members") or {}).items():
        if name not in families:
            yield _fault(file, f"members.{name}", "is not a family of this file", "Say under `families` what the name stands for.")
        for one in ids:
            if one not in raw_by_id:
                yield _fault(file, f"members.{name}", f"names {one!r}, which no file defines", "Name licences by their ids.")


def _fault(file: str, key: str, what: str, mend: str) -> Fault:
    return Fault(file=file, key=key, what=what, mend=mend)


def _unknown(file: str, key: str, raw: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[Fault]:
    for name in raw:
        if name not in known:
            yield _fault(file, f"{key}.{name}".strip("."), "is not a known key", f"Known keys here: {', '.join(known)}.")


def _not_text(file: str, key: str, raw: Mapping[str, Any], names: Sequence[str] | None = None) -> Iterator[Fault]:
    """Values that YAML read as something else than text: clause 4.2 is a number, and 4.10 would come out as 4.1."""
    for name in raw if names is None else names:
        for value in raw[name] if isinstance(raw.get(name), list) else [raw.get(name)]:
            if value is not None and not isinstance(value, str):
                yield _fault(file, f"{key}.{name}", f"{value!r} is {kind_of(value)}, not text", "Write it in quotes.")


def _license_faults(file: str, raw: Mapping[str, Any], raw_by_id: Mapping[Any, Mapping[str, Any]]) -> Iterator[Fault]:
    name = str(raw.get("id", "?"))
    yield from _unknown(file, name, raw, _LICENSE)
    yield from _not_text(
        file, name, raw, ("id", "name", "aliases", "licensor", "or_later", "edition_of", "superseded_by", "source", "like")
    )
    yield from _not_text(file, f"{name}.words", raw.get("words") or {})
    if raw.get("like") and raw["like"] not in raw_by_id:
        yield _fault(file, f"{name}.like", f"names {raw['like']!r}, which no file defines", "Name a licence by its id.")
        return
    full = inherited(raw, raw_by_id)  # type: ignore[arg-type]
    for key in ("id", "name", "kind", "rules"):
        if not full.get(key):
            yield _fault(file, f"{name}.{key}", "is missing", "Every licence has an id, a name, a kind and rules.")
    if full.get("kind") not in _KINDS:
        yield _fault(file, f"{name}.kind", f"{full.get('kind')!r} is not known", f"Write one of {', '.join(_KINDS)}.")
    if full.get("or_later") and full["or_later"] not in raw_by_id:
        yield _fault(file, f"{name}.or_later", f"names {full['or_later']!r}, which no file defines", "Name a licence by its id.")
    if raw.get("superseded_by") and raw["superseded_by"] not in raw_by_id:
        yield _fault(file, f"{name}.superseded_by", f"names {raw['superseded_by']!r}, which no file defines", "Name a licence by its id.")
    for part in ("bars", "more_bars", "rules"):
        for index, rule in enumerate(full.get(part, ())):
            yield from _rule_faults(file, f"{name}.{part}[{index}]", rule, full)


def _rule_faults(file: str, key: str, rule: Mapping[str, Any], owner: Mapping[str, Any]) -> Iterator[Fault]:
    yield from _unknown(file, key, rule, _RULE)
    yield from _not_text(file, key, rule, ("clause", "says", "source"))
    for name in ("clause", "says"):
        if not str(rule.get(name, "")).strip():
            yield _fault(file, f"{key}.{name}", "is missing", "Every rule names its clause and says it in our words.")
    for name in ("source", "seen", "confidence"):
        if not rule.get(name, owner.get(name)):
            yield _fault(file, f"{key}.{name}", "is missing", "Every rule, or its licence, says where and when it was read and how well.")
    yield from _closed(file, f"{key}.uses", rule.get("uses", ["(none)"]), (*USES, *USE_GROUPS))
    yield from _closed(file, f"{key}.verdict", [rule.get("verdict")], _VERDICTS)
    yield from _closed(file, f"{key}.basis", [rule.get("basis")], BASES)
    yield from _closed(file, f"{key}.confidence", [rule.get("confidence", owner.get("confidence"))], CONFIDENCES)
    yield from _closed(file, f"{key}.when", list(rule.get("when", {})), tuple(CONDITIONS))
    yield from _seen_faults(file, key, rule.get("seen", owner.get("seen")))
    for choice, stances in rule.get("when", {}).get("choice", {}).items():
        yield from _closed(file, f"{key}.when.choice", [choice], tuple(CHOICE_VALUES))
        yield from _closed(file, f"{key}.when.choice.{choice}", stances, CHOICE_VALUES.get(choice, ()))
    for index, duty in enumerate(rule.get("duties", ())):
        yield from _duty_faults(file, f"{key}.duties[{index}]", duty, owner)


def _seen_faults(file: str, key: str, seen: Any) -> Iterator[Fault]:
    if seen and not isinstance(seen, date) and not re.fullmatch(r"\d{4}-\d\d-\d\d", str(seen)):
        yield _fault(file, f"{key}.seen", f"{seen!r} is not a date", "Write a day such as 2026-11-22.")


def _duty_faults(file: str, key: str, duty: Mapping[str, Any], owner: Mapping[str, Any]) -> Iterator[Fault]:
    yield from _unknown(file, key, duty, _DUTY)
    yield from _not_text(file, key, duty, ("value", "text", "condition", "carried_by"))
    yield from _closed(file, f"{key}.kind", [duty.get("kind")], OBLIGATION_KINDS)
    yield from _closed(file, f"{key}.met_by", duty.get("met_by", []), OBLIGATION_KINDS)
    yield from _closed(file, f"{key}.only", duty.get("only", []), DISTRIBUTIONS)
    trigger = str(duty.get("trigger", "distribute"))
    for name, word in (owner.get("words") or {}).items():
        trigger = trigger.replace("{" + name + "}", str(word))
    yield from _closed(file, f"{key}.trigger", [trigger], TRIGGERS)
    if not str(duty.get("text", "")).strip():
        yield _fault(file, f"{key}.text", "is missing", "Say in one sentence what is to be done.")
    if duty.get("kind") in {"NAME_PREFIX", "DISPLAY", "THRESHOLD"} and not duty.get("value"):
        yield _fault(file, f"{key}.value", "is missing", "Name the prefix, the words to show or the limit.")


def _closed(file: str, key: str, words: Any, known: tuple[str, ...]) -> Iterator[Fault]:
    for word in words if isinstance(words, (list, tuple)) else [words]:
        if word not in known:
            yield _fault(file, key, f"{word!r} is not known", f"Write one of {', '.join(known)}.")


def _repeated(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Names that stand for two licences, or for a licence and a family."""
    names: Counter[str] = Counter()
    where: dict[str, str] = {}
    for file, document in content.items():
        for raw in document.get("licenses", ()) if isinstance(document, Mapping) else ():
            for name in {str(alias).lower() for alias in (raw.get("id"), *raw.get("aliases", ()))}:
                names[name] += 1
                where[name] = file
    families = {
        str(name).lower() for document in content.values() if isinstance(document, Mapping) for name in document.get("families") or {}
    }
    for name, count in names.items():
        if count > 1:
            yield _fault(where[name], name, f"stands for {count} licences", "Every name means exactly one text.")
        if name in families:
            yield _fault(where[name], name, "is a licence's name and a family's", "A family name is never a licence.")
