"""What a name tells of how something was made, where the case itself says nothing of it."""

from __future__ import annotations

import re

from kdgov.license.case.case import Upstream
from kdgov.license.catalogue.expression import Expression, ones
from kdgov.license.catalogue.facts import Facts
from kdgov.license.reasoning.ruling_words import Ruling, at_least_review
from kdgov.license.vocabulary import DATASET_USES

_SERVED = (
    r"chat-?gpt|gpt-?3\.5|gpt-?[45](?:o|v|\.\d)?|davinci-?00\d|claude-?(?:\d|v\d|instant|opus|sonnet|haiku)|"
    r"gemini-?(?:\d|pro|flash|ultra)|grok-?\d"
)
# Ways of making instructions, each by a served model as it was published.
_METHODS = r"alpaca|evol-?instruct|evol-?code|sharegpt|ultrachat|open-?orca|slim-?orca|wizardlm|unnatural-instructions"
_OPEN = r"(?:code-?)?llama-?\d?(?:\.\d)?|gemma-?\d?|command-?r|deepseek|qwen-?\d?(?:\.\d)?|mi[sx]tral|nemotron|claude|gemini|grok"
_WRITTEN = (
    r"generated|synthetic|synth|distil(?:l|led|lation)?|traces|answers|responses|outputs?|completions|rewritten|rewrites|labell?ed|"
    r"labels|annotated|scored|judged|translated|instruct(?:ions)?|sft|dpo|magpie|self-instruct"
)
_BY_SERVED = re.compile(rf"(?<![a-z0-9])(?:{_SERVED}|{_METHODS})(?![a-z0-9.]*b(?![a-z]))(?![a-z])")
_BY_OPEN = re.compile(rf"(?<![a-z])({_OPEN})(?![a-z])")
_IS_WRITTEN = re.compile(rf"(?<![a-z])(?:{_WRITTEN})(?![a-z])")
_MADE_OF = re.compile(
    rf"(?<![a-z])(?:{_SERVED}|(?:code-?)?llama|mistral|mixtral|qwen|gemma|phi-?[1-9]|falcon|deepseek|bloomz?|vicuna|alpaca|olmo|internlm|"
    r"baichuan|chatglm|command-?r|starcoder|nemotron|exaone|granite|smollm|yi-\d)(?![a-z])"
)


def by_name(upstream: Upstream, expression: Expression, ruling: Ruling, facts: Facts, own_licence: str) -> Ruling:
    """The ruling, held for review where a name tells of a maker or a base that the case leaves out.

    Args:
        upstream: as the case declares it, with the lineage known of its name: any entry of that settles the question.
        expression: its licence.
        ruling: what the licence says.
        facts: the fact files.
        own_licence: licence of first-party works.
    """
    if upstream.made_by:
        return ruling
    name = re.sub(r"[\s_]+", "-", upstream.name.lower())
    told = _generator(name) if upstream.use in DATASET_USES else _base(name, expression, facts, own_licence)
    if not told:
        return ruling
    return at_least_review(
        ruling,
        clause=f"made by: {upstream.name} names {told}, and no made_by is stated",
        reason=f"The name tells of {told}, whose terms may bind what was made with it; nothing is said of how it was made.",
        source="the name that the case gives",
        mend="Say under made_by what it was made with, with its licence and how it was reached; or correct the name.",
    )


def _generator(name: str) -> str:
    if found := _BY_SERVED.search(name):
        return found[0]
    found = _BY_OPEN.search(name)
    return found[0] if found is not None and _IS_WRITTEN.search(name) else ""


def _base(name: str, expression: Expression, facts: Facts, own_licence: str) -> str:
    entries = [facts.find(one.name) for one in ones(expression)]
    is_own = any(entry is not None and entry.id == own_licence for entry in entries)
    found = _MADE_OF.search(name) if is_own else None
    return found[0] if found else ""
