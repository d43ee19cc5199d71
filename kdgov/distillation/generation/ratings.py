"""Filters that ask somebody else: a judge behind an endpoint, and a command that verifies code or maths. Both also rate, for best of n."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.declarations.release_parts.teacher_writing import Judge, Verifier
from kdgov.distillation.generation.answers import Ask, Candidate
from kdgov.distillation.generation.asking import ask_endpoint, who_is_asked
from kdgov.distillation.generation.journal import Journal
from kdgov.distillation.generation.reasoning_traces import split_thoughts
from kdgov.distillation.generation.sandbox import Ran, isolation, run_confined
from kdgov.endpoints.endpoint_client import chat_body
from kdgov.errors import InputError
from kdgov.progress import Progress, silent

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_LAST_NUMBER = re.compile(r"\A\s*(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*\Z")
_BY_SIGNAL = 128
_CANNOT_RUN = (125, 126, 127)
"""Exit codes by which shells and this launcher say that the command was never run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Helpers:
    """What filters need from outside."""

    answers_root: Path
    """Where journals lie."""
    path_of: Callable[[str], Path] = Path
    """A name in the release → where it lies."""
    refusal: Callable[[str, str], str] | None = None
    """An answer and its prompt → ``refused``, ``partial``, ``answered`` or ``empty``; None where the rules are not at hand."""
    progress: Progress = silent
    """Told what judges and commands have done."""


Verdicts = tuple[list[Candidate], list[tuple[Candidate, str]], Mapping[str, float]]
"""Kept, dropped with the reason, and notes."""


def judged(declared: Judge, candidates: Sequence[Candidate], helpers: Helpers) -> Verdicts:
    """Candidates with a judge's rating, those below ``at_least`` dropped.

    Raises:
        InputError: if the endpoint refuses, or says no rating where that stops the run.
        UnavailableError: if it stays without an answer.
    """
    asks = [_judge_ask(declared, candidate) for candidate in candidates]
    with Journal.of(helpers.answers_root, who_is_asked(declared.endpoint), progress=helpers.progress) as journal:
        ask_endpoint(declared.endpoint, asks, journal, label="judge rating", progress=helpers.progress)
        said = [journal[ask.key] for ask in asks]
    kept: list[Candidate] = []
    dropped: list[tuple[Candidate, str]] = []
    for candidate, answer in zip(candidates, said, strict=True):
        rating = rating_in(answer.text)
        if rating is None and declared.on_no_rating == "stop":
            raise InputError(
                f"the judge says no number of {candidate.ask.item_id}: {answer.text[:80]!r}",
                where=declared.endpoint.address,
                mend="Let its `prompt` ask for a number only, raise `max_tokens`, or set `on_no_rating: drop`.",
            )
        if rating is None:
            dropped.append((candidate, "no rating"))
        elif declared.at_least is not None and rating < declared.at_least:
            dropped.append((candidate, f"rated below {declared.at_least:g}"))
        else:
            kept.append(dataclasses.replace(candidate, scores={**candidate.scores, "judge": rating}))
    usd = sum({answer.key: answer.usd for answer in said}.values())
    return kept, dropped, {"judge_usd": round(usd, 6)} if usd else {}


def rating_in(text: str) -> float | None:
    """The first number of a judge's reply, thoughts left out; None where there is none.

    >>> rating_in("<think>8 or 9?</think> Rating: 7/10"), rating_in("great")
    (7.0, None)
    """
    _, reply, is_finished = split_thoughts(text, "<think>", "</think>")
    found = _NUMBER.search(reply) if is_finished else None
    return float(found.group()) if found else None


def _judge_ask(declared: Judge, candidate: Candidate) -> Ask:
    # One pass over the judge's own text: braces in an answer are no places to fill.
    parts = {"prompt": shown_prompt(candidate.ask), "answer": candidate.text}
    shown = re.sub(r"\{(prompt|answer)\}", lambda place: parts[place.group(1)], declared.prompt)
    settings = {"max_tokens": declared.max_tokens, "temperature": 0}
    body = chat_body(declared.endpoint, [{"role": "user", "content": shown}], **settings)
    return Ask(item_id=candidate.ask.item_id, prompt=shown, body=body)


