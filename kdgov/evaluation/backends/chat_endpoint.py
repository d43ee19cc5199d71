"""A model behind an address: frozen messages go out, text comes back, and every answer is kept as it came."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.release_parts.evaluation_settings import Reasoning
from kdgov.digest import canonical_json, digest_bytes
from kdgov.endpoints.endpoint_client import EndpointClient, chat_body
from kdgov.endpoints.reply import Reply, reply_of
from kdgov.errors import InputError
from kdgov.evaluation.backends.raw_answers import RawAnswer, RawLog, raw_answer
from kdgov.evaluation.backends.response_log import Answered, AnswerLog, Record
from kdgov.evaluation.plan.item_data import draw
from kdgov.evaluation.plan.request import PlannedTask, Request, messages_of, tools_of
from kdgov.evaluation.scoring.thoughts import scored_text, stops_of
from kdgov.progress import Progress

_MOST_STOPS = 4
"""Stops that OpenAI-compatible endpoints take."""
DEFAULT_ANSWER = 256
"""Tokens of an answer where the task does not say; lm-eval's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointTask:
    """One task with where its answers are kept."""

    task: PlannedTask
    """What is asked."""
    log: AnswerLog
    """Its sealed answers."""
    raw: RawLog
    """Its answers as they came."""

    @property
    def requests(self) -> list[Request]:
        """All requests, in order."""
        return [request for item in self.task.items for request in item.requests]


def ask_endpoint(
    tasks: Sequence[EndpointTask], endpoint: Endpoint, *, reasoning: Reasoning | None, reask: int, progress: Progress | None
) -> dict[str, Record]:
    """Every answer of some tasks, going on where an earlier run stopped; then a few asked again.

    Args:
        tasks: what is asked.
        endpoint: who is asked.
        reasoning: how thoughts are told from answers.
        reask: requests of all tasks together that are asked a second time.
        progress: called as ``progress(label, done, total)``.

    Raises:
        InputError: if a task needs what an endpoint does not give, or the endpoint refuses.
        UnavailableError: if it gives no answer; what was received is kept.
    """
    for one in tasks:
        if unfit := sorted({r.kind for r in one.requests} - {"generate"}):
            raise InputError(
                f"{one.task.name} asks for {', '.join(unfit)}, which an endpoint does not give",
                mend="Leave the task out, or ask a model whose weights are at hand.",
            )
    paid = sum(answer.usd for one in tasks for answer in one.raw.lines())
    with EndpointClient(endpoint, spent_usd=paid) as client:
        for one in tasks:
            one.raw.start()
            _ask(client, one, _missing(one), reasoning, progress)
        _ask_again(client, tasks, reasoning, reask, progress)
    return {one.task.name: _sealed(one, endpoint, reasoning) for one in tasks}


def _missing(one: EndpointTask) -> list[int]:
    received = one.raw.received()
    return [index for index in range(len(one.requests)) if index not in received]


def _ask(
    client: EndpointClient, one: EndpointTask, places: Sequence[int], reasoning: Reasoning | None, progress: Progress | None, *,
    is_again: bool = False,
) -> None:  # fmt: skip
    requests = one.requests
    done = len(requests) - len(places)
    bodies = (body_of(requests[place], client.endpoint, reasoning, seed=place) for place in places)
    for number, reply in client.ask_all(bodies, takes_withheld=True):
        today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        one.raw.append(raw_answer(places[number], reply, day=today, is_again=is_again))
        done += 1
        if progress is not None and not is_again:
            progress(one.task.name, done, len(requests))


def _ask_again(
    client: EndpointClient, tasks: Sequence[EndpointTask], reasoning: Reasoning | None, reask: int, progress: Progress | None
) -> None:
    chosen = drawn_again(tasks, reask)
    for number, one in enumerate(tasks):
        known = one.raw.again()
        _ask(client, one, [place for place in chosen[number] if place not in known], reasoning, progress, is_again=True)
        if progress is not None:
            progress("asking some again", number + 1, len(tasks))


