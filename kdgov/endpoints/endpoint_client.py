"""The client: one request with patience where that helps, or many at once, with everything counted that they used."""

from __future__ import annotations

import datetime
import functools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.endpoints.faults import EndpointFault, as_error
from kdgov.endpoints.limits import LONGEST_WAIT_S, Limits, Reservation
from kdgov.endpoints.reply import Reply, is_same_model, read_reply, withheld_reply
from kdgov.endpoints.transport import HttpTransport
from kdgov.errors import KdgovError

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
_OLD_LENGTH, _NEW_LENGTH = "max_tokens", "max_completion_tokens"
UnderWay = dict[Future[Reply], int]
Waiting = Iterator[tuple[int, Mapping[str, Any]]]
Ask = Callable[[Mapping[str, Any]], Reply]
DEFAULT_OUTPUT_TOKENS = 1024
"""Tokens that an answer is taken to have where a request sets no limit."""


@dataclass(slots=True)
class Totals:
    """What was asked, used and seen so far."""

    requests: int = 0
    """Requests sent, repeated ones included."""
    answers: int = 0
    """Answers received."""
    input_tokens: int = 0
    """Tokens read."""
    output_tokens: int = 0
    """Tokens written."""
    usd: float = 0.0
    """What the answers cost, by the declared price."""
    is_counted: bool = True
    """Whether the endpoint counted all tokens; otherwise some are estimated."""
    faults: Counter[str] = field(default_factory=Counter)
    """Fault → how often it came, also where a repetition succeeded."""
    models: Counter[str] = field(default_factory=Counter)
    """Names under which it answered."""
    fingerprints: Counter[str] = field(default_factory=Counter)
    """Fingerprints it gave."""
    days: set[str] = field(default_factory=set)
    """Days on which it answered, UTC."""