def shown_prompt(ask: Ask) -> str:
    """A prompt as a judge reads it: all turns of a conversation, each with its role."""
    return ask.prompt or "\n\n".join(f"{turn['role']}: {turn.get('content', '')}" for turn in ask.conversation)


def verified(declared: Verifier, candidates: Sequence[Candidate], helpers: Helpers) -> Verdicts:
    """Candidates that a command lets pass, with its rating where it prints one.

    Raises:
        InputError: if the command cannot be run here, or this machine cannot confine it as declared.
    """
    command = _resolved(declared, helpers)
    confined = isolation()
    if declared.must_be_isolated and not all(confined.values()):
        lacking = ", ".join(name.replace("_", " ") for name, held in confined.items() if not held)
        raise InputError(
            f"must_be_isolated: this machine cannot keep the verifier from: {lacking}",
            where="distillation.terms",
            mend="Run on Linux 5.12 or later with namespaces of users and mounts, or set `must_be_isolated: false`.",
        )
    kept: list[Candidate] = []
    dropped: list[tuple[Candidate, str]] = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, os.cpu_count() or 1)) as pool:
        runs = pool.map(lambda one: _run(declared, command, one), candidates)
        for number, (candidate, ran) in enumerate(zip(candidates, runs, strict=True), start=1):
            _refuse_absent(declared, ran)
            if ran.is_late:
                dropped.append((candidate, f"not done within {declared.time_limit_s:g} s"))
            elif ran.exceeded:
                dropped.append((candidate, f"ended for its {ran.exceeded}"))
            elif ran.code:
                dropped.append((candidate, "ended by a signal" if ran.code < 0 or ran.code > _BY_SIGNAL else f"exit code {ran.code}"))
            else:
                kept.append(_rated(candidate, ran.output))
            helpers.progress("verifying", number, len(candidates))
    return kept, dropped, {f"confined: {name.replace('_', ' ')}": float(held) for name, held in confined.items()}


def _run(declared: Verifier, command: Sequence[str], candidate: Candidate) -> Ran:
    ask = candidate.ask
    shown: dict[str, Any] = {"prompt": ask.prompt} if ask.prompt else {"messages": [dict(turn) for turn in ask.conversation]}
    document = {"id": ask.item_id, **shown, "answer": candidate.text, "reference": ask.reference}
    text = json.dumps(document, ensure_ascii=False) + "\n"
    return run_confined(command, text=text, time_limit_s=declared.time_limit_s, memory_mb=declared.memory_mb)


def _resolved(declared: Verifier, helpers: Helpers) -> list[str]:
    """The command with files beside the release named whole: it runs in a folder of its own."""
    found = []
    for part in declared.command:
        place = helpers.path_of(part)
        is_file = not part.startswith("-") and place.is_file()
        found.append(str(place.resolve()) if is_file else part)
    if shutil.which(found[0]) is None:
        raise InputError(
            f"the verifier's command {declared.command[0]!r} is neither a program nor a file that may be run",
            where="distillation.terms",
            mend="Write the program first, such as `[python3, check.py]`.",
        )
    return found


def _refuse_absent(declared: Verifier, ran: Ran) -> None:
    if ran.code in _CANNOT_RUN:
        raise InputError(
            f"the verifier's command {' '.join(declared.command)!r} cannot be run (exit code {ran.code})",
            where="distillation.terms",
            mend="Try it by hand on one answer; give it more `memory_mb` if it cannot start.",
        )


def _rated(candidate: Candidate, output: str) -> Candidate:
    lines = output.strip().splitlines()
    found = _LAST_NUMBER.match(lines[-1]) if lines else None
    if found is None or not math.isfinite(rating := float(found.group(1))):
        return candidate
    return dataclasses.replace(candidate, scores={**candidate.scores, "verifier": rating})


RATERS: Mapping[str, Callable[[Any, Sequence[Candidate], Helpers], Verdicts]] = {"judge": judged, "verifier": verified}
"""Kind of filter → what it does."""
