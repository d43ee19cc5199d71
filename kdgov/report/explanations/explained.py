"""What a name means that reports, policies and pages use: the answer of ``kdgov explain``.

Example:
    >>> print(explained("cluster"))
    cluster: Items that are not independent because they share a template or a source. Confidence intervals count clusters, not items.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from typing import get_args

from kdgov.decision.statistics.method_table import GATE_METHODS
from kdgov.declarations.criteria import AnyCriterion
from kdgov.declarations.policy_file import load_policy
from kdgov.errors import InputError
from kdgov.finding_rules import RULES
from kdgov.passing_rules import PASSING
from kdgov.report.explanations.glossary_words import WORDS
from kdgov.report.explanations.practice_guide import GUIDE
from kdgov.report.policy_sentences import criterion_words
from kdgov.resources import data_folder


def explained(name: str) -> str:
    """What a finding rule, criterion, kind of criterion, method of the gate or word means, in a few lines.

    Raises:
        InputError: naming what is nearest, if nothing is known by the name.
    """
    plain = name.strip().lower()
    word = plain.replace("-", " ").replace("_", " ")
    lines = _rule(plain) + _passing(plain) + _word(plain, word) + _criterion(plain) + _kind(plain) + _method(plain)
    for row in GUIDE:
        if plain in (rule.lower() for rule in row.rules):
            lines += [
                f"  the field says: {row.advice}",
                f"  answered by: {row.key}, such as `{row.example}`",
                f"  a reviewer sees: {row.seen}",
            ]
    if not lines:
        raise InputError(f"nothing is known by the name {name!r}", where="kdgov explain", mend=_nearest(plain))
    return "\n".join(lines)


def _rule(plain: str) -> list[str]:
    if plain not in RULES:
        return []
    rule = RULES[plain]
    stays = "" if rule.yields else ", whatever the policy says"
    return [f"{plain}: {rule.title}", f"  means by default: {rule.verdict}{stays}", f"  rests on: {rule.source}"]


def _passing(plain: str) -> list[str]:
    scope = PASSING.get(plain)
    if scope is None:
        return []
    never = f"; it never looks for {', '.join(scope.never)}" if scope.never else ""
    return [f"{plain}, where it says pass: looked for {scope.looks_for}{never}"]


def _word(plain: str, word: str) -> list[str]:
    known = {key.replace("-", " "): key for key in WORDS}
    singular = word.removesuffix("s")
    key = next((known[form] for form in (word, singular, f"{singular[:-2]}y" if word.endswith("ies") else "") if form in known), None)
    return [] if key is None else [f"{key}: {WORDS[key]}"]


@cache
def _shipped_criteria() -> Mapping[str, Mapping[str, str]]:
    """Criterion → policy → what it demands there."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(data_folder("policies").glob("*.yaml")):
        for criterion in load_policy(path).criteria:
            found.setdefault(criterion.id, {})[path.stem] = criterion_words(criterion)
    return found


def _criterion(plain: str) -> list[str]:
    demands = _shipped_criteria().get(plain, {})
    head = [f"{plain}: a criterion of the shipped policies"] if demands else []
    return head + [f"  {policy}: {words}" for policy, words in demands.items()]


def _kinds() -> dict[str, type]:
    return {str(get_args(shape.model_fields["kind"].annotation)[0]): shape for shape in get_args(get_args(AnyCriterion)[0])}


def _kind(plain: str) -> list[str]:
    shape = _kinds().get(plain.replace("-", "_"))
    if shape is None:
        return []
    meaning = " ".join(str(shape.__doc__).split()).replace("``", "`")
    return [f"{plain.replace('-', '_')}: a kind of criterion (`kind:` in a policy). {meaning}", "  keys: `kdgov schema policy` lists them"]


def _method(plain: str) -> list[str]:
    row = next((method for method in GATE_METHODS if method.name == plain), None)
    return [] if row is None else [f"{plain}: a method of the gate, for {row.shape}", f"  rests on: {row.source}"]


def _nearest(plain: str) -> str:
    names = {*RULES, *PASSING, *WORDS, *_shipped_criteria(), *_kinds(), *(method.name for method in GATE_METHODS)}
    near = difflib.get_close_matches(plain, sorted(names), n=3, cutoff=0.5)
    known = "`kdgov check --rules` lists the findings, `kdgov policy check default` criteria, docs/glossary.md the words."
    return f"Did you mean {', '.join(near)}?" if near else known
