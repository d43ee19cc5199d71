"""Judges behind an OpenAI-compatible endpoint: one label, a mark on a scale, or which of two answers is better.

The judge sees prompt and answer. A failed request is repeated; what still fails, and what names no label or two, gives no label, so that
the item is missing and never counted as 0. Two answers are shown in both orders: a judge that prefers whatever stands first says `tie`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.suite_judge import JudgeInSuite
from kdgov.endpoints.endpoint_client import EndpointClient, chat_body
from kdgov.errors import KdgovError
from kdgov.evaluation.scoring.answer_text import without_thoughts
from kdgov.evaluation.scoring.judge_cache import Ask, Asked

BETTER, WORSE, TIE = "better", "worse", "tie"
_FIRST, _SECOND = re.compile(r"\b(?:a|first|1)\b"), re.compile(r"\b(?:b|second|2)\b")
_MARK = re.compile(r"(?:score|rating|mark|grade)[^\w-]{0,4}(\d{1,3})(?![\w]|[.,]\d)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.,-])\d{1,3}(?![\w]|[.,]\d)")
_DENIED = re.compile(r"(?:\b(?:not|never|no|without|neither|nor|hardly|isn't|wasn't|doesn't|didn't)|n't)(?:\s+\w+){0,3}\s+\Z")
"""Words that deny what follows them, at most three words later."""


def endpoint_judge(judge: JudgeInSuite) -> Ask:
    """Labels of prompts and answers, asked ``concurrency`` at a time."""
    endpoint = Endpoint(
        base_url=str(judge.base_url),
        model=str(judge.model),
        terms=judge.terms or "LicenseRef-unstated",
        key_variable=judge.api_key_variable,
        concurrency=judge.concurrency,
        timeout_s=judge.timeout_s,
        retries=judge.retries,
    )

    def ask(asked: Sequence[Asked]) -> list[str]:
        with EndpointClient(endpoint) as client, ThreadPoolExecutor(max_workers=judge.concurrency) as pool:
            return list(pool.map(lambda one: _label(judge, endpoint, client, one), asked))

    return ask


def _label(judge: JudgeInSuite, endpoint: Endpoint, client: EndpointClient, asked: Asked) -> str:
    if judge.form != "pairwise":
        said = _said(judge, endpoint, client, {"prompt": asked[0], "answer": asked[1]})
        return mark_in(said, judge.scale) if judge.form == "rubric" else label_in(said, judge.labels)
    prompt, own, other = asked[0], asked[1], asked[2]
    if own == other:
        return TIE
    there = preferred_in(_said(judge, endpoint, client, {"prompt": prompt, "first": own, "second": other}))
    back = preferred_in(_said(judge, endpoint, client, {"prompt": prompt, "first": other, "second": own}))
    if not there or not back:
        return ""
    return BETTER if (there, back) == ("first", "second") else WORSE if (there, back) == ("second", "first") else TIE


def _said(judge: JudgeInSuite, endpoint: Endpoint, client: EndpointClient, shown: Mapping[str, str]) -> str:
    question = re.sub(r"\{(prompt|answer|first|second)\}", lambda found: shown.get(found[1], found[0]), str(judge.prompt))
    body = chat_body(endpoint, [{"role": "user", "content": question}], temperature=0, max_tokens=judge.max_tokens)
    try:
        return without_thoughts(client.ask(body).text)
    except KdgovError:
        return ""


def label_in(said: str, labels: Mapping[str, str]) -> str:
    """The one label that an answer names; empty where it names none or several, or says that one does not hold.

    Example:
        >>> label_in("It is not refused.", {"refused": "refused"}), label_in("It is refused.", {"refused": "refused"})
        ('', 'refused')
    """
    text, found = said.lower().replace("’", "'"), set()
    for word, label in labels.items():
        for place in re.finditer(rf"(?<!\w){re.escape(word.lower())}(?!\w)", text):
            if _DENIED.search(text[: place.start()]):
                return ""
            found.add(label)
    return found.pop() if len(found) == 1 else ""


def mark_in(said: str, scale: tuple[int, int] | None) -> str:
    """The mark of an answer such as ``Score: 4``, or of an answer that holds one number alone; empty outside the scale.

    Example:
        >>> mark_in("It helps, but is long. Score: 4", (1, 5))
        '4'
    """
    named = _MARK.findall(said) or _NUMBER.findall(said)
    if scale is None or len({*named}) != 1:
        return ""
    return named[0] if scale[0] <= int(named[0]) <= scale[1] else ""


def preferred_in(said: str) -> str:
    """``first``, ``second`` or ``tie`` by the last line of an answer; empty where it says none or both."""
    line = said.strip().lower().splitlines()[-1] if said.strip() else ""
    if re.search(r"\b(?:tie|equal|both|neither)\b", line):
        return TIE
    first, second = bool(_FIRST.search(line)), bool(_SECOND.search(line))
    return "first" if first and not second else "second" if second and not first else ""
