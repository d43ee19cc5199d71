"""What a generation will ask, before anything is paid: requests, tokens and a range of prices."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.declarations.release_parts.teacher_writing import Judge, TeacherText
from kdgov.distillation.data.examples import Example
from kdgov.distillation.generation.answers import Ask
from kdgov.distillation.generation.asking import who_is_asked
from kdgov.distillation.generation.journal import known_answers
from kdgov.distillation.generation.prompts import asks_of
from kdgov.distillation.generation.ratings import shown_prompt

_FEWEST_BYTES, _MOST_BYTES = 3, 6
"""Bytes of text per token: no tokenizer in use has fewer than the first on the average of a text, and hardly one more than the second."""
_FRAME_TOKENS = 12
"""Tokens that a chat template adds to a message, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A least and a greatest number."""

    least: float
    """Not less than this."""
    most: float
    """Not more than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationPlan:
    """What one term asks one endpoint."""

    model: str
    """Who is asked."""
    purpose: str
    """``teacher`` or ``judge``."""
    requests: int
    """Different requests in all."""
    answered: int
    """Those that the journal has an answer to."""
    input_tokens: Range
    """Tokens of the requests still to be made."""
    output_tokens: Range
    """Tokens of their answers; the most is every answer at its full length."""
    usd: Range | None
    """What they cost at the declared price; None without one."""
    budget_usd: float | None
    """The declared budget."""
    is_within_budget: bool | None
    """Whether the dearest course stays within it; None where there is no price or no budget."""

    @property
    def line(self) -> str:
        """One line for people."""
        cost = "no price is declared" if self.usd is None else f"{self.usd.least:.2f} to {self.usd.most:.2f} USD"
        of_budget = "" if self.budget_usd is None else f" of a budget of {self.budget_usd:.2f} USD"
        done = f", {self.answered:,} already answered" if self.answered else ""
        return (
            f"{self.purpose} {self.model}: {self.requests:,} requests{done}, "
            f"{self.input_tokens.least:,.0f} to {self.input_tokens.most:,.0f} tokens in, up to {self.output_tokens.most:,.0f} out, "
            f"{cost}{of_budget}"
        )


def generation_plans(term: TeacherText, prompts: Sequence[Example], answers_root: Path, *, seed: int) -> list[GenerationPlan]:
    """What a term asks of endpoints: the teacher's, if it has one, and every judge's.

    Raises:
        InputError: if there is nothing to ask.
    """
    asks = asks_of(term, prompts, seed=seed)
    plans = []
    if term.endpoint is not None:
        plans.append(_plan(term.endpoint, "teacher", {ask.key: ask for ask in asks}, term.max_new_tokens, answers_root))
    for judge in term.applied_filters:
        if isinstance(judge, Judge):
            plans.append(_judge_plan(judge, asks, term, answers_root))
    return plans


def _plan(endpoint: Any, purpose: str, asks: dict[str, Ask], most_tokens: int, answers_root: Path) -> GenerationPlan:
    known = known_answers(answers_root, who_is_asked(endpoint))
    lacking = [ask for key, ask in asks.items() if key not in known]
    sizes = [len(json.dumps(ask.body.get("messages", ask.body.get("prompt", "")), ensure_ascii=False).encode()) for ask in lacking]
    paid = sum(known[key] for key in asks if key in known)
    return _priced(endpoint, purpose, len(asks), len(lacking), sizes, most_tokens, paid)


def _judge_plan(judge: Judge, asks: Sequence[Ask], term: TeacherText, answers_root: Path) -> GenerationPlan:
    # Its requests hold the answers, which nobody has yet: each between nothing and its greatest length.
    sizes = [len((judge.prompt + shown_prompt(ask)).encode()) for ask in asks]
    longest = judge.max_tokens or 1024
    return _priced(judge.endpoint, "judge", len(asks), len(asks), sizes, longest, 0.0, further_tokens=term.max_new_tokens)


def _priced(
    endpoint: Any, purpose: str, requests: int, lacking: int, sizes: Sequence[int], most_tokens: int, paid: float, further_tokens: int = 0
) -> GenerationPlan:
    read = Range(
        least=sum(size // _MOST_BYTES for size in sizes),
        most=sum(size // _FEWEST_BYTES + _FRAME_TOKENS + further_tokens for size in sizes),
    )
    written = Range(least=lacking, most=lacking * most_tokens)
    price = endpoint.price
    usd = None
    if price is not None:
        usd = Range(
            least=paid + (read.least * price.input + written.least * price.output) / 1e6,
            most=paid + (read.most * price.input + written.most * price.output) / 1e6,
        )
    return GenerationPlan(
        model=endpoint.model,
        purpose=purpose,
        requests=requests,
        answered=requests - lacking,
        input_tokens=read,
        output_tokens=written,
        usd=usd,
        budget_usd=endpoint.budget_usd,
        is_within_budget=None if usd is None or endpoint.budget_usd is None else usd.most <= endpoint.budget_usd,
    )