class EndpointClient:
    """Asks one endpoint; used from any number of threads, and as a context manager."""

    def __init__(self, endpoint: Endpoint, *, spent_usd: float = 0.0, limits: Limits | None = None) -> None:
        """A client with no connection open yet.

        Args:
            endpoint: who is asked.
            spent_usd: what earlier commands of the same work paid: it counts against ``budget_usd``.
            limits: clock and pauses, for tests.

        Raises:
            EndpointRefusedError: if the address may not be asked.
        """
        self.endpoint = endpoint
        self.totals = Totals()
        self.limits = limits or Limits(endpoint, spent_usd=spent_usd)
        self._lock = threading.Lock()
        self._renames_length = False
        try:
            self._transport = HttpTransport(endpoint)
        except ValueError as error:
            raise as_error(EndpointFault(kind="not_allowed", said=str(error)), endpoint) from None

    def __enter__(self) -> EndpointClient:
        """The client itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End all connections."""
        self.close()

    def close(self) -> None:
        """End all connections."""
        self._transport.close()

    def ask(self, body: Mapping[str, Any], *, takes_withheld: bool = False) -> Reply:
        """The answer to one request; ``model`` and ``extra_body`` are added.

        Args:
            body: ``messages`` (or ``prompt``), ``max_tokens``, ``temperature`` …
            takes_withheld: give an empty answer with `WITHHELD` where a filter of the endpoint refuses this prompt for its content.

        Raises:
            EndpointRefusedError: if the request cannot succeed: refused, wrong model, budget spent, address not allowed.
            EndpointUnavailableError: if no answer came after all retries.
        """
        pause_s, last = _FIRST_PAUSE_S, self.endpoint.retries
        for attempt in range(last + 1):
            found = self._try(body, attempt + 1)
            if isinstance(found, Reply):
                return found
            if takes_withheld and found.is_filtered:
                return withheld_reply(found.said, found.status, tries=attempt + 1)
            if not found.is_retried or attempt == last or found.wait_s > LONGEST_WAIT_S:
                raise as_error(found, self.endpoint, tries=attempt + 1, sent=self._whole(body))
            if found.wait_s or found.kind == "rate_limited":
                # The endpoint is busy with all of us, not with this request.
                self.limits.hold(max(found.wait_s, pause_s))
            else:
                self.limits.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        raise AssertionError("a loop of at least one try ends in it")

    def _try(self, body: Mapping[str, Any], tries: int) -> Reply | EndpointFault:
        asked_bytes = len(json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        whole = self._whole(body)
        found = self._once(whole, asked_bytes, tries)
        if isinstance(found, EndpointFault) and found.asks_for(_NEW_LENGTH) and _OLD_LENGTH in whole:
            # The same limit under its newer name: no answer changes by it, and this client writes it so from now on.
            self._renames_length = True
            found = self._once(self._whole(body), asked_bytes, tries)
        return found

    def _whole(self, body: Mapping[str, Any]) -> dict[str, Any]:
        whole = {**body, **self.endpoint.extra_body, "model": self.endpoint.model}
        if self._renames_length and _OLD_LENGTH in whole:
            whole.setdefault(_NEW_LENGTH, whole.pop(_OLD_LENGTH))
        # A key of `extra_body` without a value takes that key away: some models refuse `temperature` or `stop`.
        return {name: value for name, value in whole.items() if value is not None}

    def _once(self, whole: Mapping[str, Any], asked_bytes: int, tries: int) -> Reply | EndpointFault:
        most = next((whole[k] for k in ("max_completion_tokens", "max_tokens") if whole.get(k)), DEFAULT_OUTPUT_TOKENS)
        held = self.limits.enter(asked_bytes // 3 + 1, int(most))
        if isinstance(held, EndpointFault):
            return held
        found: Reply | EndpointFault | None = None
        try:
            data = self._transport.post(whole)
            found = data if isinstance(data, EndpointFault) else read_reply(data, self.endpoint, asked_bytes=asked_bytes, tries=tries)
        finally:
            self._count(found, held)
        if isinstance(found, Reply) and not is_same_model(self.endpoint.model, found.model, self.endpoint.answers_as):
            with self._lock:
                self.totals.faults["wrong_model"] += 1
            return EndpointFault(kind="wrong_model", said=found.model[:100])
        return found

    def _count(self, found: Reply | EndpointFault | None, held: Reservation) -> None:
        reply = found if isinstance(found, Reply) else None
        used = reply.input_tokens + reply.output_tokens if reply is not None else 0
        self.limits.leave(held, tokens=used, usd=reply.usd if reply is not None else 0.0)
        with self._lock:
            totals = self.totals
            totals.requests += 1
            if isinstance(found, EndpointFault):
                totals.faults[found.kind] += 1
            if reply is None:
                return
            totals.answers += 1
            totals.input_tokens += reply.input_tokens
            totals.output_tokens += reply.output_tokens
            totals.usd += reply.usd
            totals.is_counted &= reply.is_counted
            totals.models[reply.model] += 1
            totals.fingerprints[reply.fingerprint] += 1
            totals.days.add(datetime.datetime.now(tz=datetime.UTC).date().isoformat())

    def ask_all(self, bodies: Iterable[Mapping[str, Any]], *, takes_withheld: bool = False) -> Iterator[tuple[int, Reply]]:
        """Answers to many requests as they come, each with the place of its request; ``concurrency`` are under way at once.

        Where one fails for good, no further request starts, what was under way is still handed out, and then the error is raised: an
        answer that was paid is never lost.

        Raises:
            EndpointRefusedError: as `ask`.
            EndpointUnavailableError: as `ask`.
        """
        ask = functools.partial(self.ask, takes_withheld=takes_withheld)
        waiting = enumerate(bodies)
        under_way: UnderWay = {}
        failure: KdgovError | None = None
        with ThreadPoolExecutor(max_workers=self.endpoint.concurrency, thread_name_prefix="endpoint") as pool:
            # One alone, unless somebody has answered before: a wrong key, model or parameter is met once, not `concurrency` times.
            self._start(pool, ask, waiting, under_way, most=self.endpoint.concurrency if self.totals.answers else 1)
            while under_way:
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    place = under_way.pop(future)
                    try:
                        reply = future.result()
                    except KdgovError as error:
                        failure = failure or error
                        continue
                    yield place, reply
                if failure is None:
                    self._start(pool, ask, waiting, under_way, most=self.endpoint.concurrency)
        if failure is not None:
            raise failure

    def _start(self, pool: ThreadPoolExecutor, ask: Ask, waiting: Waiting, under_way: UnderWay, *, most: int) -> None:
        while len(under_way) < most and (following := next(waiting, None)) is not None:
            place, body = following
            under_way[pool.submit(ask, body)] = place


def chat_body(endpoint: Endpoint, messages: Sequence[Mapping[str, Any]], **settings: Any) -> dict[str, Any]:
    """A request's body: messages as they are for ``api: chat``, their contents as one text for ``api: completions``."""
    kept = {name: value for name, value in settings.items() if value is not None}
    if endpoint.api == "chat":
        return {"messages": [dict(m) for m in messages], **kept}
    return {"prompt": "\n\n".join(str(m["content"]) for m in messages), **kept}