def drawn_again(tasks: Sequence[EndpointTask], reask: int) -> list[list[int]]:
    """Which requests of each task are asked a second time: drawn by hash among those that are asked without sampling."""
    named = [
        (f"{one.task.name}/{place}", number, place)
        for number, one in enumerate(tasks)
        for place, request in enumerate(one.requests)
        if not _is_sampled(request)
    ]
    chosen = draw([name for name, _, _ in named], limit=reask, seed=0) if reask else []
    found: list[list[int]] = [[] for _ in tasks]
    for position in chosen:
        _, number, place = named[position]
        found[number].append(place)
    return found


def _is_sampled(request: Request) -> bool:
    return bool(request.generation.get("do_sample")) or float(request.generation.get("temperature") or 0.0) > 0


def body_of(request: Request, endpoint: Endpoint, reasoning: Reasoning | None, *, seed: int) -> dict[str, Any]:
    """One frozen request as it is sent: messages, length, temperature, stops."""
    said = request.generation
    stops = stops_of(said)
    settings: dict[str, Any] = {"max_tokens": answer_tokens(said, reasoning), "temperature": float(said.get("temperature") or 0.0)}
    if _is_sampled(request):
        settings |= {"temperature": float(said.get("temperature") or 1.0), "top_p": said.get("top_p"), "seed": seed}
    if stops and len(stops) <= _MOST_STOPS and reasoning is None:
        # A stop would end thoughts as well as answers; there it is applied here alone.
        settings["stop"] = stops
    if reasoning is not None and reasoning.enabled is not None:
        settings["chat_template_kwargs"] = {"enable_thinking": reasoning.enabled}
    if tools := tools_of(request.context):
        settings["tools"] = tools
    return chat_body(endpoint, messages_of(request.context), **settings)


def answer_tokens(generation: Mapping[str, Any], reasoning: Reasoning | None) -> int:
    """Most tokens of an answer, thoughts included where there may be any."""
    own = int(next((generation[k] for k in ("max_gen_toks", "max_new_tokens", "max_tokens") if generation.get(k)), DEFAULT_ANSWER))
    return own + (reasoning.budget_tokens if reasoning is not None and reasoning.enabled is not False else 0)


def answer_text(reply: Reply, generation: Mapping[str, Any], reasoning: Reasoning | None) -> str:
    """What is scored of an answer: without thoughts, up to the first stop; calls of tools as JSON lines where there is no text."""
    text = scored_text(reply.text, generation, reasoning)
    if not text.strip() and reply.tool_calls:
        return "\n".join(canonical_json(dict(call)).decode() for call in reply.tool_calls)
    return text


def _sealed(one: EndpointTask, endpoint: Endpoint, reasoning: Reasoning | None) -> Record:
    received = one.raw.received()
    answers = {
        place: Answered(index=place, answer=answer_text(parsed(received[place], endpoint), request.generation, reasoning),
                        delivered=digest_bytes(canonical_json(messages_of(request.context)))[7:23])
        for place, request in enumerate(one.requests) if place in received
    }  # fmt: skip
    return one.log.seal(answers)


def parsed(kept: RawAnswer, endpoint: Endpoint) -> Reply:
    """A kept answer read as when it came."""
    return reply_of(kept.answer, endpoint)


def changed_again(tasks: Sequence[EndpointTask], endpoint: Endpoint, reasoning: Reasoning | None) -> Iterator[tuple[str, bool]]:
    """(task and request, whether the second answer differs) of everything that was asked twice."""
    for one in tasks:
        received, requests = one.raw.received(), one.requests
        for place, second in sorted(one.raw.again().items()):
            said = [answer_text(parsed(kept, endpoint), requests[place].generation, reasoning) for kept in (received[place], second)]
            yield f"{one.task.name}/{place}", said[0] != said[1]
