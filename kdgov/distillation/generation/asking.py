"""Asking an endpoint for many answers: each kept in the journal as it comes, a failed request costs nothing but itself.

One request goes out alone first: a wrong key, address or parameter is met once, not ``concurrency`` times.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.distillation.generation.answers import Answer, Ask
from kdgov.distillation.generation.journal import Journal
from kdgov.endpoints.endpoint_client import EndpointClient
from kdgov.endpoints.faults import OF_THE_PROMPT, EndpointFault, EndpointRefusedError, EndpointUnavailableError
from kdgov.endpoints.reply import Reply
from kdgov.errors import InputError, KdgovError, UnavailableError
from kdgov.progress import Progress
from kdgov.quantities import quantity

_FAILURES_IN_A_ROW = 8


def who_is_asked(endpoint: Endpoint) -> dict[str, Any]:
    """What identifies an endpoint's answers: address, interface, model and what every request adds."""
    return {"address": endpoint.address, "api": endpoint.api, "model": endpoint.model, "extra_body": dict(endpoint.extra_body)}


def ask_endpoint(endpoint: Endpoint, asks: Sequence[Ask], journal: Journal, *, label: str, progress: Progress) -> None:
    """Fill the journal with the answers it lacks; what was answered before counts against the budget and is not asked again.

    Args:
        endpoint: who is asked.
        asks: everything that is wanted, answered or not.
        journal: where answers are kept.
        label: what progress calls it.
        progress: told every answer.

    Raises:
        InputError: if the endpoint refuses all of them (key, address, parameters), or the budget would be passed.
        UnavailableError: if requests stayed without an answer after all retries; the others are kept.
    """
    wanted = {ask.key: ask for ask in asks}
    lacking = journal.lacking(list(wanted))
    if not lacking:
        return
    before = sum(answer.usd for key in wanted if (answer := journal.get(key)) is not None)
    standing = _Standing(journal=journal, total=len(wanted), answered=len(wanted) - len(lacking))
    with EndpointClient(endpoint, spent_usd=before) as client:
        _ask_all(client, [wanted[key] for key in lacking], standing, label, progress)
    _tell_failures(standing, endpoint)


@dataclass(slots=True, kw_only=True)
class _Standing:
    """How one call stands, shared by its threads."""

    journal: Journal
    total: int
    answered: int
    failed: list[tuple[Ask, KdgovError]] = field(default_factory=list)
    in_a_row: int = 0
    fatal: KdgovError | None = None
    is_over_budget: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def may_go_on(self, concurrency: int) -> bool:
        """Whether another request has a chance: nobody answers where the very first, or many in a row, stayed without an answer."""
        hopeless = bool(self.failed) and not self.answered
        return self.fatal is None and not self.is_over_budget and not hopeless and self.in_a_row < _FAILURES_IN_A_ROW + concurrency


def _ask_all(client: EndpointClient, asks: Sequence[Ask], standing: _Standing, label: str, progress: Progress) -> None:
    concurrency = client.endpoint.concurrency
    waiting = iter(asks)
    under_way: set[Future[None]] = set()
    with ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="generate") as pool:
        while True:
            # Alone until one has answered.
            room = (concurrency if standing.answered else 1) - len(under_way)
            for ask in _following(waiting, room, standing, concurrency):
                under_way.add(pool.submit(_one, client, ask, standing))
            if not under_way:
                return
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            progress(label, standing.answered, standing.total)


def _following(waiting: Iterator[Ask], room: int, standing: _Standing, concurrency: int) -> Iterator[Ask]:
    while room > 0 and standing.may_go_on(concurrency) and (ask := next(waiting, None)) is not None:
        room -= 1
        yield ask


def _one(client: EndpointClient, ask: Ask, standing: _Standing) -> None:
    try:
        reply = client.ask(ask.body)
    except EndpointRefusedError as error:
        _refused(ask, error, standing)
        return
    except (EndpointUnavailableError, UnavailableError) as error:
        with standing.lock:
            standing.failed.append((ask, error))
            standing.in_a_row += 1
        return
    # In this thread: the answer is on disk before anything else happens to it.
    standing.journal.write(answer_of(ask.key, reply))
    with standing.lock:
        standing.answered += 1
        standing.in_a_row = 0


def _refused(ask: Ask, error: EndpointRefusedError, standing: _Standing) -> None:
    fault = error.fault
    if is_about_the_prompt(fault, has_answers=standing.answered > 0):
        standing.journal.write(Answer(key=ask.key, outcome="refused", said=fault.said[:200], day=_today()))
        with standing.lock:
            standing.answered += 1
        return
    with standing.lock:
        if fault.kind == "over_budget":
            standing.is_over_budget = True
        if standing.fatal is None:
            standing.fatal = error


def is_about_the_prompt(fault: EndpointFault, *, has_answers: bool) -> bool:
    """Whether a refusal concerns this prompt alone: it names its content or length, or other prompts were answered."""
    if fault.kind == "too_long":
        return True
    if fault.kind != "refused" or fault.status not in OF_THE_PROMPT:
        return fault.kind == "no_answer" and has_answers
    return has_answers or fault.names_the_prompt


def answer_of(key: str, reply: Reply) -> Answer:
    """A reply as the journal keeps it."""
    calls = tuple(dict(call) for call in reply.tool_calls)
    return Answer(
        key=key,
        text=reply.text,
        reasoning=reply.reasoning,
        tool_calls=calls,
        finish_reason=reply.finish_reason,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        is_counted=reply.is_counted,
        usd=reply.usd,
        model=reply.model,
        fingerprint=reply.fingerprint,
        logprobs=_logprobs(reply),
        day=_today(),
    )


def _logprobs(reply: Reply) -> Mapping[str, Any]:
    """What the endpoint said of the tokens it wrote, where ``extra_body`` asked for that."""
    said = reply.raw["choices"][0].get("logprobs")
    return dict(said) if isinstance(said, Mapping) else {}


def _tell_failures(standing: _Standing, endpoint: Endpoint) -> None:
    kept = f"{standing.answered:,} of {standing.total:,} answers are kept"
    if standing.is_over_budget and standing.fatal is not None:
        raise InputError(
            f"{standing.fatal.what}; {kept}",
            where=endpoint.address,
            mend="Raise `endpoint.budget_usd`, or ask for less; what was answered is not paid for again.",
        )
    if standing.fatal is not None:
        raise standing.fatal
    if standing.failed:
        ask, error = standing.failed[0]
        failures = quantity(len(standing.failed), "request")
        raise UnavailableError(
            f"{error.what} ({failures} stayed without an answer, the first for {ask.item_id}; {kept})",
            where=endpoint.address,
            mend="Run the same command again: only what lacks an answer is asked.",
        )


def _today() -> str:
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()
