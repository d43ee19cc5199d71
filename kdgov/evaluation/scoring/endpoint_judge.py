"""Judges behind an OpenAI-compatible endpoint: one label, a mark on a scale, or which of two answers is better.

The judge sees prompt and answer. A failed request is repeated; a judge that stays out of reach ends the evaluation, which goes on from
there. A reply that names no label or two, or that a filter of the endpoint withholds, gives no label, so that the item is missing and
never counted as 0. Two answers are shown in both orders: a judge that prefers whatever stands first says `tie`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.suite_judge import JudgeInSuite
from kdgov.endpoints.endpoint_client import EndpointClient, chat_body
from kdgov.errors import KdgovError
from kdgov.evaluation.scoring.answer_text import without_thoughts
from kdgov.evaluation.scoring.judge_cache import Ask, Asked
from kdgov.evaluation.scoring.judge_replies import JudgeReplies

BETTER, WORSE, TIE = "better", "worse", "tie"
_FIRST, _SECOND = re.compile(r"\b(?:a|first|1)\b"), re.compile(r"\b(?:b|second|2)\b")
_MARK = re.compile(r"(?:score|rating|mark|grade)[^\w-]{0,4}(\d{1,3})(?![\w]|[.,]\d)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.,-])\d{1,3}(?![\w]|[.,]\d)")
_DENIED = re.compile(r"(?:\b(?:not|never|no|without|neither|nor|hardly|isn't|wasn't|doesn't|didn't)|n't)(?:\s+\w+){0,3}\s+\Z")
"""Words that deny what follows them, at most three words later."""


def endpoint_judge(judge: JudgeInSuite, replies: JudgeReplies) -> Ask:
    """Labels of prompts and answers; what the judge has said before is read from its replies, and only the rest is asked.

    Where it cannot be asked the error is raised after every reply under way is kept: judging goes on there, and pays nothing twice.
    """
    endpoint = judge.endpoint

    def ask(asked: Sequence[Asked]) -> list[str]:
        questions = [questions_of(judge, one) for one in asked]
        wanted = list(dict.fromkeys(question for each in questions for question in each))
        if lacking := [question for question in wanted if replies.said(question) is None]:
            _fill(judge, endpoint, lacking, replies)
        return [_label(judge, [replies.said(question) or "" for question in each]) for one, each in zip(asked, questions, strict=True)]

    return ask


def questions_of(judge: JudgeInSuite, asked: Asked) -> list[str]:
    """What the judge is asked about one answer: one text, two where two answers are compared, none where they are equal."""
    if judge.form != "pairwise":
        return [_shown(judge, {"prompt": asked[0], "answer": asked[1]})]
    prompt, own, other = asked[0], asked[1], asked[2]
    if own == other:
        return []
    return [_shown(judge, {"prompt": prompt, "first": first, "second": second}) for first, second in ((own, other), (other, own))]


def _shown(judge: JudgeInSuite, shown: Mapping[str, str]) -> str:
    return re.sub(r"\{(prompt|answer|first|second)\}", lambda found: shown.get(found[1], found[0]), str(judge.prompt))


def _fill(judge: JudgeInSuite, endpoint: Endpoint, questions: Sequence[str], replies: JudgeReplies) -> None:
    bodies = (
        chat_body(endpoint, [{"role": "user", "content": question}], temperature=0, max_tokens=judge.max_tokens) for question in questions
    )
    try:
        with EndpointClient(endpoint, spent_usd=replies.usd) as client:
            for place, reply in client.ask_all(bodies, takes_withheld=True):
                replies.keep(questions[place], reply)
    except KdgovError as error:
        there = sum(replies.said(question) is not None for question in questions)
        error.what = f"the judge {endpoint.model} {error.what} ({there:,} of {len(questions):,} replies are kept)"
        raise


def _label(judge: JudgeInSuite, said: Sequence[str]) -> str:
    said = [without_thoughts(one) for one in said]
    if judge.form == "rubric":
        return mark_in(said[0], judge.scale)
    if judge.form != "pairwise":
        return label_in(said[0], judge.labels)
    if not said:
        return TIE
    there, back = preferred_in(said[0]), preferred_in(said[1])
    if not there or not back:
        return ""
    return BETTER if (there, back) == ("first", "second") else WORSE if (there, back) == ("second", "first") else TIE


def order_decided(judge: JudgeInSuite, asked: Sequence[Asked], replies: JudgeReplies) -> dict[str, int]:
    """Of the pairs that a judge compared in both orders, how many it decided by the place alone; nothing for a judge of another form."""
    if judge.form != "pairwise":
        return {}
    pairs = [tuple(preferred_in(without_thoughts(replies.said(one) or "")) for one in questions_of(judge, each)) for each in asked]
    compared = [pair for pair in pairs if pair and all(pair)]
    return {"compared": len(compared), "by_order": sum(pair in {("first", "first"), ("second", "second")} for pair in compared)}


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
